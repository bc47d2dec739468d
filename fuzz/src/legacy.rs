//! The terminal gets the input of a legacy viewer unchanged, up to the first protocol violation, and the gateway
//! answers with valid WebSocket frames (RFC 6455).
//!
//! The input is the number of bytes per write, then the bytes that the viewer sends after the handshake. The gateway's
//! socket is compared with a minimal implementation of the RFC.

use std::cell::RefCell;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

#[path = "harness.rs"]
#[allow(dead_code, reason = "shared with other targets")]
pub mod harness;

use harness::{PATIENCE, TerminalStub};

/// The largest message, in bytes: small enough that a small input can exceed it.
pub const MAX_MESSAGE: usize = 1000;

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().enable_all().build().expect("a runtime"));
}

pub fn run(data: &[u8]) {
    let Some((&step, wire)) = data.split_first() else { return };
    let expected = Expected::of(wire);
    RUNTIME.with_borrow(|runtime| runtime.block_on(converse(usize::from(step).max(1), wire, &expected)));
}

async fn converse(step: usize, wire: &[u8], expected: &Expected) {
    let stub = TerminalStub::new();
    let gateway = harness::gateway(&stub, |config| {
        config.max_message = MAX_MESSAGE;
        // The rate limit of pings depends on time, which is not tested here.
        config.max_control_rate = u32::MAX;
    });
    let client = harness::terminal(&gateway, None).await;
    let (mut reader, mut writer) = tokio::io::split(client);
    let sending = async {
        for piece in wire.chunks(step) {
            // The gateway closes at the first violation.
            if writer.write_all(piece).await.is_err() {
                break;
            }
        }
        if !expected.is_broken {
            stub.has_taken(&expected.stdin).await;
        }
        // End of input, possibly within a message.
        let _ = writer.shutdown().await;
    };
    let mut said = Vec::new();
    let reading =
        async { timeout(PATIENCE, reader.read_to_end(&mut said)).await.expect("the socket is ended") };
    let (_, read) = tokio::join!(sending, reading);
    drop(read);
    timeout(PATIENCE, gateway.sessions().idle()).await.expect("the session is over");
    let taken = stub.taken();
    assert!(expected.stdin.starts_with(&taken), "{taken:?} instead of {:?}", expected.stdin);
    is_websocket(&said);
}

/// The expected input, up to a violation or the viewer's close frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub stdin: Vec<u8>,
    /// Whether there was a violation or a close frame.
    pub is_broken: bool,
}

impl Expected {
    pub fn of(mut wire: &[u8]) -> Self {
        let mut expected = Self::default();
        // A fragmented message: whether it is TEXT, and its data so far.
        let mut open: Option<(bool, Vec<u8>)> = None;
        while let [first, second, rest @ ..] = wire {
            let (length, rest) = match second & 0x7f {
                126 => match rest.split_first_chunk::<2>() {
                    Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                    None => return expected.if_sound(*first),
                },
                127 => match rest.split_first_chunk::<8>() {
                    Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                    None => return expected.if_sound(*first),
                },
                short => (u64::from(short), rest),
            };
            let (fin, opcode, is_control) = (first & 0x80 != 0, first & 0x0f, first & 0x08 != 0);
            let so_far = open.as_ref().map_or(0, |(_, message)| message.len() as u64);
            let is_forbidden = first & 0x70 != 0
                || !matches!(opcode, 0..=2 | 8..=10)
                || second & 0x80 == 0
                || (is_control && (!fin || length > 125))
                || (opcode == 0 && open.is_none())
                || (matches!(opcode, 1 | 2) && open.is_some())
                || (!is_control && so_far.saturating_add(length) > MAX_MESSAGE as u64)
                || opcode == 8;
            if is_forbidden {
                return Self { is_broken: true, ..expected };
            }
            let Some((mask, rest)) = rest.split_first_chunk::<4>() else { return expected };
            let Some((payload, rest)) = rest.split_at_checked(length as usize) else { return expected };
            wire = rest;
            if is_control {
                continue;
            }
            let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
            let (is_text, message) = open.get_or_insert_with(|| (opcode == 1, Vec::new()));
            message.extend(payload);
            // TEXT is invalid as soon as no continuation can make it valid UTF-8.
            let wrong = std::str::from_utf8(message).err().is_some_and(|e| fin || e.error_len().is_some());
            if *is_text && wrong {
                return Self { is_broken: true, ..expected };
            }
            if fin {
                expected.stdin.append(message);
                open = None;
            }
        }
        expected
    }

    /// An incomplete head may already be a violation.
    fn if_sound(self, first: u8) -> Self {
        Self { is_broken: first & 0x70 != 0 || !matches!(first & 0x0f, 0..=2 | 9..=10), ..self }
    }
}

/// Asserts valid server frames: not masked, complete, with known opcodes; only pongs after the close.
fn is_websocket(mut bytes: &[u8]) {
    let mut is_closed = false;
    while let [first, second, rest @ ..] = bytes {
        assert_eq!((first & 0xf0, second & 0x80), (0x80, 0), "whole, without extensions, without a mask");
        let (length, rest) = match second {
            126 => rest.split_first_chunk::<2>().map(|(n, rest)| (usize::from(u16::from_be_bytes(*n)), rest)),
            127 => rest.split_first_chunk::<8>().map(|(n, rest)| (u64::from_be_bytes(*n) as usize, rest)),
            short => Some((usize::from(*short), rest)),
        }
        .expect("a whole head");
        let (payload, rest) = rest.split_at_checked(length).expect("a whole frame");
        match first & 0x0f {
            1 => assert!(payload.ends_with(b"\r\n") && std::str::from_utf8(payload).is_ok()),
            2 => {}
            8 => {
                if let Some(code) = payload.first_chunk() {
                    let code = u16::from_be_bytes(*code);
                    assert!(matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999), "{code}");
                }
            }
            9 | 10 => assert!(length <= 125),
            other => panic!("a frame of kind {other}"),
        }
        assert!(!is_closed || first & 0x0f == 10, "{first:#x} after the close");
        is_closed |= first & 0x0f == 8;
        bytes = rest;
    }
    assert!(bytes.is_empty());
}
