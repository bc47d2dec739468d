//! How a tunnel behaves.

use std::time::Duration;

/// The longest payload of a data frame that this side sends, in bytes (aws-cli `websocket.py`,
/// `_MAX_BYTES_PER_FRAME`).
pub const MAX_CHUNK: usize = 65_000;

/// The longest time that any setting stands for; a longer one is as good as never, and an [`Instant`] could not hold
/// every sum with it.
///
/// [`Instant`]: std::time::Instant
const MAX_TIMER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Which end of the tunnel this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that dialled.
    Client,
    /// The endpoint.
    Server,
}

/// How a tunnel behaves. [`Config::default`] is what a client wants.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The longest payload of a data frame sent, in bytes. The default is [`MAX_CHUNK`].
    pub max_chunk: usize,
    /// How many bytes [`Tunnel::send`](super::Tunnel::send) holds until they are transmitted. The default is 256 KiB; more only
    /// hides the socket's back-pressure.
    pub max_queued: usize,
    /// How long the peer may be silent before it is pinged. The default is 25 s, below the idle limits of
    /// usual middleboxes; `None` never pings.
    pub keepalive_interval: Option<Duration>,
    /// How long a ping may stay unanswered before the peer is given up. The default is 20 s. It counts only once the
    /// peer has answered a ping: nothing public says that the service does, and one that does not must not lose its
    /// idle tunnels. Until then the peer is pinged at every interval, busy or not, so as to find out.
    pub keepalive_timeout: Duration,
    /// The tunnel's longest duration. The default, `None`, has no limit of its own; a client passes what it
    /// asked for, or 3600 s, to tell that end from others.
    pub max_duration: Option<Duration>,
    /// How long before [`max_duration`](Self::max_duration) to say [`Event::DurationNear`](super::Event). The
    /// default, `None`, says nothing.
    pub duration_warning: Option<Duration>,
    /// Whether pings are answered here. The default is yes; no where the WebSocket codec below does it already.
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
    /// The same with every value where the machine can work with it.
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
