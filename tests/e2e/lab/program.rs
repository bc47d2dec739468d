//! The `eice` program, started as a user starts it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use eice::cli::ready::Ready;

use super::managed_process::ChildProcess;
use super::signals::restore_default_signals;

/// How long a verb may take to become ready.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// The program under test.
pub(crate) const EICE: &str = env!("CARGO_BIN_EXE_eice");

/// A running verb that serves, such as `eice serve`.
pub(crate) struct Program {
    pub(crate) part: ChildProcess,
    pub(crate) ready: Ready,
    home: tempfile::TempDir,
}

impl Program {
    /// Starts `eice ARGS` and waits for the JSON line that it prints when ready.
    #[track_caller]
    pub(crate) fn start(args: &[&str], env: &[(&str, String)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let command = eice(home.path(), env);
        Self::launch(command, args, home)
    }

    /// The same with these limits of open files, soft and hard.
    #[track_caller]
    pub(crate) fn start_with_files(args: &[&str], env: &[(&str, String)], (soft, hard): (u64, u64)) -> Self {
        Self::start_after(&format!("ulimit -Sn {soft} && ulimit -Hn {hard}"), args, env)
    }

    /// The same with `signals` ignored, as `eice ARGS &` in a script and `nohup eice ARGS` start it.
    #[track_caller]
    pub(crate) fn start_ignoring(signals: &str, args: &[&str], env: &[(&str, String)]) -> Self {
        Self::start_after(&format!("trap '' {signals}"), args, env)
    }

    /// The same from a shell that has run `setup`.
    #[track_caller]
    fn start_after(setup: &str, args: &[&str], env: &[(&str, String)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let script = format!("{setup} && exec \"$0\" \"$@\"");
        let inner = eice(home.path(), env);
        command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.arg("-c").arg(script).arg(EICE);
        Self::launch(command, args, home)
    }

    #[track_caller]
    fn launch(mut command: Command, args: &[&str], home: tempfile::TempDir) -> Self {
        let log = fs::File::create(home.path().join("stderr")).unwrap();
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut part = ChildProcess::start(&mut command);
        let stdout = part.child().stdout.take().unwrap();
        let (send, receive) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            let _ = send.send(lines.next());
            // Later output must not fill the pipe.
            lines.for_each(drop);
        });
        let line = match receive.recv_timeout(READY_TIMEOUT) {
            Ok(Some(Ok(line))) => line,
            other => {
                let text = fs::read_to_string(home.path().join("stderr")).unwrap_or_default();
                panic!("eice {args:?} is not ready ({other:?}):\n{text}");
            }
        };
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Self { part, ready, home }
    }

    /// Returns the address that it serves on.
    pub(crate) fn addr(&self) -> SocketAddr {
        let authority = self.ready.url.split("://").nth(1).unwrap();
        authority.parse().unwrap_or_else(|error| panic!("{error}: {}", self.ready.url))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.part.process.pid
    }

    /// Returns its stderr so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.home.path().join("stderr")).unwrap_or_default()
    }
}

/// Returns a command for `eice` with its home in `home` and, of this process's environment, only PATH.
pub(crate) fn eice(home: &Path, env: &[(&str, String)]) -> Command {
    restore_default_signals();
    let mut command = Command::new(EICE);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home);
    command.env("XDG_STATE_HOME", home.join("state"));
    command.envs(env.iter().map(|(name, value)| (*name, value)));
    command
}
