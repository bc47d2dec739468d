//! Hostile clients of `eice serve`, a process of its own in front of the emulator: nothing gets in, its memory stays
//! bounded, and somebody honest beside them has a terminal that answers all the while.
//!
//! Each attack comes from a loopback address of its own, as from another machine.

mod floods;
mod frames;
mod heads;
mod honest;
mod memory;
mod neighbours;
mod open_files;
mod origins;
mod paths;
mod slow;
mod tickets;
mod wire;

use crate::lab::{GatewayProgram, World};

/// What an attack may leave of the gateway's memory, in bytes: pools that the allocator keeps, caches, one terminal.
const MAX_GROWTH: u64 = 48 << 20;

/// A gateway with these lines of configuration in `[gateway]`.
async fn gateway(lines: &str) -> GatewayProgram {
    GatewayProgram::start(World::builtin().await, lines)
}

/// What the gateway has more than `before`, in MiB, for the log; it must be little.
#[track_caller]
fn has_not_grown(gateway: &GatewayProgram, before: u64) {
    let now = gateway.memory();
    eprintln!("memory: {} MiB, then {} MiB", before >> 20, now >> 20);
    assert!(now <= before + MAX_GROWTH, "{} MiB became {} MiB", before >> 20, now >> 20);
}
