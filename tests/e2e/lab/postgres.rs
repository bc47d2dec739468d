//! Private PostgreSQL servers: one shared by the tests that do not stop it, one for each test that does.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use rustix::process::Signal;

use super::managed_process::ChildProcess;
use super::require::{program, root, run_ok};
use super::run_dir::RunDir;
use super::user::unique;
use super::wait::{eventually, eventually_within};

/// Debian's folder of each version's programs.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The superuser.
const ADMIN: &str = "postgres";
/// The role that must log in with a password.
const BY_PASSWORD: &str = "by_password";

const SETTINGS: [&str; 6] = [
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "shared_buffers=8MB",
    "max_connections=60",
    "autovacuum=off",
];

/// A private PostgreSQL server with its own folder, socket and port. Killed on drop and with the test process.
#[derive(Debug)]
pub(crate) struct Postgres {
    server: Option<ChildProcess>,
    dir: RunDir,
    pub(crate) port: u16,
}

/// Killed by the reaper when the test process is gone.
static SHARED: OnceLock<Postgres> = OnceLock::new();

impl Postgres {
    /// Returns the shared server of this test process, started on first use. Tests must not stop it; each has its own
    /// database in it.
    #[track_caller]
    pub(crate) fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start)
    }

    /// Starts a server for a test that stops it.
    #[track_caller]
    pub(crate) fn start() -> Self {
        root("a PostgreSQL server");
        let dir = RunDir::new("postgres");
        run_ok("chown", [Path::new(ADMIN), &dir.join("")]);
        let folder = dir.join("data");
        let mut initdb = as_admin("initdb");
        initdb.args(["-A", "trust", "-U", ADMIN, "--no-sync", "-E", "UTF8", "--locale=C", "-D"]).arg(&folder);
        succeeded(&mut initdb);
        // A password for the one role that is tested with passwords, trust for the others.
        let mut access =
            format!("local all {BY_PASSWORD} scram-sha-256\nhost all {BY_PASSWORD} all scram-sha-256\n");
        access += "local all all trust\nhost all all all trust\n";
        fs::write(folder.join("pg_hba.conf"), access).unwrap();
        let mut postgres = Self { server: None, dir, port: 0 };
        eventually("PostgreSQL gets a port of its own", || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            postgres.port = listener.local_addr().unwrap().port();
            drop(listener);
            postgres.try_resume().then_some(())
        });
        postgres
    }

    /// Restarts it in the same folder and on the same port.
    #[track_caller]
    pub(crate) fn resume(&mut self) {
        assert!(self.try_resume(), "PostgreSQL does not start:\n{}", self.log());
    }

    /// Starts it and returns true; false when it exits because its port was taken meanwhile.
    fn try_resume(&mut self) -> bool {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.dir.join("log")).unwrap();
        let mut server = as_admin("postgres");
        server.arg("-D").arg(self.dir.join("data")).arg("-k").arg(self.dir.join(""));
        server.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        server.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        server.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut part = ChildProcess::start(&mut server);
        let is_ready = eventually("PostgreSQL answers", || {
            if !part.is_running() {
                return Some(false);
            }
            self.client("pg_isready", "postgres").arg("-q").output().unwrap().status.success().then_some(true)
        });
        self.server = is_ready.then_some(part);
        is_ready
    }

    /// Stops it without waiting for clients, as an administrator would.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Stops it as in a crash.
    #[track_caller]
    pub(crate) fn crash(&mut self) {
        self.end(Signal::QUIT);
    }

    #[track_caller]
    fn end(&mut self, signal: Signal) {
        let Some(mut server) = self.server.take() else { return };
        server.process.signal(signal);
        eventually("PostgreSQL ends", || (!server.is_running()).then_some(()));
    }

    /// Creates a database with the platform's tables of August 2026.
    #[track_caller]
    pub(crate) fn platform(&self) -> Database<'_> {
        let database = self.april();
        database.run(include_str!("../../../fixtures/platform/august.sql"));
        database.record_migrations(include_str!("../../../src/workspace/postgres/migrations-2026-08.txt"));
        database
    }

    /// Creates a database with the platform's tables of April 2026.
    #[track_caller]
    pub(crate) fn april(&self) -> Database<'_> {
        let database = self.platform_before_043();
        database.run(include_str!("../../../fixtures/platform/status-enum.sql"));
        database.run(include_str!("../../../fixtures/platform/migrations.sql"));
        database.record_migrations(include_str!("../../../src/workspace/postgres/migrations-2026-04.txt"));
        database
    }

    /// Creates a database with the tables of April before migration 043: the status is of type text.
    #[track_caller]
    pub(crate) fn platform_before_043(&self) -> Database<'_> {
        let database = self.empty();
        database.run(include_str!("../../../fixtures/platform/schema.sql"));
        database
    }

    /// Creates an empty database.
    #[track_caller]
    pub(crate) fn empty(&self) -> Database<'_> {
        let name = unique("db");
        let admin = Database { postgres: self, name: "postgres".into() };
        // The template may be in use by another test that creates a database: retry.
        eventually_within(std::time::Duration::from_secs(20), "a database is made", || {
            admin.try_run(&format!("CREATE DATABASE {name}")).status.success().then_some(())
        });
        Database { postgres: self, name }
    }

    /// Returns the server's log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Returns its folder, with the socket and, in `data`, the configuration.
    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.join("")
    }

    fn client(&self, name: &str, database: &str) -> Command {
        let mut client = Command::new(binary(name));
        client.env_clear().arg("-h").arg(self.dir.join("")).args(["-p", &self.port.to_string()]);
        client.args(["-U", ADMIN, "-d", database]).stdin(Stdio::null());
        client
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end(Signal::QUIT);
    }
}

