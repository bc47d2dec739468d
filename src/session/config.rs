//! The sessions' settings.

use std::time::Duration;

use crate::setters::setters;

/// The sessions' settings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How many sessions may be live at once, those being closed included. The default is 1,000.
    pub max_sessions: usize,
    /// How many of them one workspace may have. The default is 12: an endpoint carries 20 tunnels, so one workspace
    /// leaves some of them to others, to files and to diagnoses.
    pub max_per_workspace: usize,
    /// How many of them one user may have. The default is 12, for the same reason.
    pub max_per_user: usize,
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
    /// How long a session may go without activity. The default, `None`, is for ever.
    pub idle_timeout: Option<Duration>,
    /// How long before that the viewer is warned; none when zero. The default is 60 s.
    pub idle_warning: Duration,
    /// Whether output is activity as well, not only what is typed: a build that runs is then not idle. The default
    /// is yes.
    pub output_is_activity: bool,
    /// How long a session may last at all. The default, `None`, is for ever; its tunnel ends it after an hour.
    pub max_duration: Option<Duration>,
    /// How long before that the viewer is warned; none when zero. The default is 300 s.
    pub max_duration_warning: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_sessions: 1000,
            max_per_workspace: 12,
            max_per_user: 12,
            connect_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(10),
            output_queue: 16,
            max_piece: 32 << 10,
            input_queue: 16 << 20,
            idle_timeout: None,
            idle_warning: Duration::from_secs(60),
            output_is_activity: true,
            max_duration: None,
            max_duration_warning: Duration::from_secs(300),
        }
    }
}

setters! {
    Config {
        max_sessions: usize,
        max_per_workspace: usize,
        max_per_user: usize,
        connect_timeout: Duration,
        close_timeout: Duration,
        output_queue: usize,
        max_piece: usize,
        input_queue: usize,
        idle_timeout: Option<Duration>,
        idle_warning: Duration,
        output_is_activity: bool,
        max_duration: Option<Duration>,
        max_duration_warning: Duration,
    }
}
