//! Runs fuzz/seeds through the fuzz targets that read browser input, so that every test run checks their invariants,
//! and messages that are split in any way.

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

use legacy::harness::{self, TerminalStub};
use legacy::{Expected, MAX_MESSAGE};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

/// Runs the seeds of `target`.
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

/// A viewer's message: TEXT or BINARY, the number of fragments, and whether a ping follows each.
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

    /// Returns its frames, with `opcode` before the data of a BINARY message.
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

/// Sends `wire` to a gateway by `eicterm.v1`, `step` bytes at a time; asserts that the terminal gets `stdin`.
fn eicterm(wire: &[u8], step: usize, stdin: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stub = TerminalStub::new();
        let gateway = harness::gateway(&stub, |_| {});
        let (reader, mut writer) = tokio::io::split(harness::terminal(&gateway, Some("eicterm.v1")).await);
        let sending = async {
            for piece in wire.chunks(step) {
                writer.write_all(piece).await.unwrap();
            }
            stub.has_taken(stdin).await;
            writer.shutdown().await.unwrap();
        };
        let mut reader = tokio::io::BufReader::new(reader);
        let mut sink = tokio::io::sink();
        let (_, read) = tokio::join!(sending, tokio::io::copy(&mut reader, &mut sink));
        drop(read);
        tokio::time::timeout(harness::PATIENCE, gateway.sessions().idle()).await.unwrap();
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn legacy_split_messages_are_stdin(
        messages in prop::collection::vec(sent(), 0..8), step in 1..256_usize,
    ) {
        let wire: Vec<u8> = messages.iter().flat_map(|message| message.frames(b"")).collect();
        let stdin: Vec<u8> = messages.iter().flat_map(|message| message.payload().to_vec()).collect();
        prop_assert_eq!(Expected::of(&wire), Expected { stdin, is_broken: false });
        // It asserts that the terminal gets exactly the expected input.
        legacy::run(&[&[u8::try_from(step.min(255)).unwrap()][..], &wire].concat());
    }

    #[test]
    fn eicterm_split_messages_are_stdin(
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
    fn legacy_any_bytes_are_handled(wire in prop::collection::vec(any::<u8>(), 0..400)) {
        legacy::run(&wire);
    }

    #[test]
    fn eicterm_positions_never_decrease(operations in prop::collection::vec(any::<u8>(), 0..400)) {
        eicterm_flow::run(&operations);
    }
}
