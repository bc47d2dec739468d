//! Why a tunnel ended.

use std::fmt;
use std::time::Duration;

use super::frame::Frame;

/// The code of a normal closure (RFC 6455, section 7.4.1).
pub(super) const NORMAL_CLOSURE: u16 = 1000;

/// Why a tunnel ended, by which side caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed it.
    Local,
    /// The peer closed it with code 1000 or without a code: the tunneled connection ended.
    Clean,
    /// The peer closed it with a reason. AWS is known to send `Unable to connect to target`.
    Peer {
        /// The WebSocket close code.
        code: u16,
        /// The reason as text, with invalid UTF-8 replaced. At most 123 bytes as received.
        reason: String,
    },
    /// The maximum duration was reached. How the service ends the tunnel then is not known, so any end around
    /// that time counts.
    DurationReached {
        /// The limit.
        limit: Duration,
    },
    /// The connection ended without a CLOSE.
    Eof,
    /// A keepalive ping was not answered.
    PeerSilent {
        /// How long nothing was received.
        silence: Duration,
    },
    /// The peer violated the protocol.
    Protocol(ProtocolError),
}

impl CloseReason {
    /// Returns whether the tunneled connection ended normally.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self, Self::Local | Self::Clean)
    }

    /// Reads the reason from a CLOSE frame.
    pub(super) fn of_close(frame: &Frame) -> Self {
        match &frame.payload[..] {
            [] => Self::Clean,
            [_] => Self::Protocol(ProtocolError::ClosePayload),
            [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
                NORMAL_CLOSURE => Self::Clean,
                code => Self::Peer { code, reason: String::from_utf8_lossy(reason).into_owned() },
            },
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("closed by this side"),
            Self::Clean => f.write_str("closed by the peer"),
            Self::Peer { code, reason } if reason.is_empty() => {
                write!(f, "closed by the peer with code {code}")
            }
            // The reason is the peer's text: its control characters must not reach a terminal or a log.
            Self::Peer { code, reason } => {
                f.write_str("closed by the peer: ")?;
                for c in reason.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }) {
                    fmt::Write::write_char(f, c)?;
                }
                write!(f, " (code {code})")
            }
            Self::DurationReached { limit } => {
                write!(f, "the tunnel's maximum duration of {} s was reached", limit.as_secs())
            }
            Self::Eof => f.write_str("the connection ended without a close frame"),
            Self::PeerSilent { silence } => {
                write!(f, "the peer has been silent for {} s", silence.as_secs())
            }
            Self::Protocol(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CloseReason {}

/// A protocol violation by the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A TEXT frame: the tunnel carries only bytes (protocol reference, section d).
    #[error("the peer sent a text frame; only binary frames are allowed")]
    Text,
    /// A continuation without a message to continue.
    #[error("the peer sent a continuation frame without a message to continue")]
    StrayContinuation,
    /// A new message before the previous one was finished.
    #[error("the peer started a message inside another")]
    InterruptedMessage,
    /// A fragmented control frame.
    #[error("the peer sent a fragmented control frame")]
    FragmentedControl,
    /// A control frame above 125 bytes.
    #[error("the peer sent a control frame of more than 125 bytes")]
    LongControl,
    /// A CLOSE whose payload is one byte.
    #[error("the peer sent a close frame with a truncated code")]
    ClosePayload,
    /// A message longer than the codec's limit.
    #[error("the peer sent a message of more than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Bytes that the codec cannot parse as frames.
    #[error("the peer sent bytes that are not a WebSocket frame")]
    Malformed,
}
