//! A request for a channel.

use crate::model::Size;
use crate::setters::setters;

/// What to run in a channel, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelRequest {
    /// The PTY; without one, stdout and stderr are separate and stdin can end.
    pub pty: Option<Pty>,
    /// Environment variables. The server accepts those in its `AcceptEnv` and silently ignores the rest.
    pub env: Vec<(String, String)>,
    /// The command line, interpreted by the user's login shell; `None` runs the login shell itself.
    pub command: Option<String>,
    /// A second command, without a PTY, whose stdin stays open while the first one runs. When that ends or is
    /// closed, this stdin ends, and [`Control::close`](crate::model::Control::close) waits for the command.
    pub watcher: Option<String>,
}

/// A PTY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pty {
    /// `TERM`.
    pub term: String,
    /// The size.
    pub size: Size,
}

setters! {
    ChannelRequest {
        pty: Option<Pty>,
        env: Vec<(String, String)>,
        command: Option<String>,
        watcher: Option<String>,
    }
}
