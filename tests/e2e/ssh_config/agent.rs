//! The agent that gives ssh its key: its clients, its lifetime and its end.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use eice::emulator::IamPolicy;
use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::lab::{Process, output, read_exact, wait_for_exit};

impl Lab {
    /// Starts an ssh that stays logged in until it or its stdin ends.
    fn stay_logged_in(&self) -> Child {
        let mut command = self.local_user.command("ssh");
        command.args([INSTANCE, "echo in; cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut ssh = command.spawn().unwrap();
        let mut said = [0; 3];
        tokio::task::block_in_place(|| read_exact(ssh.stdout.as_mut().unwrap(), &mut said));
        assert_eq!(&said, b"in\n");
        ssh
    }

    fn socket(&self) -> PathBuf {
        self.local_user.agents().join(format!("{INSTANCE}-22-{}", self.sshd.user.name))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_serves_only_its_owner() {
    let lab = Lab::new().await;
    let mut ssh = lab.stay_logged_in();
    let (folder, socket) = (lab.local_user.agents(), lab.socket());
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&socket)), (0o700, 0o600));
    let asks = |local_user: &LocalUser, args: &[&str]| {
        let mut command = local_user.command("ssh-add");
        command.args(args).env("SSH_AUTH_SOCK", &socket).stdin(Stdio::null());
        let output = tokio::task::block_in_place(|| output(&mut command));
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = asks(&lab.local_user, &["-l"]);
    assert_eq!(code, Some(0));
    assert!(said.lines().count() == 1 && said.contains("(ED25519)") && said.contains("eice"), "{said}");
    for refused in [&["-D"][..], &["-X"]] {
        assert_ne!(asks(&lab.local_user, refused).0, Some(0), "{refused:?}");
    }
    let stranger = LocalUser::new(&lab.world);
    assert_eq!(asks(&stranger, &["-l"]).0, Some(2), "the folder keeps others out");
    for path in [&lab.local_user.file("run"), &folder, &socket] {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }
    assert_ne!(asks(&stranger, &["-l"]).0, Some(0), "and so does the agent itself");
    assert_eq!(asks(&lab.local_user, &["-l"]).0, Some(0));
    ssh.kill().unwrap();
    wait_for_exit(&mut ssh);
    lab.wait_until_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_ends_with_ssh_or_tunnel() {
    let lab = Lab::new().await;
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::KILL] {
        let mut ssh = lab.stay_logged_in();
        assert!(lab.socket().exists());
        kill_process(Pid::from_child(&ssh), signal).unwrap();
        wait_for_exit(&mut ssh);
        lab.wait_until_clean();
    }
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut ssh = lab.stay_logged_in();
        let tunnels = Process::descendants(ssh.id());
        let [tunnel] = tunnels.as_slice() else { panic!("{tunnels:?}") };
        tunnel.signal(signal);
        assert_eq!(tokio::task::block_in_place(|| wait_for_exit(&mut ssh)).code(), Some(255));
        lab.wait_until_clean();
    }
    // A killed tunnel cannot clean up; the next one does.
    let mut ssh = lab.stay_logged_in();
    Process::descendants(ssh.id())[0].kill();
    wait_for_exit(&mut ssh);
    assert!(fs::symlink_metadata(lab.socket()).is_ok());
    lab.ssh("true").await.expect_success();
    lab.wait_until_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn unsafe_agent_folder_is_refused() {
    let lab = Lab::new().await;
    lab.ssh("true").await.expect_success();
    fs::set_permissions(lab.local_user.agents(), Permissions::from_mode(0o755)).unwrap();
    let said = lab.ssh("true").await;
    assert_eq!(said.code, Some(255));
    assert!(said.stderr.contains("not safe") && said.stderr.contains("hint: "), "{}", said.stderr);
    lab.wait_until_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_push_ends_ssh_with_reason() {
    let lab = Lab::new().await;
    let deny = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "ec2-instance-connect:SendSSHPublicKey", "Resource": "*"}]}"#;
    let denied: IamPolicy = serde_json::from_str(deny).unwrap();
    let key = lab.world.emulator.access().access_key_id().to_owned();
    assert!(lab.world.emulator.set_policies(&key, vec![denied]));
    let began = Instant::now();
    let said = lab.ssh("true").await;
    assert_eq!(said.code, Some(255));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(said.stderr.contains("eice: key-push: ") && said.stderr.contains("hint: "), "{}", said.stderr);
    assert!(!said.stderr.contains("Permission denied (publickey)"), "no key was tried: {}", said.stderr);
    lab.wait_until_clean();
}

/// A push that takes longer than the connection to sshd: ssh waits for it and tries no key before.
#[tokio::test(flavor = "multi_thread")]
async fn ssh_waits_for_slow_push() {
    let lab = Lab::new().await;
    lab.ssh("true").await.expect_success();
    lab.world.emulator.faults().update(|faults| {
        faults.api_delay_ms = 1500;
        faults.api_action = Some("SendSSHPublicKey".into());
    });
    let began = Instant::now();
    assert_eq!(lab.ssh("echo here").await.expect_success(), "here\n");
    assert!(began.elapsed() >= Duration::from_millis(1500));
    assert!(!lab.sshd.log().contains("Failed publickey"), "{}", lab.sshd.log());
    lab.wait_until_clean();
}
