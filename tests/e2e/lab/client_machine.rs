//! A user's machine: a home, credentials, and an instance with a real sshd.

use std::path::Path;
use std::process::Output;

use super::client_shell::run_for_output;
use super::{CommandOutput, INSTANCE, Sshd, Tty, World, eice, eventually};

/// A home in which `eice` runs, and an instance that runs a real sshd.
pub(crate) struct ClientMachine {
    pub(crate) world: World,
    pub(crate) home: tempfile::TempDir,
    /// `USER@INSTANCE`.
    pub(crate) destination: String,
    pub(crate) sshd: Sshd,
}

impl ClientMachine {
    pub(crate) async fn start() -> Self {
        Self::of(Sshd::start()).await
    }

    /// The same with more lines of sshd's configuration.
    pub(crate) async fn with(lines: &str) -> Self {
        Self::of(Sshd::with(lines, &[])).await
    }

    pub(crate) async fn of(sshd: Sshd) -> Self {
        let world = World::of(&sshd).await;
        let destination = format!("{}@{INSTANCE}", sshd.user.name);
        Self { world, home: tempfile::tempdir().unwrap(), destination, sshd }
    }

    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        self.world.emulator.access().env()
    }

    /// Returns the local folder.
    pub(crate) fn here(&self) -> &Path {
        self.home.path()
    }

    /// Runs `eice ARGS` on pipes in the local folder, to its end.
    pub(crate) async fn run(&self, args: &[&str], stdin: impl Into<Vec<u8>>) -> Output {
        let mut command = eice(self.home.path(), &self.env());
        command.args(args).current_dir(self.home.path());
        run_for_output(command, stdin.into()).await
    }

    /// Runs `command` on the instance by `eice ssh OPTIONS`, on pipes, to its end.
    pub(crate) async fn ssh(&self, options: &[&str], command: &str, stdin: &[u8]) -> CommandOutput {
        let args = [&["ssh"], options, &[self.destination.as_str(), "--", command]].concat();
        CommandOutput::from(self.run(&args, stdin).await)
    }

    /// Starts `eice ssh OPTIONS` to the instance in a terminal.
    #[track_caller]
    pub(crate) fn tty(&self, options: &[&str]) -> Tty {
        let args = [&["ssh"], options, &[self.destination.as_str()]].concat();
        Tty::start(&args, &self.env(), self.home.path(), None)
    }

    /// The same, and waits until the shell answers.
    #[track_caller]
    pub(crate) fn at_shell(&self, options: &[&str]) -> Tty {
        let mut tty = self.tty(options);
        tty.types("echo ready-$((40+2))\r");
        tty.until("ready-42");
        tty
    }

    /// Waits until the instance has no process of a connection and no tunnel is open.
    #[track_caller]
    pub(crate) fn is_idle(&self) {
        self.sshd.is_idle();
        eventually("the tunnel is closed", || (self.world.emulator.open_tunnels() == 0).then_some(()));
    }
}

/// Returns `bytes` as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
