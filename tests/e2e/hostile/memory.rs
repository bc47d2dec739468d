//! The memory that one user can make the gateway hold, measured as the peak of its resident set.

use std::fs;

use super::gateway;
use super::wire::{Wire, ask, frame, request};
use crate::lab::{GatewayProgram, TOKEN, WORKSPACE};

const EICTERM: Option<&str> = Some("eicterm.v1");

/// The most that one legacy terminal takes, in bytes (docs/security.md): a message in the read buffer, one assembled from
/// fragments, and a full input queue of 16 MiB each.
const LEGACY_CEILING: u64 = 48 << 20;

/// The most that one `eicterm.v1` terminal takes, in bytes (docs/security.md): 1 MiB of input, and the buffers.
const EICTERM_CEILING: u64 = 2 << 20;

/// What else the process may take during a test, in bytes: allocator pools, the connection of a terminal.
const SLACK: u64 = 10 << 20;

/// The largest message of the legacy protocol, in bytes.
const MAX_MESSAGE: usize = 16 << 20;

/// The gateway's read buffer of a socket, in bytes.
const READ_BUFFER: usize = 16 << 10;

/// The peak of the gateway's resident memory, in bytes.
fn peak(gateway: &GatewayProgram) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.program.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a process has a peak");
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

#[track_caller]
fn assert_peak(gateway: &GatewayProgram, before: u64, ceiling: u64) {
    let peak = peak(gateway);
    eprintln!("peak memory: {} MiB more, at most {}", (peak - before) >> 20, (ceiling + SLACK) >> 20);
    assert!(peak <= before + ceiling + SLACK, "{} MiB became {} MiB", before >> 20, peak >> 20);
}

/// Starts a program that does not read.
const DEAF: &[u8] = b"stty raw -echo; echo rea''dy; sleep 1000\r";

/// Opens a terminal whose program does not read.
async fn deaf_terminal(gateway: &GatewayProgram, protocol: Option<&str>) -> Wire {
    let mut wire = Wire::terminal(gateway.addr(), 11, protocol).await;
    if protocol.is_some() {
        wire.send(frame(0x82, b"\x10{\"cols\":80,\"rows\":24}")).await.unwrap();
    }
    wire.send(frame(0x81, DEAF)).await.unwrap();
    wire.until("ready").await;
    wire
}

/// One byte of input in a read buffer full of empty messages.
fn pinning() -> Vec<u8> {
    let empty = frame(0x81, b"");
    let mut bytes = frame(0x81, b"x");
    bytes.extend(empty.repeat((READ_BUFFER - bytes.len()) / empty.len()));
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_messages_pin_no_memory() {
    for (protocol, code) in [(None, 1008), (EICTERM, 4400)] {
        let gateway = gateway("").await;
        let mut wire = deaf_terminal(&gateway, protocol).await;
        let before = gateway.memory();
        let bytes = pinning();
        for _ in 0..(200 << 20) / READ_BUFFER {
            if wire.send(&bytes).await.is_err() {
                break;
            }
        }
        assert_peak(&gateway, before, EICTERM_CEILING);
        assert_eq!(wire.close_code().await, Some(code), "{protocol:?}");
        gateway.is_idle();
        gateway.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn largest_messages_stay_below_the_ceiling() {
    let gateway = gateway("").await;
    let mut wire = deaf_terminal(&gateway, None).await;
    let before = gateway.memory();
    // One message fills the queue and leaves its room in the read buffer; the next one, in fragments, waits.
    let message = vec![b'x'; MAX_MESSAGE];
    wire.send(frame(0x82, &message)).await.unwrap();
    let last = MAX_MESSAGE / READ_BUFFER - 1;
    for (number, piece) in message.chunks(READ_BUFFER).enumerate() {
        let (opcode, fin) = (if number == 0 { 2 } else { 0 }, if number == last { 0x80 } else { 0 });
        wire.send(frame(fin | opcode, piece)).await.unwrap();
    }
    assert_peak(&gateway, before, LEGACY_CEILING);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_byte_messages_stay_below_the_ceiling() {
    /// Less than the tunnel, SSH and the PTY hold, so that all of it is taken.
    const BULK: usize = 3 * (512 << 10);
    /// More than the rest of them and the window of 1 MiB take.
    const MESSAGES: usize = 4 << 20;
    let gateway = gateway("").await;
    let mut wire = deaf_terminal(&gateway, EICTERM).await;
    let before = gateway.memory();
    let mut sent = DEAF.len();
    for piece in vec![b'x'; BULK].chunks(512 << 10) {
        for piece in piece.chunks(32 << 10) {
            wire.send(frame(0x81, piece)).await.unwrap();
        }
        sent += piece.len();
        wire.until_text(&format!("{{\"t\":\"ack\",\"in\":{sent}}}")).await;
    }
    let bytes = frame(0x81, b"x").repeat(1024);
    for _ in 0..MESSAGES / 1024 {
        if wire.send(&bytes).await.is_err() {
            break;
        }
    }
    // The window was full of single bytes.
    assert_eq!(wire.close_code().await, Some(4400));
    assert_peak(&gateway, before, EICTERM_CEILING);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn map_of_tiny_files_is_not_kept() {
    const ENTRIES: usize = 760_000;
    let gateway = gateway("").await;
    let entries: Vec<_> = (0..ENTRIES).map(|n| format!("\"{n:x}\":\"\"")).collect();
    let body = format!("{{\"files\":{{{}}}}}", entries.join(","));
    assert!(body.len() <= 8 << 20, "{}", body.len());
    let (bearer, length) = (format!("Bearer {TOKEN}"), body.len().to_string());
    let headers = [("Authorization", bearer.as_str()), ("Content-Length", &length)];
    let mut bytes = request("PUT", &format!("/workspaces/{WORKSPACE}/files"), &headers);
    bytes.extend_from_slice(body.as_bytes());
    let before = gateway.memory();
    let answer = ask(gateway.addr(), 11, bytes).await;
    assert_eq!((answer.status, answer.body.trim()), (400, r#"{"error":"too many files (760000), max 200"}"#));
    // The body, in a buffer that grew by doubling.
    assert_peak(&gateway, before, 3 * (8 << 20));
    gateway.stop().await;
}
