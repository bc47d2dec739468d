//! What the gateway reads from browsers: fuzz/seeds through the fuzz targets' own bodies, so that every test run keeps
//! their invariants, and messages that are cut in any way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::duplicate_mod,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "these are tests, and the bodies are the fuzz targets'"
)]

#[path = "../fuzz/src/eicterm_flow.rs"]
mod eicterm_flow;
#[path = "../fuzz/src/eicterm_frames.rs"]
mod eicterm_frames;
#[path = "../fuzz/src/headers.rs"]
mod headers;
#[path = "../fuzz/src/legacy.rs"]
mod legacy;
#[path = "../fuzz/src/replay.rs"]
mod replay;

use std::path::Path;

use legacy::far::{self, Far};
use legacy::{Expected, MAX_MESSAGE};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

/// Replays the seeds of `target`.
fn replay(target: &str, run: fn(&[u8]), steps: usize) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    replay::replay(&seeds, run, steps);
}

#[test]
fn seeds_of_eicterm_frames() {
    replay("eicterm_frames", eicterm_frames::run, 64);
}

#[test]
fn seeds_of_eicterm_flow() {
    replay("eicterm_flow", eicterm_flow::run, 64);
}

#[test]
fn seeds_of_legacy() {
    replay("legacy", legacy::run, 32);
}

#[test]
fn seeds_of_headers() {
    replay("headers", headers::run, 32);
}

/// A message of a viewer: TEXT or not, in how many fragments, and whether a ping comes after each.
#[derive(Clone, Debug)]
struct Sent {
    text: Option<String>,
    data: Vec<u8>,
    pieces: usize,
    pinged: bool,
    mask: [u8; 4],
}

impl Sent {
    fn payload(&self) -> &[u8] {
        self.text.as_ref().map_or(&self.data, |text| text.as_bytes())
    }

    /// Its frames, with `opcode` before a BINARY one's bytes.
    fn frames(&self, opcode: &[u8]) -> Vec<u8> {
        let payload =
            if self.text.is_some() { self.payload().to_vec() } else { [opcode, &self.data].concat() };
        let kind = if self.text.is_some() { 1 } else { 2 };
        let size = payload.len().div_ceil(self.pieces).max(1);
        let mut pieces: Vec<&[u8]> = payload.chunks(size).collect();
        if pieces.is_empty() {
            pieces.push(b"");
        }
        let last = pieces.len() - 1;
        let mut frames = Vec::new();
        for (at, piece) in pieces.into_iter().enumerate() {
            let fin = if at == last { 0x80 } else { 0 };
            frames.extend(self.frame(fin | if at == 0 { kind } else { 0 }, piece));
            if self.pinged {
                frames.extend(self.frame(0x89, b"alive?"));
            }
        }
        frames
    }

    fn frame(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(short @ ..126), _) => frame.push(0x80 | short),
            (_, Ok(length)) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            _ => panic!("no message here is that long"),
        }
        frame.extend(self.mask);
        frame.extend(payload.iter().zip(self.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let text = proptest::option::of("\\PC{0,120}|[\\x00-\\x7f]{0,300}|\u{1f600}{0,40}");
    let data = prop::collection::vec(any::<u8>(), 0..MAX_MESSAGE / 2);
    (text, data, 1..6_usize, any::<bool>(), any::<[u8; 4]>())
        .prop_map(|(text, data, pieces, pinged, mask)| Sent { text, data, pieces, pinged, mask })
}

/// Sends `wire` to a gateway over `eicterm.v1`, a few bytes at a time: the terminal must be sent `stdin`.
fn eicterm(wire: &[u8], step: usize, stdin: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let far = Far::new();
        let gateway = far::gateway(&far, |_| {});
        let (reader, mut writer) = tokio::io::split(far::terminal(&gateway, Some("eicterm.v1")).await);
        let sending = async {
            for piece in wire.chunks(step) {
                writer.write_all(piece).await.unwrap();
            }
            far.has_taken(stdin).await;
            writer.shutdown().await.unwrap();
        };
        let mut reader = tokio::io::BufReader::new(reader);
        let mut sink = tokio::io::sink();
        let (_, read) = tokio::join!(sending, tokio::io::copy(&mut reader, &mut sink));
        drop(read);
        tokio::time::timeout(far::PATIENCE, gateway.sessions().idle()).await.unwrap();
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_legacy_viewers_messages_are_stdin_however_they_are_cut(
        messages in prop::collection::vec(sent(), 0..8), step in 1..256_usize,
    ) {
        let wire: Vec<u8> = messages.iter().flat_map(|message| message.frames(b"")).collect();
        let stdin: Vec<u8> = messages.iter().flat_map(|message| message.payload().to_vec()).collect();
        prop_assert_eq!(Expected::of(&wire), Expected { stdin, is_broken: false });
        // Which waits until the terminal was sent just that.
        legacy::run(&[&[u8::try_from(step.min(255)).unwrap()][..], &wire].concat());
    }

    #[test]
    fn an_eicterm_viewers_messages_are_stdin_however_they_are_cut(
        messages in prop::collection::vec(sent(), 0..8), step in 1..256_usize,
    ) {
        let attach = Sent {
            text: None, data: b"{\"cols\":80,\"rows\":24}".to_vec(), pieces: 1, pinged: false, mask: [1, 2, 3, 4],
        };
        let input = messages.iter().flat_map(|message| message.frames(b"\0"));
        let wire: Vec<u8> = attach.frames(b"\x10").into_iter().chain(input).collect();
        let stdin: Vec<u8> = messages.iter().flat_map(|message| message.payload().to_vec()).collect();
        eicterm(&wire, step, &stdin);
    }

    #[test]
    fn no_bytes_break_the_legacy_socket(wire in prop::collection::vec(any::<u8>(), 0..400)) {
        legacy::run(&wire);
    }

    #[test]
    fn no_operations_take_the_positions_back(operations in prop::collection::vec(any::<u8>(), 0..400)) {
        eicterm_flow::run(&operations);
    }
}
