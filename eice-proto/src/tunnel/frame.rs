//! WebSocket frames after decoding: unmasked, of any length, possibly one fragment of a message.

use bytes::Bytes;

/// The maximum payload of a control frame (RFC 6455, section 5.5), in bytes.
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// The type of a frame (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation,
    /// Text: a protocol error here.
    Text,
    /// Bytes of the tunneled connection.
    Binary,
    /// The close of the tunnel.
    Close,
    /// A ping, answered with its own payload.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Opcode {
    /// Returns whether this is a control frame.
    #[must_use]
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A WebSocket frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether this is the last fragment of its message.
    pub fin: bool,
    /// The frame's type.
    pub opcode: Opcode,
    /// The payload, unmasked.
    pub payload: Bytes,
}

impl Frame {
    /// Creates an unfragmented frame.
    #[must_use]
    pub fn new(opcode: Opcode, payload: impl Into<Bytes>) -> Self {
        Self { fin: true, opcode, payload: payload.into() }
    }

    /// Creates a CLOSE with `code` and `reason`; the reason is truncated to what fits, at a character boundary.
    #[must_use]
    pub fn close(code: u16, reason: &str) -> Self {
        let mut end = reason.len().min(MAX_CONTROL_PAYLOAD - 2);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let (reason, _) = reason.split_at(end);
        let mut payload = Vec::with_capacity(2 + end);
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(reason.as_bytes());
        Self::new(Opcode::Close, payload)
    }
}
