//! OpenSSH's server on a socket pair: one process per connection, no port.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::ssh::EphemeralKey;

/// A server's configuration, keys and log in a private folder.
pub(super) struct Sshd {
    folder: TempDir,
    pub(super) key: EphemeralKey,
}

impl Sshd {
    /// Creates a server that accepts root with [`Sshd::key`], with the host key types `host_keys` and further lines of
    /// configuration.
    pub(super) fn new(host_keys: &[&str], config: &str) -> Self {
        let server = Self { folder: tempfile::tempdir().unwrap(), key: EphemeralKey::generate().unwrap() };
        // sshd requires its privilege separation folder even if it does not separate.
        fs::create_dir_all("/run/sshd").expect("run the tests as root, with openssh-server installed");
        fs::write(server.path("authorized_keys"), server.key.public_openssh().unwrap()).unwrap();
        // A private home: the machine owner's profile may print something, or be slow.
        let mut text = format!(
            "SetEnv HOME={}\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nLogLevel DEBUG1\nPrintMotd no\nPrintLastLog no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nAcceptEnv LANG\nAuthorizedKeysFile {}\n{config}\n",
            server.folder.path().display(),
            server.path("authorized_keys").display()
        );
        for kind in host_keys {
            let path = server.path(kind);
            let made = std::process::Command::new("ssh-keygen")
                .args(["-q", "-N", "", "-t", kind, "-f"])
                .arg(&path)
                .status()
                .expect("ssh-keygen: install openssh-server");
            assert!(made.success());
            text.push_str(&format!("HostKey {}\n", path.display()));
        }
        fs::write(server.path("config"), text).unwrap();
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Connects to a new server process, which ends with the connection.
    pub(super) fn connect(&self) -> (UnixStream, Child) {
        let (ours, theirs) = StdUnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .arg("-i")
            .arg("-f")
            .arg(self.path("config"))
            .arg("-E")
            .arg(self.path("log"))
            .stdin(Stdio::from(OwnedFd::from(theirs.try_clone().unwrap())))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("/usr/sbin/sshd: install openssh-server");
        (UnixStream::from_std(ours).unwrap(), child)
    }

    /// Returns the public host key of `kind`, as `ssh-ed25519 AAAA…`.
    pub(super) fn host_key(&self, kind: &str) -> String {
        fs::read_to_string(self.path(&format!("{kind}.pub"))).unwrap().trim().to_owned()
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}
