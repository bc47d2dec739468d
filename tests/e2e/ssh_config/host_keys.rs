//! Host keys that OpenSSH accepts.

use eice::emulator::{Backend, InstanceSpec};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn changed_machine_is_refused() {
    let lab = Lab::new().await;
    lab.ssh("true").await.expect_success();
    let other = Sshd::start();
    other.set_metadata_url(&lab.world.emulator.access().metadata_url(&lab.world.instance()));
    let spec = InstanceSpec { backend: Backend::Forward(other.addr), ..InstanceSpec::default() };
    lab.world.emulator.add_instance(spec).await.unwrap();
    let said = lab.ssh("true").await;
    assert_eq!(said.code, Some(255));
    assert!(said.stderr.contains("REMOTE HOST IDENTIFICATION HAS CHANGED"), "{}", said.stderr);
    other.is_idle();
    lab.wait_until_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn pinned_key_passes_strict_checking() {
    let lab = Lab::with(&["--host-key", "strict"]).await;
    let said = lab.ssh("true").await;
    assert_eq!(said.code, Some(255));
    assert!(said.stderr.contains("Host key verification failed"), "{}", said.stderr);
    lab.local_user
        .run("eice", &["ssh", "-l", &lab.sshd.user.name, INSTANCE, "--", "true"], b"")
        .await
        .expect_success();
    lab.ssh("true").await.expect_success();
    let known = lab.local_user.file("home/.ssh/known_hosts");
    assert!(!known.exists(), "ssh has it from eice alone");
    lab.wait_until_clean();
}
