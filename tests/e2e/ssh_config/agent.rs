//! The agent that lends ssh its key: whom it serves, when, and how it ends.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use eice::emulator::IamPolicy;
use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::lab::Process;

impl Lab {
    /// An ssh that stays, once it is logged in, until it or its stdin ends.
    fn stays(&self) -> Child {
        let mut command = self.person.command("ssh");
        command.args([INSTANCE, "echo in; cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut ssh = command.spawn().unwrap();
        let mut said = [0; 3];
        tokio::task::block_in_place(|| ssh.stdout.as_mut().unwrap().read_exact(&mut said)).unwrap();
        assert_eq!(&said, b"in\n");
        ssh
    }

    fn socket(&self) -> PathBuf {
        self.person.agents().join(format!("{INSTANCE}-22-{}", self.sshd.user.name))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_serves_only_its_owner() {
    let lab = Lab::new().await;
    let mut ssh = lab.stays();
    let (folder, socket) = (lab.person.agents(), lab.socket());
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&socket)), (0o700, 0o600));
    let asks = |person: &Person, args: &[&str]| {
        let mut command = person.command("ssh-add");
        command.args(args).env("SSH_AUTH_SOCK", &socket).stdin(Stdio::null());
        let output = tokio::task::block_in_place(|| command.output()).unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = asks(&lab.person, &["-l"]);
    assert_eq!(code, Some(0));
    assert!(said.lines().count() == 1 && said.contains("(ED25519)") && said.contains("eice"), "{said}");
    for refused in [&["-D"][..], &["-X"]] {
        assert_ne!(asks(&lab.person, refused).0, Some(0), "{refused:?}");
    }
    let stranger = Person::new(&lab.world);
    assert_eq!(asks(&stranger, &["-l"]).0, Some(2), "the folder keeps others out");
    for path in [&lab.person.file("run"), &folder, &socket] {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }
    assert_ne!(asks(&stranger, &["-l"]).0, Some(0), "and so does the agent itself");
    assert_eq!(asks(&lab.person, &["-l"]).0, Some(0));
    ssh.kill().unwrap();
    ssh.wait().unwrap();
    lab.is_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_ends_with_ssh_or_tunnel() {
    let lab = Lab::new().await;
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::KILL] {
        let mut ssh = lab.stays();
        assert!(lab.socket().exists());
        kill_process(Pid::from_child(&ssh), signal).unwrap();
        ssh.wait().unwrap();
        lab.is_clean();
    }
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut ssh = lab.stays();
        let tunnels = Process::descendants(ssh.id());
        let [tunnel] = tunnels.as_slice() else { panic!("{tunnels:?}") };
        tunnel.signal(signal);
        assert_eq!(tokio::task::block_in_place(|| ssh.wait()).unwrap().code(), Some(255));
        lab.is_clean();
    }
    // One that is killed cannot clean up; the next does.
    let mut ssh = lab.stays();
    Process::descendants(ssh.id())[0].kill();
    ssh.wait().unwrap();
    assert!(fs::symlink_metadata(lab.socket()).is_ok());
    lab.ssh("true").await.good();
    lab.is_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn unsafe_agent_folder_is_refused() {
    let lab = Lab::new().await;
    lab.ssh("true").await.good();
    fs::set_permissions(lab.person.agents(), Permissions::from_mode(0o755)).unwrap();
    let said = lab.ssh("true").await;
    assert_eq!(said.code, Some(255));
    assert!(said.stderr.contains("not safe") && said.stderr.contains("hint: "), "{}", said.stderr);
    lab.is_clean();
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
    lab.is_clean();
}

/// A push that takes longer than the way to the login: ssh waits for it, and tries no key before.
#[tokio::test(flavor = "multi_thread")]
async fn ssh_waits_for_slow_push() {
    let lab = Lab::new().await;
    lab.ssh("true").await.good();
    lab.world.emulator.faults().update(|faults| {
        faults.api_delay_ms = 1500;
        faults.api_action = Some("SendSSHPublicKey".into());
    });
    let began = Instant::now();
    assert_eq!(lab.ssh("echo here").await.good(), "here\n");
    assert!(began.elapsed() >= Duration::from_millis(1500));
    assert!(!lab.sshd.log().contains("Failed publickey"), "{}", lab.sshd.log());
    lab.is_clean();
}
