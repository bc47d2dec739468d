//! `aws ec2-instance-connect ssh` without the subprocesses that aws-cli starts.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::scene::{Scene, finish, instance};
use crate::lab::{Sshd, eventually, keygen};

const SSH: [&str; 4] = ["ec2-instance-connect", "ssh", "--instance-id", instance()];

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    SSH.iter().copied().chain(more.iter().copied()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_works_by_tunnel_and_directly() {
    let sshd = Sshd::start();
    let scene = Scene::of_sshd(&sshd).await;
    let user = sshd.user.name.clone();
    let said = scene.run(&args(&["--os-user", &user]), b"id -un; echo err >&2; exit 3\n").await;
    assert_eq!((said.code, said.stdout, said.stderr), (3, format!("{user}\n"), "err\n".to_owned()));
    eventually("the tunnel is closed", || (scene.world.emulator.open_tunnels() == 0).then_some(()));

    // The host key is valid for the direct connection too, which opens no tunnel.
    let port = sshd.addr.port().to_string();
    let direct = [
        "--os-user",
        &user,
        "--connection-type",
        "direct",
        "--instance-ip",
        "127.0.0.1",
        "--ssh-port",
        &port,
    ];
    scene.proxy.take_targets();
    let mut command = scene.aws(&args(&direct));
    command.env("EICE_HOST_KEY", "strict");
    let said = finish(command, b"echo $SSH_CONNECTION\n").await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.starts_with("127.0.0.1 "), "{}", said.stdout);
    assert_eq!(scene.proxy.take_targets(), Vec::<String>::new());
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn own_key_logs_in_without_push() {
    let sshd = Sshd::start();
    let scene = Scene::of_sshd(&sshd).await;
    let user = sshd.user.name.clone();
    let key = scene.home.path().join("key").to_str().unwrap().to_owned();
    let own = ["--os-user", &user, "--private-key-file", &key];
    let said = scene.run(&args(&own), b"echo in\n").await;
    assert_eq!(said.code, 255, "the instance does not know it yet: {}", said.stderr);
    let public = scene.public_key();
    let push = ["ec2-instance-connect", "send-ssh-public-key", "--instance-id", instance()];
    let push = [&push[..], &["--instance-os-user", &user, "--ssh-public-key", &public]].concat();
    assert_eq!(scene.run(&push, b"").await.code, 0);
    let said = scene.run(&args(&own), b"echo in\n").await;
    assert_eq!((said.code, said.stdout.as_str()), (0, "in\n"), "{}", said.stderr);
    let pushes =
        scene.world.emulator.records().into_iter().map(|record| serde_json::to_value(record).unwrap());
    assert_eq!(pushes.filter(|record| record["eventName"] == "SendSSHPublicKey").count(), 1, "only our own");

    let rsa = scene.home.path().join("rsa");
    keygen("rsa", "", "", &rsa);
    for (file, said_of_it) in [(rsa.to_str().unwrap(), "keys are not supported"), ("nope", "No such file")] {
        let said = scene.run(&args(&["--os-user", &user, "--private-key-file", file]), b"").await;
        assert_eq!(said.code, 255);
        assert!(said.stderr.contains(said_of_it) && said.stderr.contains(file), "{}", said.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn local_port_is_forwarded() {
    let sshd = Sshd::start();
    let scene = Scene::of_sshd(&sshd).await;
    let user = sshd.user.name.clone();
    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let forward = format!("{port}:127.0.0.1:{}", behind.local_addr().unwrap().port());
    let echo = tokio::spawn(async move {
        let (mut stream, _) = behind.accept().await.unwrap();
        let mut got = [0; 5];
        stream.read_exact(&mut got).await.unwrap();
        stream.write_all(&got).await.unwrap();
    });
    let args = args(&["--os-user", &user, "--local-forwarding", &forward]);
    let mut child = tokio::process::Command::from(scene.aws(&args));
    let mut child = child.stdin(std::process::Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    stdin.write_all(b"echo ready\n").await.unwrap();
    let mut ready = [0; 6];
    tokio::time::timeout(super::scene::LONG, stdout.read_exact(&mut ready)).await.unwrap().unwrap();
    let mut through = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    through.write_all(b"hello").await.unwrap();
    let mut got = [0; 5];
    tokio::time::timeout(super::scene::LONG, through.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(&got, b"hello");
    drop(through);
    stdin.write_all(b"exit 4\n").await.unwrap();
    let status = tokio::time::timeout(super::scene::LONG, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(4));
    echo.await.unwrap();

    let said = scene
        .run(&["ec2-instance-connect", "ssh", "--instance-id", instance(), "--local-forwarding", "x"], b"")
        .await;
    assert_eq!(said.code, 252);
    assert!(said.stderr.contains("--local-forwarding"), "{}", said.stderr);
}
