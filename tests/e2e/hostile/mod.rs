//! Hostile clients of `eice serve`, a separate process in front of the emulator: they get no access, its memory stays
//! bounded, and the terminal of an ordinary user keeps answering.
//!
//! Each attack uses its own loopback address, like another machine.

mod bystander;
mod floods;
mod frames;
mod headers;
mod memory;
mod neighbors;
mod open_files;
mod origins;
mod paths;
mod slow;
mod tickets;
mod wire;

use crate::lab::{GatewayProgram, World};

/// The memory that may remain after an attack, in bytes: allocator pools, caches, one terminal.
const MAX_GROWTH: u64 = 48 << 20;

/// Starts a gateway with `lines` in the `[gateway]` section.
async fn gateway(lines: &str) -> GatewayProgram {
    GatewayProgram::start(World::builtin().await, lines)
}

/// Asserts that the gateway's memory has hardly grown since `before`, and prints the growth.
#[track_caller]
fn has_not_grown(gateway: &GatewayProgram, before: u64) {
    let now = gateway.memory();
    eprintln!("memory: {} MiB, then {} MiB", before >> 20, now >> 20);
    assert!(now <= before + MAX_GROWTH, "{} MiB became {} MiB", before >> 20, now >> 20);
}
