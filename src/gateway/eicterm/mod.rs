//! `eicterm.v1`: output as BINARY, input as TEXT or BINARY, and control in the two directions that are left, so
//! that nothing typed or pasted can become a command. `docs/eicterm.md` is its specification.
//!
//! [`frame`] reads what a client sends, [`message`] writes what the gateway says, [`flow`] counts positions, and
//! `serve` bridges a socket and a session. The first three know neither sockets nor clocks.

pub mod flow;
pub mod frame;
pub mod message;
mod serve;

pub(super) use serve::serve;

/// The subprotocol's name.
pub const NAME: &str = "eicterm.v1";

/// The protocol's version, as `hello` says it.
pub const VERSION: u32 = 1;

/// The most bytes of a client's message behind its opcode; of a TEXT message, all of it. `limits.max_frame`.
pub const MAX_FRAME: usize = 64 << 10;

/// How many bytes of output may be on the way unacknowledged: enough for 10 MB/s at 50 ms, little enough for a
/// browser to draw in a tenth of a second. `limits.window`.
pub const WINDOW: u64 = 512 << 10;

/// How many bytes of input may be on the way unacknowledged. `limits.in_window`.
pub const INPUT_WINDOW: u64 = 1 << 20;
