//! A real ssh-agent.

use std::process::{Command, Stdio};

use super::managed_process::ChildProcess;
use super::require::program;
use super::wait::eventually;

/// A running agent, ended on drop.
pub(crate) struct Agent {
    part: ChildProcess,
    socket: String,
}

impl Agent {
    #[track_caller]
    pub(crate) fn start(socket: &str) -> Self {
        let mut command = Command::new(program("ssh-agent"));
        command.args(["-D", "-a", socket]).stdin(Stdio::null()).stdout(Stdio::null());
        let part = ChildProcess::start(&mut command);
        eventually("the agent listens", || std::path::Path::new(socket).exists().then_some(()));
        Self { part, socket: socket.to_owned() }
    }

    /// Adds the private key in `file`.
    #[track_caller]
    pub(crate) fn add(&self, file: &str) {
        let mut command = Command::new(program("ssh-add"));
        command.arg("-q").arg(file).env("SSH_AUTH_SOCK", &self.socket).stdin(Stdio::null());
        assert!(command.status().unwrap().success(), "the agent rejects the key");
    }
}
