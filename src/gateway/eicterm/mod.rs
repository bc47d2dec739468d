//! `eicterm.v1`: output is BINARY, input is TEXT or BINARY, and control uses the other two directions, so that typed or
//! pasted text cannot become a command. `docs/eicterm.md` is the specification.
//!
//! [`frame`] parses the client's messages, [`message`] writes the gateway's, [`flow`] counts positions, and `serve`
//! bridges a socket and a session. The first three use neither sockets nor clocks.

pub mod flow;
pub mod frame;
pub mod message;
mod serve;

pub(super) use serve::serve;

/// The subprotocol's name.
pub const NAME: &str = "eicterm.v1";

/// The protocol's version in `hello`.
pub const VERSION: u32 = 1;

/// The most bytes of a client's message after its opcode; of a TEXT message, its length. `limits.max_frame`.
pub const MAX_FRAME: usize = 64 << 10;

/// The most unacknowledged bytes of output: enough for 10 MB/s at 50 ms, and few enough for a browser to draw in a tenth
/// of a second. `limits.window`.
pub const WINDOW: u64 = 512 << 10;

/// The most unacknowledged bytes of input. `limits.in_window`.
pub const INPUT_WINDOW: u64 = 1 << 20;
