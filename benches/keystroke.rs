//! Measures the echo of a key from the instance's PTY, compared with OpenSSH connected directly to the same sshd.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]
#![allow(missing_docs, unreachable_pub, reason = "a benchmark has no users")]

#[path = "../tests/e2e/lab/mod.rs"]
mod lab;
mod support;

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use eice::model::{Shell, Terminal, TerminalEvent, TerminalRequest};
use lab::World;
use support::openssh::OpenSsh;
use support::paired::{Pairs, millis, quantile};

/// Answers each key with itself, through a PTY, with the line discipline out of the way.
const ECHO: &str = "stty raw -echo; printf ready; exec cat";
const KEYS: usize = 1000;
const WARM_UP: usize = 50;

#[tokio::main]
async fn main() {
    let openssh = OpenSsh::start();
    let world = World::of(&openssh.sshd).await;
    let mut target = world.target();
    target.shell = Shell::Command(ECHO.into());
    let host = world.host(&target).await;
    let mut ours = host.open_terminal(&TerminalRequest::default(), &|_: _| {}).await.unwrap();
    read(&mut ours, b"ready").await;

    let mut ssh =
        openssh.command_with(&["-tt"], &[ECHO]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut to_ssh, mut from_ssh) = (ssh.stdin.take().unwrap(), ssh.stdout.take().unwrap());
    from_ssh.read_exact(&mut [0; 5]).unwrap();

    let mut pairs = Pairs::default();
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for key in 0..KEYS + WARM_UP {
        let byte = b'a' + u8::try_from(key % 26).unwrap();
        let start = Instant::now();
        ours.input.write(Bytes::copy_from_slice(&[byte])).await.unwrap();
        read(&mut ours, &[byte]).await;
        let eice = start.elapsed();
        let peer = tokio::task::block_in_place(|| {
            let start = Instant::now();
            to_ssh.write_all(&[byte]).unwrap();
            let mut back = [0];
            from_ssh.read_exact(&mut back).unwrap();
            assert_eq!(back, [byte]);
            start.elapsed()
        });
        if key >= WARM_UP {
            pairs.push_times(eice, peer);
            mine.push(millis(eice));
            theirs.push(millis(peer));
        }
        // A person does not type back to back: whatever polls or batches shows in the pauses.
        tokio::time::sleep(Duration::from_micros(500 + 37 * (key as u64 % 50))).await;
    }
    pairs.report("keystroke echo", "ms", "ssh -tt");
    for (share, name) in [(0.5, "p50"), (0.9, "p90"), (0.99, "p99")] {
        println!("  {name}  eice {:.3} ms | ssh {:.3} ms", quantile(&mine, share), quantile(&theirs, share));
    }
    ssh.kill().unwrap();
    ssh.wait().unwrap();
    ours.control.close().await;
    host.close().await;
}

/// Reads exactly `wanted`.
async fn read(terminal: &mut Terminal, wanted: &[u8]) {
    let mut seen = Vec::new();
    while seen.len() < wanted.len() {
        match terminal.output.next().await.unwrap().unwrap() {
            TerminalEvent::Output(data) => seen.extend_from_slice(&data),
            other => panic!("{other:?} instead of {wanted:?}"),
        }
    }
    assert_eq!(seen, wanted);
}