/// A database of a server.
#[derive(Debug)]
pub(crate) struct Database<'a> {
    postgres: &'a Postgres,
    pub(crate) name: String,
}

impl Database<'_> {
    /// Returns its URL for the superuser.
    pub(crate) fn url(&self) -> String {
        self.url_of(ADMIN)
    }

    /// The same for another role.
    pub(crate) fn url_of(&self, user: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{}?sslmode=disable", self.postgres.port, self.name)
    }

    /// Returns its URL for a role that must use `password`; creates the role or sets its password.
    #[track_caller]
    pub(crate) fn url_by_password(&self, password: &str) -> String {
        self.run(&format!(
            "DO $$ BEGIN CREATE ROLE {BY_PASSWORD} SUPERUSER LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
             ALTER ROLE {BY_PASSWORD} PASSWORD '{password}'"
        ));
        let user = format!("{BY_PASSWORD}:{password}");
        self.url_of(&user)
    }

    /// Runs `sql` and returns one line for each row, with columns separated by `|`.
    #[track_caller]
    pub(crate) fn run(&self, sql: &str) -> String {
        let output = self.try_run(sql);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {said}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Records the migrations of a list with one file name in each line.
    #[track_caller]
    fn record_migrations(&self, names: &str) {
        let values: Vec<String> = names.lines().map(|name| format!("('{name}')")).collect();
        self.run(&format!("INSERT INTO schema_migrations (filename) VALUES {}", values.join(", ")));
    }

    fn try_run(&self, sql: &str) -> Output {
        self.try_run_as(ADMIN, sql)
    }

    /// Runs `sql` as `user` and returns the outcome.
    pub(crate) fn try_run_as(&self, user: &str, sql: &str) -> Output {
        self.psql().args(["-U", user, "-c", sql]).output().unwrap()
    }

    /// Runs `sql` in a transaction that stays open until the returned guard is committed or dropped.
    #[track_caller]
    pub(crate) fn begin(&self, sql: &str) -> Transaction {
        let mut psql = ChildProcess::start(self.psql().stdin(Stdio::piped()).stdout(Stdio::null()));
        let stdin = psql.child().stdin.as_mut().unwrap();
        stdin.write_all(format!("BEGIN; {sql}; SELECT 'has run';\n").as_bytes()).unwrap();
        let has_run = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND state = 'idle in transaction' AND query LIKE 'SELECT ''has run''%'";
        eventually("the statement has run", || (self.run(has_run) == "1").then_some(()));
        Transaction { psql }
    }

    /// Locks the table `workspaces` exclusively, readers included, until the guard is dropped.
    #[track_caller]
    pub(crate) fn lock_workspaces(&self) -> ChildProcess {
        let mut part = ChildProcess::start(self.psql().stdin(Stdio::piped()));
        // The transaction stays open as long as stdin does.
        part.child().stdin.as_mut().unwrap().write_all(b"BEGIN; LOCK TABLE workspaces;\n").unwrap();
        eventually("the table is locked", || {
            let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted \
                        AND relation = 'workspaces'::regclass";
            (self.run(held) == "1").then_some(())
        });
        part
    }

    fn psql(&self) -> Command {
        let mut psql = self.postgres.client("psql", &self.name);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        psql
    }
}

/// An open transaction. Dropping it rolls it back.
pub(crate) struct Transaction {
    psql: ChildProcess,
}

impl Transaction {
    /// Commits the transaction.
    #[track_caller]
    pub(crate) fn commit(mut self) {
        let child = self.psql.child();
        child.stdin.take().unwrap().write_all(b"COMMIT;\n").unwrap();
        assert!(child.wait().unwrap().success());
    }
}

/// Returns the path of a program of the newest installed version.
#[track_caller]
fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().filter_map(Result::ok);
    let newest = versions.max_by_key(|entry| {
        entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()).unwrap_or_default()
    });
    let installed = newest.map(|entry| entry.path().join("bin").join(name)).filter(|file| file.is_file());
    installed.unwrap_or_else(|| program(name))
}

/// Returns a command that runs as the owner of the server's files: PostgreSQL refuses to run as root.
#[track_caller]
fn as_admin(name: &str) -> Command {
    let mut command = Command::new(program("setpriv"));
    command.args(["--reuid", ADMIN, "--regid", ADMIN, "--init-groups"]).arg(binary(name));
    command.env_clear().env("LC_ALL", "C").current_dir("/");
    command
}

#[track_caller]
fn succeeded(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}
