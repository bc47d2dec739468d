//! Control messages: too many, out of order, beyond the window.

use super::bystander::Bystander;
use super::wire::{Wire, frame};
use super::{gateway, has_not_grown};
use crate::lab::{GatewayProgram, eventually};

const PROTOCOL: Option<&str> = Some("eicterm.v1");
const ATTACH: &[u8] = b"\x10{\"cols\":80,\"rows\":24}";

/// The messages of a flood: far more than any allowed burst.
const FLOOD: usize = 5000;

fn binary(payload: &[u8]) -> Vec<u8> {
    frame(0x82, payload)
}

/// Returns an ack of `position`.
fn ack(position: u64) -> Vec<u8> {
    binary(&[&[2][..], &position.to_be_bytes()].concat())
}

/// Sends `bytes` after `attach`; returns the close code, and whether an `error` message gave the reason.
async fn closed(gateway: &GatewayProgram, bytes: &[u8]) -> (Option<u16>, bool) {
    let mut wire = Wire::terminal(gateway.addr(), 7, PROTOCOL).await;
    wire.send(binary(ATTACH)).await.unwrap();
    let _ = wire.send(bytes).await;
    let said = wire.frames().await;
    let code = said.iter().find(|(opcode, _)| *opcode == 8).and_then(|(_, payload)| payload.first_chunk());
    let has_reason = said.iter().any(|(opcode, text)| *opcode == 1 && text.starts_with(b"{\"t\":\"error\""));
    (code.map(|code| u16::from_be_bytes(*code)), has_reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn protocol_violation_closes_with_4400() {
    let gateway = gateway("").await;
    let bystander = Bystander::start(&gateway).await;
    let before = gateway.memory();
    let mut cases: Vec<(String, Vec<u8>)> = (0x01..0x80_u8)
        .filter(|opcode| ![0x01, 0x02, 0x03, 0x05, 0x10].contains(opcode))
        .step_by(9)
        .chain([0x04, 0x06, 0x0f, 0x11, 0x7f])
        .map(|opcode| (format!("opcode {opcode:#04x}"), binary(&[opcode, 1])))
        .collect();
    for (what, bytes) in [
        ("no opcode", binary(b"")),
        ("attach again", binary(ATTACH)),
        ("an ack of what was not sent", ack(1 << 40)),
        ("an ack of everything", ack(u64::MAX)),
        ("an ack that is short", binary(&[2, 0])),
        ("a resize to nothing", binary(&[1, 0, 0, 0, 0])),
        ("a resize beyond any screen", binary(&[1, 0xff, 0xff, 0xff, 0xff])),
        ("a resize that is long", binary(&[1, 0, 80, 0, 24, 0])),
        ("input after its end", [binary(&[5]), binary(b"\0x")].concat()),
        ("the end twice", [binary(&[5]), binary(&[5])].concat()),
    ] {
        cases.push((what.to_owned(), bytes));
    }
    for (what, bytes) in &cases {
        assert_eq!(closed(&gateway, bytes).await, (Some(4400), true), "{what}");
    }
    // Other messages before `attach`.
    for first in [&b"\0ls\r"[..], b"\x03\0\0\0\0\0\0\0\x01", b"\x10", b"\x10[]", b"\x10{\"cols\":80}"] {
        let mut wire = Wire::terminal(gateway.addr(), 7, PROTOCOL).await;
        wire.send(binary(first)).await.unwrap();
        assert_eq!(wire.close_code().await, Some(4400), "{first:?}");
    }
    let deep = format!("\x10{{\"cols\":80,\"rows\":24,\"x\":{}", "[".repeat(4000));
    let mut wire = Wire::terminal(gateway.addr(), 7, PROTOCOL).await;
    wire.send(binary(deep.as_bytes())).await.unwrap();
    assert_eq!(wire.close_code().await, Some(4400), "JSON in JSON in JSON");
    eventually("only the bystander is left", || (gateway.world.emulator.open_tunnels() == 1).then_some(()));
    bystander.assert_unharmed().await;
    has_not_grown(&gateway, before);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_floods_are_closed() {
    let gateway = gateway("").await;
    let bystander = Bystander::start(&gateway).await;
    let before = gateway.memory();
    for (what, one) in [
        ("resizes", binary(&[1, 0, 80, 0, 24])),
        ("acks of nothing", ack(0)),
        ("pings", binary(&[3, 0, 0, 0, 0, 0, 0, 0, 1])),
        ("WebSocket pings", frame(0x89, &[0; 125])),
        ("WebSocket pongs", frame(0x8a, b"")),
        ("messages of later versions", binary(&[0x80, 0])),
        ("input of nothing", binary(&[0])),
        ("TEXT of nothing", frame(0x81, b"")),
    ] {
        assert_eq!(closed(&gateway, &one.repeat(FLOOD)).await, (Some(4400), true), "{what}");
    }
    for one in [frame(0x89, &[0; 125]), frame(0x8a, &[0; 125]), frame(0x81, b""), frame(0x82, b"")] {
        let mut wire = Wire::terminal(gateway.addr(), 7, None).await;
        let _ = wire.send(one.repeat(FLOOD)).await;
        assert_eq!(wire.close_code().await, Some(1008));
    }
    // Before `attach` as well.
    for one in [frame(0x89, b""), binary(&[0x80, 0])] {
        let mut wire = Wire::terminal(gateway.addr(), 7, PROTOCOL).await;
        let _ = wire.send(one.repeat(FLOOD)).await;
        assert_eq!(wire.close_code().await, Some(4400));
    }
    eventually("only the bystander is left", || (gateway.world.emulator.open_tunnels() == 1).then_some(()));
    bystander.assert_unharmed().await;
    has_not_grown(&gateway, before);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ack_and_window_violations_close() {
    let gateway = gateway("").await;
    let bystander = Bystander::start(&gateway).await;
    let before = gateway.memory();
    // An ack, then one of a lower position.
    let mut wire = Wire::terminal(gateway.addr(), 8, PROTOCOL).await;
    wire.send([binary(ATTACH), binary(b"\0echo 0123456789\r")].concat()).await.unwrap();
    wire.until("0123456789").await;
    let _ = wire.send([ack(10), ack(9)].concat()).await;
    assert_eq!(wire.close_code().await, Some(4400));
    // Input beyond the window of a program that does not read.
    let mut wire = Wire::terminal(gateway.addr(), 8, PROTOCOL).await;
    wire.send([binary(ATTACH), binary(b"\0stty raw -echo; echo now; sleep 1000\r")].concat()).await.unwrap();
    let mut piece = vec![b'x'; 32 << 10];
    piece[0] = 0;
    // The window is 1 MiB; the PTY and the buffers before it hold some more.
    for _ in 0..1024 {
        if wire.send(binary(&piece)).await.is_err() {
            break;
        }
    }
    assert_eq!(wire.close_code().await, Some(4400));
    drop(wire);
    eventually("only the bystander is left", || (gateway.world.emulator.open_tunnels() == 1).then_some(()));
    bystander.assert_unharmed().await;
    has_not_grown(&gateway, before);
    gateway.stop().await;
}
