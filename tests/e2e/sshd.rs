//! The real client stack against OpenSSH's sshd.

use crate::lab::Sshd;

#[test]
fn an_sshd_starts_and_goes_without_a_trace() {
    let sshd = Sshd::start();
    let output = crate::lab::run(
        "ssh",
        [
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-p",
            &sshd.addr.port().to_string(),
            &format!("{}@127.0.0.1", sshd.user.name),
            "true",
        ],
    );
    assert_eq!(output.status.code(), Some(255), "no key was pushed");
    sshd.is_idle();
    assert!(sshd.host_key().starts_with("ssh-ed25519 "));
    assert!(sshd.home().is_dir());
    let (name, home) = (sshd.user.name.clone(), sshd.home());
    drop(sshd);
    assert!(!home.exists());
    assert!(!crate::lab::run("id", [name]).status.success());
}
