//! What a viewer of the legacy protocol sends comes out of the terminal's side byte for byte, up to where the viewer
//! breaks a rule; and what the gateway answers is WebSocket (RFC 6455) throughout.
//!
//! The input is how many bytes are sent at a time, then the bytes that the viewer sends after the handshake. They go
//! through the gateway's own socket; beside it they are read once more, by the shortest reading of the RFC.

use std::cell::RefCell;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

#[path = "far.rs"]
#[allow(dead_code, reason = "shared with other targets")]
pub mod far;

use far::{Far, PATIENCE};

/// The largest message, in bytes: so small that a small input has a giant in it.
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
    let far = Far::new();
    let gateway = far::gateway(&far, |config| {
        config.max_message = MAX_MESSAGE;
        // A flood of pings is a matter of time, which is not looked at here.
        config.max_control_rate = u32::MAX;
    });
    let client = far::terminal(&gateway, None).await;
    let (mut reader, mut writer) = tokio::io::split(client);
    let sending = async {
        for piece in wire.chunks(step) {
            // It is cut in the middle of what breaks a rule.
            if writer.write_all(piece).await.is_err() {
                break;
            }
        }
        if !expected.is_broken {
            far.has_taken(&expected.stdin).await;
        }
        // The end of it all, whatever was half said.
        let _ = writer.shutdown().await;
    };
    let mut said = Vec::new();
    let reading =
        async { timeout(PATIENCE, reader.read_to_end(&mut said)).await.expect("the socket is ended") };
    let (_, read) = tokio::join!(sending, reading);
    drop(read);
    timeout(PATIENCE, gateway.sessions().idle()).await.expect("the session is over");
    let taken = far.taken();
    assert!(expected.stdin.starts_with(&taken), "{taken:?} instead of {:?}", expected.stdin);
    is_websocket(&said);
}

/// What of a viewer's bytes is input, up to where it breaks a rule or takes its leave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub stdin: Vec<u8>,
    /// It does one of the two.
    pub is_broken: bool,
}

impl Expected {
    pub fn of(mut wire: &[u8]) -> Self {
        let mut expected = Self::default();
        // Of a message in fragments: whether it is TEXT, and what there is of it.
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
            // TEXT is wrong as soon as nothing that may follow makes it right.
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

    /// When a head is cut short, what there is of it may break a rule already.
    fn if_sound(self, first: u8) -> Self {
        Self { is_broken: first & 0x70 != 0 || !matches!(first & 0x0f, 0..=2 | 9..=10), ..self }
    }
}

/// Frames of a server: not masked, whole, of kinds that there are; nothing but pongs after the close.
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
