//! WebSocket frames as the tunnel sees them: unmasked, any length, possibly one piece of a longer message.

use bytes::Bytes;

/// The longest payload of a control frame (RFC 6455, section 5.5), in bytes.
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// What a frame is (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Opcode {
    /// A further piece of the message before it.
    Continuation,
    /// Text: fatal here.
    Text,
    /// Bytes of the tunnelled connection.
    Binary,
    /// The end.
    Close,
    /// To be answered with its own payload.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Opcode {
    /// Whether this is a control frame.
    #[must_use]
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether this is the last piece of its message.
    pub fin: bool,
    /// What it is.
    pub opcode: Opcode,
    /// Its payload, unmasked.
    pub payload: Bytes,
}

impl Frame {
    /// An unfragmented frame.
    #[must_use]
    pub fn new(opcode: Opcode, payload: impl Into<Bytes>) -> Self {
        Self { fin: true, opcode, payload: payload.into() }
    }

    /// A CLOSE with `code` and `reason`; the reason is cut to what fits, at a character's edge.
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
