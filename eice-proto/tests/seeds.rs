//! Replays fuzz/seeds through the bodies of the fuzz targets, so that every test run checks their invariants.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::field_reassign_with_default,
    unreachable_pub,
    reason = "the bodies are the fuzz targets'"
)]

#[path = "../../fuzz/src/console.rs"]
mod console;
#[path = "../../fuzz/src/handshake.rs"]
mod handshake;
#[path = "../../fuzz/src/ids.rs"]
mod ids;
#[path = "../../fuzz/src/params.rs"]
mod params;
#[path = "../../fuzz/src/replay.rs"]
mod replay;
#[path = "../../fuzz/src/tunnel.rs"]
mod tunnel;
#[path = "../../fuzz/src/verify.rs"]
mod verify;

use std::path::Path;

/// Replays the seeds of `target`.
fn replay(target: &str, run: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    replay::replay(&seeds, run, 64);
}

#[test]
fn seeds_of_ids() {
    replay("ids", ids::run);
}

#[test]
fn seeds_of_params() {
    replay("params", params::run);
}

#[test]
fn seeds_of_handshake() {
    replay("handshake", handshake::run);
}

#[test]
fn seeds_of_verify() {
    replay("verify", verify::run);
}

#[test]
fn seeds_of_console() {
    replay("console", console::run);
}

#[test]
fn seeds_of_tunnel() {
    replay("tunnel", tunnel::run);
}
