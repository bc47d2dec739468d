//! Copies files, compared with scp directly to the same sshd; and many files over one connection, compared with one
//! connection per file, as the platform writes them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]
#![allow(missing_docs, unreachable_pub, reason = "a benchmark has no users")]

#[path = "../tests/e2e/lab/mod.rs"]
mod lab;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use eice::files::{CopyOptions, Files, RemotePath};
use eice::model::{Connect, Exit, Shell, Target, TerminalEvent, TerminalRequest};
use eice::ssh;
use lab::World;
use support::openssh::OpenSsh;
use support::paired::Pairs;

const BYTES: usize = 256 << 20;
const MANY: usize = 100;
const SMALL: usize = 4096;
const PAIRS: usize = 5;
/// A connection for each file takes a hundred times as long.
const SLOW_PAIRS: usize = 2;

#[tokio::main]
async fn main() {
    let openssh = OpenSsh::start();
    let world = World::of(&openssh.sshd).await;
    let here = tempfile::tempdir().unwrap();
    let (large, many) = (here.path().join("large"), here.path().join("many"));
    fs::write(&large, noise(BYTES)).unwrap();
    fs::create_dir(&many).unwrap();
    for number in 0..MANY {
        fs::write(many.join(number.to_string()), noise(SMALL + number)).unwrap();
    }
    let home = openssh.sshd.home();

    // The programs, start and connecting included.
    let (mut ups, mut downs, mut trees) = (Pairs::default(), Pairs::default(), Pairs::default());
    for pair in 0..PAIRS {
        let name = |who: &str| format!("{who}{pair}");
        let ours = eice(&world, here.path(), &["cp"], &large, &name("up"), false);
        ups.push(rate(ours), rate(run(openssh.scp(&["-q"], large.to_str().unwrap(), &name("peer"), false))));
        assert!(same(&home.join(name("up")), &large) && same(&home.join(name("peer")), &large));
        let back = here.path().join("back");
        let ours = eice(&world, here.path(), &["cp"], &back, &name("up"), true);
        assert!(same(&back, &large));
        downs.push(rate(ours), rate(run(openssh.scp(&["-q"], back.to_str().unwrap(), &name("up"), true))));
        for file in [home.join(name("up")), home.join(name("peer")), back] {
            fs::remove_file(file).unwrap();
        }
        let ours = eice(&world, here.path(), &["cp", "-r"], &many, &name("tree"), false);
        trees.push_times(ours, run(openssh.scp(&["-qr"], many.to_str().unwrap(), &name("peer-tree"), false)));
        assert_eq!(fs::read_dir(home.join(name("tree"))).unwrap().count(), MANY);
    }
    ups.report("eice cp, 256 MiB up", "MiB/s", "scp");
    downs.report("eice cp, 256 MiB down", "MiB/s", "scp");
    trees.report("eice cp -r, 100 files of 4 KiB", "ms", "scp -r");

    let mut each = Pairs::default();
    for pair in 0..SLOW_PAIRS {
        let ours = one_connection(&world, &many, &format!("one{pair}")).await;
        each.push_times(ours, a_connection_each(&world, &many, &format!("each{pair}")).await);
    }
    each.report("100 files of 4 KiB, one connection", "ms", "a connection each");
}

/// MiB a second.
fn rate(time: Duration) -> f64 {
    BYTES as f64 / f64::from(1 << 20) / time.as_secs_f64()
}

/// `len` bytes, the same ones for the same `len`.
fn noise(len: usize) -> Vec<u8> {
    lab::noise(len as u64, len)
}

fn same(a: &Path, b: &Path) -> bool {
    fs::read(a).unwrap() == fs::read(b).unwrap()
}

fn run(mut command: Command) -> Duration {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).status().unwrap();
    let time = start.elapsed();
    assert!(status.success(), "{command:?} ended with {status}");
    time
}

/// `eice cp` between `local` and `remote`, `down` or up.
fn eice(world: &World, home: &Path, verb: &[&str], local: &Path, remote: &str, down: bool) -> Duration {
    let target = world.target();
    let remote = format!("{}@{}:{remote}", target.os_user, target.instance);
    let local = local.to_str().unwrap().to_owned();
    let mut eice = lab::eice(home, &world.emulator.access().env());
    eice.args(verb).args(if down { [remote, local] } else { [local, remote] });
    run(eice)
}

/// Connects once and copies all.
async fn one_connection(world: &World, many: &PathBuf, to: &str) -> Duration {
    let client = world.client(|_, _, connect| connect.ssh = ssh::Config::bulk());
    let start = Instant::now();
    let host = client.connect(&Target::from(world.target()), &|_: _| {}).await.unwrap();
    let to = RemotePath::new(to).unwrap();
    let options = CopyOptions::new(true, false);
    let copied = Files::of(&*host).upload(std::slice::from_ref(many), &to, options, &|_| {}).await.unwrap();
    assert_eq!(copied.files, MANY as u64);
    host.close().await;
    start.elapsed()
}

/// What the platform runs for each file, by the same client: a key, a tunnel, a connection and `install`.
async fn a_connection_each(world: &World, many: &Path, to: &str) -> Duration {
    let client = world.client(|_, _, _| {});
    let start = Instant::now();
    for entry in fs::read_dir(many).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut target = world.target();
        target.shell = Shell::Command(format!("install -D -m 0644 /dev/stdin '{to}/{name}'"));
        let host = client.connect(&Target::from(target), &|_: _| {}).await.unwrap();
        let mut terminal = host.open_terminal(&TerminalRequest::without_pty(), &|_: _| {}).await.unwrap();
        terminal.input.write(fs::read(&path).unwrap().into()).await.unwrap();
        terminal.input.end().await.unwrap();
        let mut exit = None;
        while let Some(event) = terminal.output.next().await {
            if let TerminalEvent::Exit(status) = event.unwrap() {
                exit = Some(status);
            }
        }
        assert_eq!(exit, Some(Exit::Code(0)));
        host.close().await;
    }
    start.elapsed()
}
