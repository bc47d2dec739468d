//! Frames that WebSocket (RFC 6455) forbids, and frames that are too large.

use super::bystander::Bystander;
use super::wire::{Wire, frame, head};
use super::{gateway, has_not_grown};
use crate::lab::{GatewayProgram, eventually};

/// The largest message of the legacy protocol, in bytes.
const MAX_MESSAGE: u64 = 16 << 20;

/// Opens a terminal by either protocol and waits for its shell.
async fn terminal(gateway: &GatewayProgram, protocol: Option<&str>) -> Wire {
    let mut wire = Wire::terminal(gateway.addr(), 6, protocol).await;
    if protocol.is_some() {
        wire.send(frame(0x82, b"\x10{\"cols\":80,\"rows\":24}")).await.unwrap();
    }
    wire
}

/// Sends `bytes` on a new terminal; returns the gateway's close code, if any.
async fn closed(gateway: &GatewayProgram, protocol: Option<&str>, bytes: &[u8]) -> Option<u16> {
    let mut wire = terminal(gateway, protocol).await;
    // The connection may be cut while sending.
    let _ = wire.send(bytes).await;
    let code = wire.close_code().await;
    drop(wire);
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_frames_close_with_code() {
    let gateway = gateway("").await;
    let bystander = Bystander::start(&gateway).await;
    let before = gateway.memory();
    let fin = 0x80_u8;
    let mut cases: Vec<(String, Vec<u8>, &[u16])> = Vec::new();
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push((format!("reserved opcode {opcode}"), frame(fin | opcode, b"x"), &[1002]));
    }
    for bit in [0x40, 0x20, 0x10] {
        cases.push((format!("reserved bit {bit:#x}"), frame(fin | bit | 1, b"x"), &[1002]));
    }
    let unmasked = vec![fin | 1, 1, b'x'];
    let after_close = [frame(fin | 8, b"\x03\xe8"), frame(fin | 1, b"touch after-close\r")].concat();
    let of = |first: u8, payload: &[u8]| frame(first, payload);
    let two = |a: Vec<u8>, b: Vec<u8>| [a, b].concat();
    for (what, bytes, codes) in [
        ("not masked", unmasked, &[1002][..]),
        ("a ping in fragments", of(9, b"x"), &[1002]),
        ("a close in fragments", of(8, b"\x03\xe8"), &[1002]),
        ("a ping above 125 bytes", of(fin | 9, &[0; 126]), &[1002]),
        ("a ping of 64 KiB", of(fin | 9, &[0; 64 << 10]), &[1002]),
        ("a ping of many bytes that do not come", head(fin | 9, 1 << 40), &[1009]),
        ("going on with nothing", of(fin, b"x"), &[1002]),
        ("a message within another", two(of(1, b"a"), of(fin | 1, b"b")), &[1002]),
        ("TEXT that is none", of(fin | 1, b"\xff"), &[1007]),
        ("TEXT that is none, in fragments", two(of(1, b"\xe2\x82"), of(fin, b"x")), &[1007]),
        ("TEXT that ends too early", of(fin | 1, b"\xe2\x82"), &[1007]),
        ("2^63-1 bytes", head(fin | 2, (1 << 63) - 1), &[1009]),
        ("2^64-1 bytes", head(fin | 2, u64::MAX), &[1009]),
        ("one byte too many", head(fin | 2, MAX_MESSAGE + 1), &[1009]),
        ("a close code of one byte", of(fin | 8, b"\x03"), &[1002]),
        ("a close code that may not be sent", of(fin | 8, b"\x03\xed"), &[1002]),
        ("a close code that is none", of(fin | 8, &[0, 1]), &[1002]),
        ("a close reason that is no text", of(fin | 8, b"\x03\xe8\xff"), &[1002, 1007]),
        ("a close reason that is too long", of(fin | 8, &[3; 200]), &[1002]),
        ("more after the close", after_close, &[1000]),
    ] {
        cases.push((what.to_owned(), bytes, codes));
    }
    for (what, bytes, codes) in &cases {
        for protocol in [None, Some("eicterm.v1")] {
            let code = closed(&gateway, protocol, bytes).await;
            assert!(code.is_some_and(|code| codes.contains(&code)), "{what}, {protocol:?}: {code:?}");
        }
    }
    eventually("only the bystander is left", || (gateway.world.emulator.open_tunnels() == 1).then_some(()));
    bystander.assert_unharmed().await;
    has_not_grown(&gateway, before);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_messages_use_bounded_memory() {
    let gateway = gateway("").await;
    let bystander = Bystander::start(&gateway).await;
    let before = gateway.memory();
    // Ten that announce the largest message and send nothing of it: no memory is allocated.
    let mut announcing = Vec::new();
    for _ in 0..10 {
        let mut wire = terminal(&gateway, None).await;
        wire.send(head(0x82, MAX_MESSAGE)).await.unwrap();
        wire.send([0; 100]).await.unwrap();
        announcing.push(wire);
    }
    has_not_grown(&gateway, before);
    drop(announcing);
    // A message that never ends, up to the limit and beyond: at most one largest message is buffered.
    let mut endless = terminal(&gateway, None).await;
    let piece = vec![b'x'; 64 << 10];
    endless.send(frame(0x02, &piece)).await.unwrap();
    for _ in 1..MAX_MESSAGE >> 16 {
        endless.send(frame(0x00, &piece)).await.unwrap();
    }
    let kept = gateway.memory();
    assert!(kept < before + 3 * MAX_MESSAGE, "{} MiB became {} MiB", before >> 20, kept >> 20);
    let _ = endless.send(frame(0x00, b"x")).await;
    assert_eq!(endless.close_code().await, Some(1009));
    // Endless empty fragments.
    let mut nothing = terminal(&gateway, None).await;
    nothing.send(frame(0x02, b"")).await.unwrap();
    for _ in 0..200 {
        nothing.send(frame(0x00, b"").repeat(1000)).await.unwrap();
    }
    has_not_grown(&gateway, before);
    drop(nothing);
    // `eicterm.v1` has a smaller limit.
    let mut large = terminal(&gateway, Some("eicterm.v1")).await;
    let _ = large.send(frame(0x82, &vec![0; (64 << 10) + 2])).await;
    assert_eq!(large.close_code().await, Some(1009));
    eventually("only the bystander is left", || (gateway.world.emulator.open_tunnels() == 1).then_some(()));
    bystander.assert_unharmed().await;
    has_not_grown(&gateway, before);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_after_close_is_ignored() {
    let gateway = gateway("").await;
    let folder = tempfile::tempdir().unwrap();
    for protocol in [None, Some("eicterm.v1")] {
        let mut wire = terminal(&gateway, protocol).await;
        // The shell is ready and would read more input.
        wire.send(frame(0x81, b"echo o''n\r")).await.unwrap();
        wire.until("on").await;
        let file = folder.path().join("after-close");
        let typed = format!("touch {}\r", file.display());
        let bytes = [frame(0x88, b"\x03\xe8"), frame(0x81, typed.as_bytes())].concat();
        let _ = wire.send(bytes).await;
        wire.rest().await;
        gateway.is_idle();
        assert!(!file.exists(), "what came after the close was typed");
    }
    gateway.stop().await;
}
