//! Somebody who uses the program: a home folder, credentials, and an instance with a real sshd.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use super::{INSTANCE, Said, Sshd, Tty, World, eice, eventually};

/// A user of `eice` with an instance that runs a real sshd.
pub(crate) struct Station {
    pub(crate) world: World,
    pub(crate) home: tempfile::TempDir,
    /// `USER@INSTANCE`.
    pub(crate) destination: String,
    pub(crate) sshd: Sshd,
}

impl Station {
    pub(crate) async fn start() -> Self {
        Self::of(Sshd::start()).await
    }

    /// With more lines in sshd's configuration.
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

    /// A folder of this side.
    pub(crate) fn here(&self) -> &Path {
        self.home.path()
    }

    /// `eice ARGS` on pipes and in the folder of this side, to its end.
    pub(crate) async fn run(&self, args: &[&str], stdin: impl Into<Vec<u8>>) -> Output {
        let stdin = stdin.into();
        let mut command = eice(self.home.path(), &self.env());
        command.args(args).current_dir(self.home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let run = move || {
            let mut child = command.spawn().unwrap();
            let mut pipe = child.stdin.take().unwrap();
            // One that ends before it has read all is an answer as well.
            let feed = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
            let output = child.wait_with_output().unwrap();
            feed.join().unwrap();
            output
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    /// `eice ssh OPTIONS` at the instance with a command, on pipes, to its end.
    pub(crate) async fn ssh(&self, options: &[&str], command: &str, stdin: &[u8]) -> Said {
        let args = [&["ssh"], options, &[self.destination.as_str(), "--", command]].concat();
        Said::from(self.run(&args, stdin).await)
    }

    /// `eice ssh OPTIONS` at the instance in a terminal.
    #[track_caller]
    pub(crate) fn tty(&self, options: &[&str]) -> Tty {
        let args = [&["ssh"], options, &[self.destination.as_str()]].concat();
        Tty::start(&args, &self.env(), self.home.path(), None)
    }

    /// The same with a shell that answers.
    #[track_caller]
    pub(crate) fn at_shell(&self, options: &[&str]) -> Tty {
        let mut tty = self.tty(options);
        tty.types("echo ready-$((40+2))\r");
        tty.until("ready-42");
        tty
    }

    /// Waits until nothing is left of what was: no process at the instance, no tunnel.
    #[track_caller]
    pub(crate) fn is_idle(&self) {
        self.sshd.is_idle();
        eventually("the tunnel is closed", || (self.world.emulator.open_tunnels() == 0).then_some(()));
    }
}

/// What a program said.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
