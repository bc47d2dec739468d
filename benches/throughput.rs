//! Transfers verified data both ways, compared with OpenSSH connected directly to the same sshd.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]
#![allow(missing_docs, unreachable_pub, reason = "a benchmark has no users")]

#[path = "../tests/e2e/lab/mod.rs"]
mod lab;
mod support;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use eice::connect::Connector;
use eice::model::{Connect, Host, Shell, Target, Terminal, TerminalEvent, TerminalRequest};
use eice::ssh;
use lab::World;
use support::openssh::OpenSsh;
use support::paired::Pairs;

const BYTES: usize = 256 << 20;
const PIECE: usize = 64 << 10;
const PAIRS: usize = 5;

#[tokio::main]
async fn main() {
    let openssh = OpenSsh::start();
    let world = World::of(&openssh.sshd).await;
    let client = world.client(|_, _, connect| connect.ssh = ssh::Config::bulk());
    let (down, up) = (format!("head -c {BYTES} /dev/zero"), "exec cat > /dev/null".to_owned());

    let (mut downs, mut ups) = (Pairs::default(), Pairs::default());
    for _ in 0..PAIRS {
        downs.push(
            rate(download(&world, &client, &down).await),
            rate(peer_download(&mut openssh.command(&[&down]))),
        );
        ups.push(rate(upload(&world, &client, &up).await), rate(peer_upload(&mut openssh.command(&[&up]))));
    }
    downs.report("download", "MiB/s", "ssh");
    ups.report("upload", "MiB/s", "ssh");
}

/// MiB a second.
fn rate(time: Duration) -> f64 {
    BYTES as f64 / f64::from(1 << 20) / time.as_secs_f64()
}

/// Both subjects connect first: what is timed is the stream.
async fn open(world: &World, client: &Connector, command: &str) -> (Box<dyn Host>, Terminal) {
    let mut target = world.target();
    target.shell = Shell::Command(command.into());
    let host = client.connect(&Target::from(target), &|_: _| {}).await.unwrap();
    let terminal = host.open_terminal(&TerminalRequest::without_pty(), &|_: _| {}).await.unwrap();
    (host, terminal)
}

async fn download(world: &World, client: &Connector, command: &str) -> Duration {
    let (host, mut terminal) = open(world, client, command).await;
    let mut first = None;
    let mut seen = 0;
    while let Some(event) = terminal.output.next().await {
        if let TerminalEvent::Output(data) = event.unwrap() {
            first.get_or_insert_with(Instant::now);
            seen += data.len();
        }
    }
    let time = first.unwrap().elapsed();
    assert_eq!(seen, BYTES);
    host.close().await;
    time
}

fn peer_download(ssh: &mut Command) -> Duration {
    let mut child = ssh.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut buffer = vec![0; PIECE];
    let mut seen = stdout.read(&mut buffer).unwrap();
    let start = Instant::now();
    loop {
        match stdout.read(&mut buffer).unwrap() {
            0 => break,
            n => seen += n,
        }
    }
    let time = start.elapsed();
    assert_eq!(seen, BYTES);
    assert!(child.wait().unwrap().success());
    time
}

async fn upload(world: &World, client: &Connector, command: &str) -> Duration {
    let (host, mut terminal) = open(world, client, command).await;
    let piece = Bytes::from(vec![0; PIECE]);
    let start = Instant::now();
    for _ in 0..BYTES / PIECE {
        terminal.input.write(piece.clone()).await.unwrap();
    }
    terminal.input.end().await.unwrap();
    // The exit says that all of it has arrived.
    while let Some(event) = terminal.output.next().await {
        event.unwrap();
    }
    let time = start.elapsed();
    host.close().await;
    time
}

fn peer_upload(ssh: &mut Command) -> Duration {
    let mut child = ssh.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let piece = vec![0; PIECE];
    // The first piece waits for the connection, as far as the pipe and ssh hold it back.
    stdin.write_all(&piece).unwrap();
    let mut sent = PIECE;
    let mut start = Instant::now();
    while sent < BYTES {
        stdin.write_all(&piece).unwrap();
        sent += PIECE;
        if sent == 4 * PIECE {
            // What a pipe and ssh's own buffer take before there is a connection.
            start = Instant::now();
        }
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
    start.elapsed()
}
