//! How the upper layers ask for a machine and for a terminal in it.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Report, Shell, Size, StageError, StageObserver, Target, Terminal};

use crate::setters::setters;

/// Turns a [`Target`] into an open [`Host`].
///
/// The session and the gateway hold one as `Arc<dyn Connect>` and never learn how a host came to be.
pub trait Connect: Send + Sync {
    /// Opens a connection to `target`, telling `observer` of each stage.
    ///
    /// Every stage has a deadline of its own. Dropping the future abandons the attempt and leaves nothing
    /// behind.
    fn connect<'a>(
        &'a self,
        target: &'a Target,
        observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Box<dyn Host>, StageError>>;

    /// Whether it is worth trying, where that is known at once: for a container beside this program. What takes the
    /// network is found out by [`Self::connect`]. The default says yes.
    ///
    /// # Errors
    /// [`NotReady`] when it is not.
    fn ready<'a>(&'a self, _target: &'a Target) -> BoxFuture<'a, Result<(), NotReady>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Walks through every stage of connecting without opening a terminal for anybody, and tells what stands in the
    /// way and what would mend it. It ends within its own time. The default, `None`, cannot.
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

/// Why connecting is not worth trying.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// There is no container engine, or it does not answer.
    #[error("Docker not available")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No container of that name runs, or none that is the platform's.
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

    /// What an audit record or a support case needs to find this connection again.
    fn ids(&self) -> HostIds;

    /// How long the way to the far side and back takes now; `None` where there is none, or it cannot be told.
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

/// What a terminal should look like to the process in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TerminalRequest {
    /// Its size. The default is 80x24.
    pub size: Size,
    /// `TERM`. The default is `xterm-256color`.
    pub term: String,
    /// `LANG`, where there is one to pass on. The default is `C.UTF-8`.
    pub lang: Option<String>,
    /// Whether there is a PTY. Without one, stdout and stderr come apart, every byte passes as it is, and input
    /// has an end. The default is yes.
    pub pty: bool,
    /// What runs in it. The default, `None`, is the target's own shell.
    pub shell: Option<Shell>,
}

impl TerminalRequest {
    /// A request for a terminal of `size`, everything else at its default.
    #[must_use]
    pub fn new(size: Size) -> Self {
        Self { size, ..Self::default() }
    }

    /// A request for the target's own shell or command without a PTY.
    #[must_use]
    pub fn without_pty() -> Self {
        Self { pty: false, ..Self::default() }
    }

    /// A request for the command line `command` without a PTY, given to the login shell as it stands: whatever
    /// in it came from elsewhere must be quoted already.
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
