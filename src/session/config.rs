//! What the sessions are told.

use std::time::Duration;

/// The sessions' settings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How many sessions may be live at once, those being closed included. The default is 1,000.
    pub max_sessions: usize,
    /// How long connecting may take over all its stages, each of which has a deadline of its own. The default is
    /// 60 s.
    pub connect_timeout: Duration,
    /// How long closing a terminal and its connection may take before they are dropped. The default is 10 s.
    pub close_timeout: Duration,
    /// How many pieces of output wait for a slow viewer before the terminal does: at most this times
    /// [`Self::max_piece`] bytes. The default is 16.
    pub output_queue: usize,
    /// The largest piece of output, in bytes. The default is 32,768.
    pub max_piece: usize,
    /// How many bytes of input wait for a slow program before the viewer does. The default is 16 MiB, so that the
    /// largest paste does not stop a viewer from being heard.
    pub input_queue: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_sessions: 1000,
            connect_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(10),
            output_queue: 16,
            max_piece: 32 << 10,
            input_queue: 16 << 20,
        }
    }
}
