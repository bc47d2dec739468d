//! A real sshd: its key, its channels, its shell.

use super::{Patient, step};
use crate::lab::{Sshd, World};

#[tokio::test(flavor = "multi_thread")]
async fn sshd_rejects_key() {
    let sshd = Sshd::start();
    let patient = Patient::new(World::of(&sshd).await);
    patient.passes().await;
    sshd.is_idle();
    sshd.set_metadata_url("http://127.0.0.1:9");
    let report = patient.fails("authentication", 77, &["package ec2-instance-connect"]).await;
    assert_eq!(step(&report, "key-exchange")["outcome"], "passed");
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_limits_channels() {
    let sshd = Sshd::with("MaxSessions 0", &[]);
    let patient = Patient::new(World::of(&sshd).await);
    patient.fails("channel", 69, &["MaxSessions"]).await;
    sshd.is_idle();
    // One channel is enough for the login shell but not for a container.
    let sshd = Sshd::with("MaxSessions 1", &[]);
    let patient = Patient::new(World::of(&sshd).await);
    patient.passes().await;
    patient.with(&["--container", "web"]).fails("channel", 69, &["MaxSessions"]).await;
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn login_without_shell_or_pty() {
    let sshd = Sshd::with("ForceCommand echo not for you; exit 1", &[]);
    let patient = Patient::new(World::of(&sshd).await);
    let report = patient.fails("shell", 69, &["not for you", "ForceCommand"]).await;
    assert_eq!(step(&report, "channel")["outcome"], "passed");
    let sshd = Sshd::with("PermitTTY no", &[]);
    let patient = Patient::new(World::of(&sshd).await);
    patient.fails("shell", 69, &["PermitTTY"]).await;
    sshd.is_idle();
}
