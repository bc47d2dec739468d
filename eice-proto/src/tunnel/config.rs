//! The settings of a tunnel.

use std::time::Duration;

/// The maximum payload of a data frame that this side sends, in bytes (aws-cli `websocket.py`,
/// `_MAX_BYTES_PER_FRAME`).
pub const MAX_CHUNK: usize = 65_000;

/// Timers are clamped to one year so that `Instant + Duration` cannot overflow.
const MAX_TIMER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The role of this end of the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that dialed.
    Client,
    /// The endpoint.
    Server,
}

/// The settings of a tunnel. [`Config::default`] suits a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The maximum payload of a sent data frame, in bytes. The default is [`MAX_CHUNK`].
    pub max_chunk: usize,
    /// How many bytes [`Tunnel::send`](super::Tunnel::send) queues. The default is 256 KiB; a larger queue only
    /// hides the socket's backpressure.
    pub max_queued: usize,
    /// How long the peer may be silent before it is pinged. The default is 25 s, below the usual idle timeouts of
    /// middleboxes; `None` disables pings.
    pub keepalive_interval: Option<Duration>,
    /// How long a ping may stay unanswered before the peer is given up. The default is 20 s. It applies only once
    /// the peer has answered a ping: it is not documented that the service does, and a peer that does not must not
    /// lose its idle tunnels. Until then the peer is pinged at every interval, busy or not, to find out.
    pub keepalive_timeout: Duration,
    /// The maximum duration of the tunnel. The default, `None`, sets no limit; a client passes the duration that
    /// it requested, or 3600 s, to distinguish that end from others.
    pub max_duration: Option<Duration>,
    /// How long before [`max_duration`](Self::max_duration) to send [`Event::DurationNear`](super::Event). The
    /// default, `None`, sends none.
    pub duration_warning: Option<Duration>,
    /// Whether the tunnel answers pings. The default is true; set it to false if the WebSocket codec answers them.
    pub answers_pings: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_chunk: MAX_CHUNK,
            max_queued: 256 * 1024,
            keepalive_interval: Some(Duration::from_secs(25)),
            keepalive_timeout: Duration::from_secs(20),
            max_duration: None,
            duration_warning: None,
            answers_pings: true,
        }
    }
}

impl Config {
    /// Returns the settings with every value clamped to what the state machine supports.
    pub(super) fn bounded(self) -> Self {
        let bounded = |duration: Duration| duration.min(MAX_TIMER);
        Self {
            max_chunk: self.max_chunk.max(1),
            keepalive_interval: self.keepalive_interval.map(bounded),
            keepalive_timeout: bounded(self.keepalive_timeout),
            max_duration: self.max_duration.map(bounded),
            duration_warning: self.duration_warning.map(bounded),
            ..self
        }
    }
}
