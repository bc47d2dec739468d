//! Clients that send or read slowly.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::bystander::Bystander;
use super::wire::{PATIENCE, Wire, ask, frame, get, request};
use super::{gateway, has_not_grown};
use crate::lab::{TOKEN, WORKSPACE, eventually};

/// The connection limit; the attackers open several times as many.
const MAX_CONNECTIONS: usize = 24;

/// How long a client does not read.
const DEAF: Duration = Duration::from_secs(5);

/// The interval between a slow client's bytes.
const DRIP: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn slow_connections_are_evicted() {
    let gateway = gateway(&format!("[limits]\nmax_connections = {MAX_CONNECTIONS}")).await;
    let (addr, before) = (gateway.addr(), gateway.memory());
    let bystander = Bystander::start(&gateway).await;
    let mut slow = JoinSet::new();
    for number in 0..4 * MAX_CONNECTIONS {
        let mut wire = Wire::open(addr, 2).await;
        slow.spawn(async move {
            let began = Instant::now();
            let text = get("/", &[("Cookie", &"x".repeat(1000))]);
            let mut drips = interval(DRIP);
            let said: &[u8] = match number % 3 {
                0 => b"",
                1 => &text[..20],
                _ => &text,
            };
            let dripping = async {
                for byte in said.chunks(1) {
                    drips.tick().await;
                    if wire.stream.write_all(byte).await.is_err() {
                        return;
                    }
                }
            };
            // Whether it goes on talking or not.
            let _ = timeout(Duration::from_secs(12), dripping).await;
            wire.rest().await;
            began.elapsed()
        });
    }
    while let Some(took) = slow.join_next().await {
        let took = took.expect("it is cut");
        assert!(took < PATIENCE, "one was left alone for {took:?}");
    }
    bystander.assert_unharmed().await;
    has_not_grown(&gateway, before);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_bodies_are_evicted() {
    let gateway = gateway(&format!("[limits]\nmax_connections = {MAX_CONNECTIONS}")).await;
    let (addr, before) = (gateway.addr(), gateway.memory());
    let bystander = Bystander::start(&gateway).await;
    let bearer = format!("Bearer {TOKEN}");
    let ticket = format!("/workspaces/{WORKSPACE}/terminal/ticket");
    let mut slow = JoinSet::new();
    for number in 0..3 * MAX_CONNECTIONS {
        let mut wire = Wire::open(addr, 3).await;
        let headers = [("Authorization", bearer.as_str()), ("Content-Length", "16384")];
        let said = match number % 6 {
            0 => request("POST", &ticket, &headers),
            1 => request("POST", "/auth/session", &headers[1..]),
            2 => request(
                "POST",
                "/auth/session",
                &[("Transfer-Encoding", "chunked"), ("Expect", "100-continue")],
            ),
            // More answers than the kernel buffers for a client that does not read.
            _ => get("/health", &[]).repeat(10_000),
        };
        slow.spawn(async move {
            let _ = timeout(DEAF, wire.stream.write_all(&said)).await;
            tokio::time::sleep(DEAF).await;
            wire.rest().await;
        });
    }
    while let Some(ended) = slow.join_next().await {
        ended.expect("it is cut");
    }
    bystander.assert_unharmed().await;
    has_not_grown(&gateway, before);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_viewers_use_bounded_memory() {
    let gateway = gateway("").await;
    let addr = gateway.addr();
    let bystander = Bystander::start(&gateway).await;
    let before = gateway.memory();
    let mut deaf = Vec::new();
    for protocol in [None, Some("eicterm.v1"), None, Some("eicterm.v1")] {
        let mut wire = Wire::terminal(addr, 4, protocol).await;
        if protocol.is_some() {
            wire.send(frame(0x82, b"\x10{\"cols\":80,\"rows\":24}")).await.unwrap();
        }
        wire.send(frame(0x81, b"yes\r")).await.unwrap();
        // It runs.
        let mut seen = vec![0; 64 << 10];
        timeout(PATIENCE, wire.stream.read_exact(&mut seen)).await.expect("yes runs").unwrap();
        deaf.push(wire);
    }
    assert_eq!(gateway.world.emulator.open_tunnels(), 5);
    // Until output stops at a full window or socket, and a while longer.
    let (mut last, mut same) = (0, 0);
    eventually("the memory settles", || {
        let now = gateway.memory();
        same = if now.abs_diff(last) < 64 << 10 { same + 1 } else { 0 };
        last = now;
        (same == 50).then_some(())
    });
    has_not_grown(&gateway, before);
    drop(deaf);
    eventually("only the bystander's is left", || (gateway.world.emulator.open_tunnels() == 1).then_some(()));
    bystander.assert_unharmed().await;
    gateway.is_idle();
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_closed_viewer_is_gone() {
    let gateway = gateway("").await;
    for protocol in [None, Some("eicterm.v1")] {
        let mut wire = Wire::terminal(gateway.addr(), 5, protocol).await;
        if protocol.is_some() {
            wire.send(frame(0x82, b"\x10{\"cols\":80,\"rows\":24}")).await.unwrap();
        }
        wire.send(frame(0x81, b"cat\r")).await.unwrap();
        eventually("a tunnel is open", || (gateway.world.emulator.open_tunnels() == 1).then_some(()));
        wire.stream.shutdown().await.unwrap();
        wire.rest().await;
        gateway.is_idle();
    }
    assert_eq!(ask(gateway.addr(), 5, get("/health", &[])).await.status, 200);
    gateway.stop().await;
}
