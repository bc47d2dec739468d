//! Connects and runs one command, compared with OpenSSH connected directly to the same sshd.
//!
//! eice includes lookups, key push, TLS, the upgrade and a second TCP connection.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]
#![allow(missing_docs, unreachable_pub, reason = "a benchmark has no users")]

#[path = "../tests/e2e/lab/mod.rs"]
mod lab;
mod support;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use eice::connect::Connector;
use eice::model::{
    Connect, Exit, Shell, Stage, StageEvent, StageState, Target, TerminalEvent, TerminalRequest,
};
use lab::World;
use support::openssh::OpenSsh;
use support::paired::{Pairs, millis, quantile};

const PAIRS: usize = 15;

#[tokio::main]
async fn main() {
    let openssh = OpenSsh::start();
    let world = World::of(&openssh.sshd).await;
    let mut target = world.target();
    target.shell = Shell::Command("true".into());
    let target = Target::from(target);

    // One of each, so that no figure pays for the first page fault.
    openssh.connect();
    run(&world.connector, &target, None).await;

    let stages = Mutex::new(BTreeMap::<Stage, Vec<f64>>::new());
    let (mut cold, mut warm, mut process) = (Pairs::default(), Pairs::default(), Pairs::default());
    for _ in 0..PAIRS {
        let peer = openssh.connect();
        let fresh = world.client(|_, _, _| {});
        cold.push_times(run(&fresh, &target, Some(&stages)).await, peer);
        warm.push_times(run(&world.connector, &target, None).await, openssh.connect());
        process.push_times(program(&world), openssh.connect());
    }
    cold.report("connect, nothing cached", "ms", "ssh true");
    warm.report("connect, lookups cached", "ms", "ssh true");
    process.report("the program: eice ssh -- true", "ms", "ssh true");
    println!("stages with nothing cached, medians in ms (key-push runs beside the others):");
    for (stage, times) in stages.into_inner().unwrap() {
        println!("  {:<16} {:.2}", stage.name(), quantile(&times, 0.5));
    }
}

/// Connects, runs the target's command to its exit, and lets go.
async fn run(
    connector: &Connector,
    target: &Target,
    stages: Option<&Mutex<BTreeMap<Stage, Vec<f64>>>>,
) -> Duration {
    let observer = |event: StageEvent| {
        if let (Some(stages), StageState::Passed(time)) = (stages, event.state) {
            stages.lock().unwrap().entry(event.stage).or_default().push(millis(time));
        }
    };
    let start = Instant::now();
    let host = connector.connect(target, &observer).await.unwrap();
    let mut terminal = host.open_terminal(&TerminalRequest::without_pty(), &observer).await.unwrap();
    let mut exit = None;
    while let Some(event) = terminal.output.next().await {
        if let TerminalEvent::Exit(status) = event.unwrap() {
            exit = Some(status);
        }
    }
    let time = start.elapsed();
    assert_eq!(exit, Some(Exit::Code(0)));
    drop(terminal);
    host.close().await;
    time
}

/// The whole program, process start included, as a shell would start it.
fn program(world: &World) -> Duration {
    let target = world.target();
    let home = tempfile::tempdir().unwrap();
    let mut eice = Command::new(env!("CARGO_BIN_EXE_eice"));
    eice.args(["ssh", &format!("{}@{}", target.os_user, target.instance)])
        .arg("--ca-bundle")
        .arg(world.emulator.access().ca_file())
        .args(["--", "true"])
        .env_clear()
        .envs(world.emulator.access().env())
        .env("HOME", home.path())
        .stdin(Stdio::null());
    let start = Instant::now();
    let status = eice.status().unwrap();
    assert!(status.success(), "eice ssh ended with {status}");
    start.elapsed()
}
