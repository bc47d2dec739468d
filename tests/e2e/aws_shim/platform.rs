//! The command lines that the platform runs for its terminal and its file writes, unchanged.

use std::process::Stdio;

use super::listener::Listening;
use super::scene::{Scene, finish, instance};
use crate::lab::{Sshd, run_ok};

/// `ssh -o ProxyCommand='aws …'` with a key that `aws` pushed, to a real sshd.
#[tokio::test(flavor = "multi_thread")]
async fn platform_command_lines_work() {
    let sshd = Sshd::start();
    let scene = Scene::of_sshd(&sshd).await;
    let user = &sshd.user.name;
    let key = scene.public_key();
    let push = [
        "ec2-instance-connect",
        "send-ssh-public-key",
        "--region",
        "eu-west-1",
        "--instance-id",
        instance(),
        "--instance-os-user",
        user,
        "--ssh-public-key",
        &key,
    ];
    let said = scene.run(&push, b"").await;
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    let answer: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(answer["Success"], true);

    // The platform's terminal: a listener, and ssh to it.
    let listening = Listening::start(&scene, &[]);
    let key_file = scene.home.path().join("key").to_str().unwrap().to_owned();
    let common = |command: &mut std::process::Command| {
        command.args(["-F", "none", "-i", &key_file, "-o", "StrictHostKeyChecking=no"]);
        command.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]);
        command.args(["-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=3"]);
        command.env_clear().envs(scene.env()).stdin(Stdio::null());
    };
    let mut ssh = std::process::Command::new("ssh");
    common(&mut ssh);
    ssh.args(["-p", &listening.port.to_string(), &format!("{user}@127.0.0.1"), "echo through the port"]);
    let said = finish(ssh, b"").await;
    assert_eq!((said.code, said.stdout.as_str()), (0, "through the port\n"), "{}", said.stderr);

    // A user's ProxyCommand.
    let proxy = format!("aws ec2-instance-connect open-tunnel --instance-id {}", instance());
    let mut ssh = std::process::Command::new("ssh");
    common(&mut ssh);
    ssh.arg("-o").arg(format!("ProxyCommand={proxy}"));
    ssh.arg(format!("{user}@{}", instance())).arg("cat; echo; exit 5");
    let bytes = "0123456789".repeat(50_000);
    let said = finish(ssh, bytes.as_bytes()).await;
    assert_eq!(said.code, 5, "{}", said.stderr);
    assert!(said.stdout == format!("{bytes}\n"), "{} bytes", said.stdout.len());
    drop(listening);
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_verb_matches_aws_name() {
    let scene = Scene::start().await;
    let run = |program: &str, args: &[&str]| {
        let mut command = std::process::Command::new(program);
        command.args(args).env_clear().envs(scene.env());
        finish(command, b"")
    };
    let link = scene.home.path().join("aws").to_str().unwrap().to_owned();
    let by_name = run(&link, &["sts", "get-caller-identity"]).await;
    let by_verb = run(crate::lab::EICE, &["aws", "sts", "get-caller-identity"]).await;
    assert_eq!(by_name.code, 0, "{}", by_name.stderr);
    assert_eq!(by_name, by_verb);
    let with_log = run(crate::lab::EICE, &["--log", "off", "aws", "sts", "get-caller-identity"]).await;
    assert_eq!(by_name, with_log);
    // Debug output goes to stderr and contains no secret.
    let secret = scene.world.emulator.access().secret_access_key().to_owned();
    let said = run(&link, &["--debug", "sts", "get-caller-identity"]).await;
    assert_eq!(said.stdout, by_name.stdout);
    assert!(!said.stderr.is_empty() && !said.stderr.contains(&secret));
    assert!(run_ok(&link, ["help"]).contains("open-tunnel"));
}
