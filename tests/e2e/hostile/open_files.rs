//! More connections than the gateway's limit of open files.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::gateway;
use super::wire::{Wire, get};
use crate::lab::{GatewayProgram, TOKEN};

/// Timeouts long enough that idle connections are closed only for lack of files.
const PATIENT: &str = "[limits]\nheader_read_timeout_secs = 600";

fn pid(gateway: &GatewayProgram) -> Pid {
    Pid::from_raw(gateway.program.pid().try_into().unwrap()).unwrap()
}

/// Returns the number of files that the gateway has open.
fn open_files(gateway: &GatewayProgram) -> u64 {
    fs::read_dir(format!("/proc/{}/fd", gateway.program.pid())).unwrap().count() as u64
}

fn set_limit(gateway: &GatewayProgram, limit: u64) {
    let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
    prlimit(Some(pid(gateway)), Resource::Nofile, limit).unwrap();
}

/// Sends a request over a new connection and returns the status.
async fn status(gateway: &GatewayProgram) -> u16 {
    let mut wire = Wire::open(gateway.addr(), 12).await;
    let bearer = format!("Bearer {TOKEN}");
    wire.send(get("/workspaces", &[("Authorization", &bearer)])).await.unwrap();
    wire.answer().await.expect("an answer").status
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_make_room_when_files_run_out() {
    let gateway = gateway(PATIENT).await;
    assert_eq!(status(&gateway).await, 200);
    set_limit(&gateway, open_files(&gateway) + 20);
    let mut idle = Vec::new();
    for _ in 0..60 {
        idle.push(Wire::open(gateway.addr(), 13).await);
        // The longest-idle connections are closed, never the newest.
    }
    for _ in 0..3 {
        assert_eq!(status(&gateway).await, 200);
    }
    drop(idle);
    let log = gateway.stop().await;
    assert!(log.contains("out of files; idle connections are closed"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn file_limit_is_raised_and_bounds_connections() {
    let gateway = GatewayProgram::start_with_files(crate::lab::World::builtin().await, PATIENT, (64, 300));
    let limits = fs::read_to_string(format!("/proc/{}/limits", gateway.program.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["300", "300"]);
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(Wire::open(gateway.addr(), 13).await);
    }
    assert_eq!(status(&gateway).await, 200);
    assert!(idle[0].rest().await.is_empty(), "the longest idle one made room");
    drop(idle);
    let log = gateway.stop().await;
    assert!(log.contains("served=150") && log.contains("needed=6096"), "{log}");
}
