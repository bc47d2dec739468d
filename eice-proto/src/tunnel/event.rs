//! What a tunnel tells its owner.

use std::time::Duration;

use bytes::Bytes;

use super::CloseReason;

/// What a tunnel has to say to its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Bytes of the tunnelled connection, never empty. Boundaries mean nothing.
    Data(Bytes),
    /// The longest duration is over in less than [`Config::duration_warning`](super::Config::duration_warning). Told once.
    DurationNear {
        /// How much is left.
        remaining: Duration,
    },
    /// The server's longest duration is over: time to end the tunnel in the form that the server has.
    DurationReached,
    /// The tunnel is over; the last event. What [`Tunnel::poll_transmit`](super::Tunnel::poll_transmit) still has should be sent, then the
    /// connection dropped.
    Closed(CloseReason),
}

/// The tunnel is over: nothing can be sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tunnel is closed")]
pub struct Closed;
