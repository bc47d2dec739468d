//! The errors of requests to the engine.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bollard::errors::Error as BollardError;

use super::address::Address;
use crate::model::{Fault, Stage, StageError};

/// A failed request to the engine.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    #[error("the Docker engine at {address} cannot be reached")]
    Unreachable { address: Address, source: io::Error },
    #[error("the Docker engine at {address} did not answer within {after:?}")]
    Silent { address: Address, after: Duration },
    /// The engine's error response, with its own message.
    #[error("the Docker engine responded: {message}")]
    Refused { status: u16, message: String },
    #[error("the Docker engine's response is invalid")]
    Invalid(#[source] Box<dyn StdError + Send + Sync>),
}

impl EngineError {
    /// Converts `error` of a request to the engine at `address` with the time limit `after`.
    pub(super) fn new(error: BollardError, address: &Address, after: Duration) -> Self {
        match error {
            BollardError::DockerResponseServerError { status_code, message } => {
                Self::Refused { status: status_code, message }
            }
            BollardError::RequestTimeoutError => Self::Silent { address: address.clone(), after },
            BollardError::SocketNotFoundError(_) => {
                Self::unreachable(address, io::ErrorKind::NotFound.into())
            }
            BollardError::HyperLegacyError { err } => Self::unreachable(address, innermost(err)),
            BollardError::HyperResponseError { err } => Self::unreachable(address, innermost(err)),
            BollardError::IOError { err } => Self::unreachable(address, err),
            other => Self::Invalid(Box::new(other)),
        }
    }

    pub(super) fn unreachable(address: &Address, source: io::Error) -> Self {
        Self::Unreachable { address: address.clone(), source }
    }

    /// Converts it to an error of `stage`, with a hint.
    pub(super) fn into_stage_error(self, stage: Stage) -> StageError {
        let (fault, hint) = match &self {
            Self::Unreachable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => (
                Fault::Denied,
                "let the gateway use the engine's socket: run it in the group that owns the socket (docker, most often)",
            ),
            Self::Unreachable { source, .. }
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                (
                    Fault::State,
                    "start the engine; if the gateway runs in a container itself, mount the engine's socket there; if \
                     the engine listens elsewhere, set [docker] host",
                )
            }
            Self::Unreachable { .. } => (Fault::Network, "check that the engine runs, and try again"),
            Self::Silent { .. } => (Fault::Timeout, "check the load of the engine, and try again"),
            Self::Refused { status: 404, .. } => {
                (Fault::NotFound, "start the workspace again, and try again")
            }
            Self::Refused { status: 409, .. } => {
                (Fault::State, "start the workspace's container (or unpause it), and try again")
            }
            Self::Refused { status: 401 | 403, .. } => (
                Fault::Denied,
                "let the gateway inspect containers and run execs in the engine's authorization",
            ),
            Self::Refused { .. } => (Fault::Remote, "read the engine's log"),
            Self::Invalid(_) => {
                (Fault::Protocol, "check that what listens at [docker] host is a Docker engine")
            }
        };
        let message = self.to_string();
        let error = StageError::new(stage, fault, message).with_hint(hint);
        match self {
            Self::Unreachable { source, .. } => error.with_source(source),
            Self::Invalid(source) => error.with_source(source),
            Self::Silent { .. } | Self::Refused { .. } => error,
        }
    }
}

/// Returns the operating system's error beneath the layers of libraries.
pub(super) fn innermost(error: impl StdError + Send + Sync + 'static) -> io::Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(at) = cause {
        cause = match at.downcast_ref::<io::Error>() {
            // An error that wraps another one reports the other's cause as its own.
            Some(found) => match (found.get_ref(), found.raw_os_error()) {
                (Some(wrapped), _) => Some(wrapped),
                (None, Some(code)) => return io::Error::from_raw_os_error(code),
                (None, None) => return found.kind().into(),
            },
            None => at.source(),
        };
    }
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_error_has_fault_and_hint() {
        let denied = io::Error::from_raw_os_error(13);
        let address = Address::default();
        let error = EngineError::new(BollardError::IOError { err: denied }, &address, Duration::ZERO);
        let error = error.into_stage_error(Stage::Workspace);
        assert_eq!((error.stage(), error.fault()), (Stage::Workspace, Fault::Denied));
        assert!(error.hint().unwrap().contains("group that owns the socket"));
        assert!(error.chain().contains("unix:///var/run/docker.sock cannot be reached: Permission denied"));

        let gone = BollardError::SocketNotFoundError("x".into());
        let error = EngineError::new(gone, &address, Duration::ZERO).into_stage_error(Stage::Workspace);
        assert_eq!(error.fault(), Fault::State);
        let slow = EngineError::new(BollardError::RequestTimeoutError, &address, Duration::from_secs(7));
        assert!(slow.to_string().ends_with("did not answer within 7s"));
        assert_eq!(slow.into_stage_error(Stage::Shell).fault(), Fault::Timeout);
        for (status_code, fault) in
            [(404, Fault::NotFound), (409, Fault::State), (403, Fault::Denied), (500, Fault::Remote)]
        {
            let refused = BollardError::DockerResponseServerError { status_code, message: "no\u{1b}".into() };
            let error = EngineError::new(refused, &address, Duration::ZERO).into_stage_error(Stage::Shell);
            assert_eq!(error.fault(), fault);
            assert!(!error.to_string().contains('\u{1b}'));
        }
    }

    #[test]
    fn innermost_is_the_os_error() {
        let deep = io::Error::other(io::Error::from_raw_os_error(111));
        assert_eq!(innermost(deep).kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(innermost(io::Error::other("words")).to_string(), "words");
    }
}
