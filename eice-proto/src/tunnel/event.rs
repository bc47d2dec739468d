//! The events of a tunnel.

use std::time::Duration;

use bytes::Bytes;

use super::CloseReason;

/// An event for the owner of the tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Bytes of the tunneled connection, never empty. Chunk boundaries carry no meaning.
    Data(Bytes),
    /// The maximum duration ends in less than
    /// [`Config::duration_warning`](super::Config::duration_warning). Sent once.
    DurationNear {
        /// How much is left.
        remaining: Duration,
    },
    /// The maximum duration of a server's tunnel is over: the server must end it in its own way.
    DurationReached,
    /// The tunnel is closed; the last event. Send what [`Tunnel::poll_transmit`](super::Tunnel::poll_transmit)
    /// still returns, then drop the connection.
    Closed(CloseReason),
}

/// The error of a send after the tunnel was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tunnel is closed")]
pub struct Closed;
