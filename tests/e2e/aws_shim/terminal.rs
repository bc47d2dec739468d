//! `aws` at a terminal: a shell, a passphrase prompt, and what refuses a terminal.

use super::scene::{Scene, instance};
use crate::lab::{Sshd, Tty, keygen};

/// Starts `aws ec2-instance-connect COMMAND --instance-id … MORE` at a terminal.
fn at_terminal(scene: &Scene, command: &str, more: &[&str]) -> Tty {
    let program = scene.home.path().join("aws");
    let args = [&["ec2-instance-connect", command, "--instance-id", instance()], more].concat();
    let env = scene.env();
    let env: Vec<(&str, String)> = env.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    Tty::of(&program, &args, &env, scene.home.path(), None)
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_mode_is_restored() {
    let sshd = Sshd::start();
    let scene = Scene::of_sshd(&sshd).await;
    let mut tty = at_terminal(&scene, "ssh", &["--os-user", &sshd.user.name]);
    tty.types("stty size; [ -t 0 ] && echo a-termi''nal\n");
    tty.until("30 100");
    tty.until("a-terminal");
    tty.types("exit 3\n");
    assert_eq!(tty.ends().code(), Some(3));
    assert!(tty.is_restored());
}

#[tokio::test(flavor = "multi_thread")]
async fn passphrase_is_hidden() {
    let sshd = Sshd::start();
    let scene = Scene::of_sshd(&sshd).await;
    let user = sshd.user.name.clone();
    let key = scene.home.path().join("locked").to_str().unwrap().to_owned();
    keygen("ed25519", "open sesame", "", &key);
    let public = format!("file://{key}.pub");
    let push = ["ec2-instance-connect", "send-ssh-public-key", "--instance-id", instance()];
    let push = [&push[..], &["--instance-os-user", &user, "--ssh-public-key", &public]].concat();
    assert_eq!(scene.run(&push, b"").await.code, 0);
    let more = ["--os-user", user.as_str(), "--private-key-file", key.as_str()];
    let mut tty = at_terminal(&scene, "ssh", &more);
    tty.until("Enter passphrase for key");
    tty.types("open sesame\n");
    tty.types("echo logged-''in; exit\n");
    tty.until("logged-in");
    assert_eq!(tty.ends().code(), Some(0));
    assert!(!tty.said().contains("sesame"), "{}", tty.said());

    let mut tty = at_terminal(&scene, "ssh", &more);
    tty.until("Enter passphrase for key");
    tty.types("wrong\n");
    tty.until("the passphrase is wrong");
    assert_eq!(tty.ends().code(), Some(255));
    let mut tty = at_terminal(&scene, "ssh", &more);
    tty.until("Enter passphrase for key");
    tty.types("\u{3}");
    assert_eq!(tty.ends().code(), Some(130));
    assert!(tty.is_restored());
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnel_on_terminal_is_refused() {
    let scene = Scene::start().await;
    let mut tty = at_terminal(&scene, "open-tunnel", &[]);
    tty.until("This command does not support interactive mode. You must use this command as a proxy or in listener mode.");
    assert_eq!(tty.ends().code(), Some(252));
}
