//! Why a tunnel ended.

use std::fmt;
use std::time::Duration;

use super::frame::Frame;

/// The code of a clean end (RFC 6455, section 7.4.1).
pub(super) const NORMAL_CLOSURE: u16 = 1000;

/// Why a tunnel ended, by whose doing it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed it.
    Local,
    /// The peer closed it with code 1000 or without a code: the tunnelled connection ended.
    Clean,
    /// The peer closed it and said why. `Unable to connect to target` is the one that AWS is known to say.
    Peer {
        /// The WebSocket close code.
        code: u16,
        /// The reason, as text; what is not UTF-8 in it is replaced. At most 123 bytes as received.
        reason: String,
    },
    /// The longest duration was reached. Its form on the wire is not known, so any end that comes at that
    /// moment counts.
    DurationReached {
        /// The limit.
        limit: Duration,
    },
    /// The connection ended without a CLOSE.
    Eof,
    /// A keepalive ping was not answered.
    PeerSilent {
        /// How long nothing was heard.
        silence: Duration,
    },
    /// The peer broke the protocol.
    Protocol(ProtocolError),
}

impl CloseReason {
    /// Whether the tunnelled connection ended in good order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self, Self::Local | Self::Clean)
    }

    /// The reason that a CLOSE frame tells.
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
            Self::Clean => f.write_str("closed by the endpoint"),
            Self::Peer { code, reason } if reason.is_empty() => {
                write!(f, "closed by the endpoint with code {code}")
            }
            // The reason is the peer's text: no control character of it reaches a terminal or a log.
            Self::Peer { code, reason } => {
                f.write_str("closed by the endpoint: ")?;
                for c in reason.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }) {
                    fmt::Write::write_char(f, c)?;
                }
                write!(f, " (code {code})")
            }
            Self::DurationReached { limit } => {
                write!(f, "the tunnel's longest duration of {} s was reached", limit.as_secs())
            }
            Self::Eof => f.write_str("the connection ended without a closing frame"),
            Self::PeerSilent { silence } => {
                write!(f, "the endpoint has been silent for {} s", silence.as_secs())
            }
            Self::Protocol(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CloseReason {}

/// How a peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A TEXT frame: the tunnel carries bytes only (protocol reference, section d).
    #[error("the endpoint sent text where only bytes may stand")]
    Text,
    /// A continuation with nothing to continue.
    #[error("the endpoint sent a continuation frame that continues nothing")]
    StrayContinuation,
    /// A new message inside an unfinished one.
    #[error("the endpoint began a message inside another")]
    InterruptedMessage,
    /// A control frame in pieces.
    #[error("the endpoint sent a control frame in pieces")]
    FragmentedControl,
    /// A control frame above 125 bytes.
    #[error("the endpoint sent a control frame of more than 125 bytes")]
    LongControl,
    /// A CLOSE whose payload is one byte.
    #[error("the endpoint sent a closing frame with half a code")]
    ClosePayload,
    /// A message longer than the codec below holds.
    #[error("the endpoint sent a message of more than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Bytes that are no frames: the codec below cannot read them.
    #[error("the endpoint sent bytes that are no WebSocket frame")]
    Malformed,
}
