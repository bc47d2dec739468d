//! A real OpenSSH sshd on a loopback port, which gets the pushed keys from the emulated metadata service.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::keys::keygen;
use super::managed_process::ChildProcess;
use super::process::Process;
use super::require::{program, root};
use super::run_dir::RunDir;
use super::user::User;
use super::wait::{WAIT_TIMEOUT, eventually, poll};

/// How many free ports are tried: another process may take one first.
const PORTS_TRIED: u32 = 10;

/// What EC2 Instance Connect's package runs as AuthorizedKeysCommand, without its signature checks.
const KEYS_COMMAND: &str = r#"#!/bin/sh
exec curl -sf --max-time 5 "$(cat "$(dirname "$0")/metadata-url")/latest/meta-data/managed-ssh-keys/active-keys/$1/"
"#;

/// A running sshd with its own user.
#[derive(Debug)]
pub(crate) struct Sshd {
    // Dropped in this order: the server, then the user and its processes, then the folder.
    part: ChildProcess,
    pub(crate) user: User,
    pub(crate) addr: SocketAddr,
    dir: RunDir,
}

impl Sshd {
    /// Starts an sshd with the defaults of OpenSSH, except for the source of its keys.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::with("", &[])
    }

    /// The same with more lines of configuration, and its user in `groups`.
    #[track_caller]
    pub(crate) fn with(lines: &str, groups: &[&str]) -> Self {
        Self::of_kind("ed25519", lines, groups)
    }

    /// The same with a host key of `kind`, in the notation of ssh-keygen.
    #[track_caller]
    pub(crate) fn of_kind(kind: &str, lines: &str, groups: &[&str]) -> Self {
        root("an sshd that serves another user");
        let (sshd, dir) = (program("sshd"), RunDir::new("sshd"));
        let curl = program("curl");
        let user = User::new(&dir.join("home"), groups);
        // sshd's privilege separation directory.
        fs::create_dir_all("/run/sshd").unwrap();
        let host_key = dir.join("host_key");
        keygen(kind, "", "", &host_key);
        let command = KEYS_COMMAND.replace("exec curl", &format!("exec {}", curl.display()));
        let keys = dir.write("keys", &command, 0o755);
        let log = dir.join("log");
        for _ in 0..PORTS_TRIED {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
            let config = format!(
                "ListenAddress {free}\nHostKey {}\nPidFile none\nUsePAM no\nUseDNS no\nLogLevel VERBOSE\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nAuthorizedKeysFile none\n\
                 AuthorizedKeysCommand {} %u\nAuthorizedKeysCommandUser nobody\nAllowUsers {}\n\
                 AcceptEnv LANG LC_* TERM\nSubsystem sftp internal-sftp\nPrintMotd no\nPrintLastLog no\n\
                 MaxStartups 100\n{lines}\n",
                host_key.display(),
                keys.display(),
                user.name,
            );
            let config = dir.write("config", &config, 0o644);
            fs::write(&log, "").unwrap();
            let mut server = Command::new(&sshd);
            server.arg("-D").arg("-f").arg(config).arg("-E").arg(&log);
            server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut part = ChildProcess::start(&mut server);
            let listens = eventually("sshd listens", || {
                let text = fs::read_to_string(&log).unwrap_or_default();
                text.contains("Server listening on").then_some(true).or((!part.is_running()).then_some(false))
            });
            if listens {
                return Self { part, user, addr: free, dir };
            }
            let text = fs::read_to_string(&log).unwrap_or_default();
            assert!(text.contains("Address already in use"), "sshd ended:\n{text}");
        }
        panic!("{PORTS_TRIED} ports that were free were all taken");
    }

    /// Sets the URL of its instance's emulated metadata service.
    pub(crate) fn set_metadata_url(&self, metadata_url: &str) {
        self.dir.write("metadata-url", metadata_url, 0o644);
    }

    /// Returns its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Returns the public half of its host key, as `ssh-ed25519 AAAA…`.
    pub(crate) fn host_key(&self) -> String {
        fs::read_to_string(self.dir.join("host_key.pub")).unwrap().trim().to_owned()
    }

    /// Returns the home of its user.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    /// Returns the processes that serve connections, and their descendants.
    pub(crate) fn serving(&self) -> Vec<Process> {
        let mut serving = Process::descendants(self.part.process.pid);
        for process in self.user.processes() {
            if !serving.contains(&process) {
                serving.push(process);
            }
        }
        serving
    }

    /// Waits until no connection is served and the user has no process.
    #[track_caller]
    pub(crate) fn is_idle(&self) {
        let mut left = Vec::new();
        let idle = poll(WAIT_TIMEOUT, || {
            left = self.serving();
            left.is_empty().then_some(())
        });
        assert!(idle.is_some(), "still there after {WAIT_TIMEOUT:?}: {left:#?}\n{}", self.log());
    }

    /// Kills the server, so that its port is closed.
    pub(crate) fn stop(&mut self) {
        self.part.kill();
    }
}
