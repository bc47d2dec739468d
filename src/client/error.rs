//! Why a [`Client`](super::Client) call failed.

use std::convert::Infallible;
use std::io;

use eice_proto::id::InvalidId;

use crate::model::{InvalidTarget, StageError};
use crate::tunnel::{self, InvalidProxy};

/// Why a [`Client`](super::Client) call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The target does not name an instance.
    #[error(transparent)]
    Instance(#[from] InvalidId),
    /// Another part of the target is malformed.
    #[error(transparent)]
    Target(#[from] InvalidTarget),
    /// The environment names a proxy that cannot be used.
    #[error("the environment's proxy cannot be used")]
    Proxy(#[source] InvalidProxy),
    /// Tunnels cannot be set up: the roots of TLS cannot be read.
    #[error("tunnels cannot be set up")]
    Tunnel(#[source] tunnel::Error),
    /// A stage of connecting failed; it has a fault and mostly a hint.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The connection broke under a running process.
    #[error("the connection was lost")]
    Connection(#[source] io::Error),
    /// A process wrote more than [`RemoteProcess::output`](super::RemoteProcess::output) keeps.
    #[error("the process wrote more than {0} bytes: read its output as it comes")]
    OutputTooLong(usize),
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
