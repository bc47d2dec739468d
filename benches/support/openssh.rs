//! OpenSSH straight to the sshd that the tunnel leads to: the peer of every figure.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::lab::{RunDir, Sshd, program, run_ok};

/// A real sshd that takes a key of its own besides the pushed ones, and the system's ssh that has it.
#[derive(Debug)]
pub struct OpenSsh {
    /// The server, which the emulator forwards to as well.
    pub sshd: Sshd,
    key: PathBuf,
    _dir: RunDir,
}

impl OpenSsh {
    /// Starts the server.
    pub fn start() -> Self {
        let dir = RunDir::new("bench");
        let key = dir.join("key");
        run_ok("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key.to_str().unwrap()]);
        // Inside a Match block, so that it wins over the `AuthorizedKeysFile none` above it.
        let lines = format!("Match all\nAuthorizedKeysFile {}.pub\n", key.display());
        Self { sshd: Sshd::with(&lines, &[]), key, _dir: dir }
    }

    /// `ssh`, with no configuration, no agent and no host-key prompt in its way.
    pub fn command(&self, remote: &[&str]) -> Command {
        self.command_with(&[], remote)
    }

    /// The same with more options.
    pub fn command_with(&self, options: &[&str], remote: &[&str]) -> Command {
        let mut ssh = Command::new(program("ssh"));
        ssh.args(self.options())
            .args(["-p", &self.sshd.addr.port().to_string()])
            .args(options)
            .arg(format!("{}@{}", self.sshd.user.name, self.sshd.addr.ip()))
            .args(remote)
            .stdin(Stdio::null());
        ssh
    }

    /// `scp` between `local` and `remote`, `down` or up.
    pub fn scp(&self, flags: &[&str], local: &str, remote: &str, down: bool) -> Command {
        let mut scp = Command::new(program("scp"));
        let remote = format!("{}@{}:{remote}", self.sshd.user.name, self.sshd.addr.ip());
        scp.args(flags)
            .args(self.options())
            .args(["-P", &self.sshd.addr.port().to_string()])
            .args(if down { [remote.as_str(), local] } else { [local, remote.as_str()] })
            .stdin(Stdio::null());
        scp
    }

    /// No configuration, no agent, no host-key prompt, and the key.
    fn options(&self) -> Vec<String> {
        let mut options = vec!["-F".to_owned(), "none".to_owned()];
        for option in [
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "LogLevel=ERROR",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
        ] {
            options.extend(["-o".to_owned(), option.to_owned()]);
        }
        options.extend(["-i".to_owned(), self.key.display().to_string()]);
        options
    }

    /// How long a connection takes whose only command is `true`.
    pub fn connect(&self) -> Duration {
        let start = Instant::now();
        let status = self.command(&["true"]).status().unwrap();
        assert!(status.success(), "ssh ended with {status}\n{}", self.sshd.log());
        start.elapsed()
    }
}
