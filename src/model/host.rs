//! The traits through which the upper layers open a host and a terminal on it.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Report, Shell, Size, StageError, StageObserver, Target, Terminal};

use crate::setters::setters;

/// Turns a [`Target`] into an open [`Host`].
///
/// The session and the gateway hold one as `Arc<dyn Connect>` and do not depend on how a host is reached.
pub trait Connect: Send + Sync {
    /// Opens a connection to `target` and reports each stage to `observer`.
    ///
    /// Every stage has its own deadline. Dropping the future abandons the attempt and leaves nothing behind.
    fn connect<'a>(
        &'a self,
        target: &'a Target,
        observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Box<dyn Host>, StageError>>;

    /// Returns at once whether connecting can succeed, where that is known without the network: for a local
    /// container. For other targets only [`Self::connect`] finds out. The default returns `Ok`.
    ///
    /// # Errors
    /// [`NotReady`] when connecting cannot succeed.
    fn ready<'a>(&'a self, _target: &'a Target) -> BoxFuture<'a, Result<(), NotReady>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Runs through every stage of connecting without handing out a terminal, and reports what fails and how to
    /// fix it. It has its own time limit. The default returns `None`: diagnosis is not supported.
    fn diagnose<'a>(
        &'a self,
        _target: &'a Target,
        _observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Option<Report>> {
        Box::pin(std::future::ready(None))
    }
}

impl fmt::Debug for dyn Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connect")
    }
}

/// Why connecting cannot succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// There is no container engine, or it does not answer.
    #[error("Docker not available")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No container of that name runs, or the one that runs does not carry the platform's label.
    #[error("container not running")]
    Container,
}

/// An open connection to a target.
///
/// Dropping it ends its terminals and closes the connection without waiting; [`Host::close`] waits.
pub trait Host: Send + Sync {
    /// Opens a terminal, or runs a command without one: see [`TerminalRequest`].
    fn open_terminal<'a>(
        &'a self,
        request: &'a TerminalRequest,
        observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Terminal, StageError>>;

    /// Returns the ids that an audit record or a support case needs to identify this connection.
    fn ids(&self) -> HostIds;

    /// Measures the round trip to the remote; `None` when there is no network path or it cannot be measured.
    fn round_trip(&self) -> BoxFuture<'_, Option<Duration>> {
        Box::pin(std::future::ready(None))
    }

    /// Closes the connection and waits, within a bound, until it is gone.
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl fmt::Debug for dyn Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("ids", &self.ids()).finish_non_exhaustive()
    }
}

/// How a terminal presents itself to its process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TerminalRequest {
    /// The terminal size. The default is 80x24.
    pub size: Size,
    /// `TERM`. The default is `xterm-256color`.
    pub term: String,
    /// `LANG`, if it is passed on. The default is `C.UTF-8`.
    pub lang: Option<String>,
    /// Whether a PTY is allocated. Without one, stdout and stderr are separate, bytes pass unchanged, and input
    /// has an end. The default is yes.
    pub pty: bool,
    /// What runs in it. The default, `None`, is the target's own shell.
    pub shell: Option<Shell>,
}

impl TerminalRequest {
    /// Returns a request for a terminal of `size` with defaults for everything else.
    #[must_use]
    pub fn new(size: Size) -> Self {
        Self { size, ..Self::default() }
    }

    /// Returns a request for the target's own shell or command without a PTY.
    #[must_use]
    pub fn without_pty() -> Self {
        Self { pty: false, ..Self::default() }
    }

    /// Returns a request for the command line `command` without a PTY. The login shell gets it verbatim, so
    /// values from elsewhere must be quoted already.
    #[must_use]
    pub fn command(command: impl Into<String>) -> Self {
        Self { shell: Some(Shell::Command(command.into())), ..Self::without_pty() }
    }
}

impl Default for TerminalRequest {
    fn default() -> Self {
        Self {
            size: Size::default(),
            term: "xterm-256color".into(),
            lang: Some("C.UTF-8".into()),
            pty: true,
            shell: None,
        }
    }
}

/// The ids of a connection, for logs and audit records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostIds {
    /// The request id of `SendSSHPublicKey`.
    pub key_push: Option<String>,
    /// The request id of `OpenTunnel`, the `x-amzn-RequestId` of the 101 response.
    pub tunnel: Option<String>,
    /// The endpoint that carries the tunnel.
    pub endpoint: Option<String>,
}

setters! {
    TerminalRequest {
        size: Size,
        term: String,
        lang: Option<String>,
        pty: bool,
        shell: Option<Shell>,
    }
}
