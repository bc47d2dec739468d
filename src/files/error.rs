//! The errors of file transfers.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::path::InvalidPath;
use crate::model::{Fault, StageError};

/// Why a file was not copied, written or read. Paths and messages of the remote are the remote's own text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// No channel could be opened, or the remote runs no command in it.
    #[error("no command can be run on the remote")]
    Open(#[source] StageError),
    /// The connection broke during the transfer.
    #[error("the connection was lost")]
    Connection(#[source] io::Error),
    /// The remote failed and reported why.
    #[error("{path}: {words}")]
    Remote {
        /// The path.
        path: String,
        /// The output of the remote program, without control characters.
        words: String,
    },
    /// The remote lacks a program.
    #[error("{tool} is missing on the remote")]
    NoTool {
        /// The program.
        tool: String,
    },
    /// The path is a folder.
    #[error("{path} is a folder")]
    Folder {
        /// The path.
        path: String,
    },
    /// The path is neither a file nor a folder.
    #[error("{path} is not a regular file")]
    Special {
        /// The path.
        path: String,
    },
    /// The received data differs from the sent data, or the file changed during the transfer. The target is
    /// unchanged.
    #[error("{path}: the copy differs from the original, which may have changed during the copy")]
    Differs {
        /// The path.
        path: String,
    },
    /// An error of a local file.
    #[error("{}", path.display())]
    Local {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// Another copy to the same file is running.
    #[error("{}: another copy to this file is running", path.display())]
    Busy {
        /// The path.
        path: PathBuf,
    },
    /// An invalid path.
    #[error("invalid path")]
    Path(#[from] InvalidPath),
    /// The copy exceeds a limit.
    #[error("{0}")]
    TooMuch(String),
    /// The remote shell gave an unexpected answer.
    #[error("the remote shell gave an unexpected answer: {said}")]
    Shell {
        /// Its output.
        said: String,
    },
    /// Not attempted because an earlier error affects all files.
    #[error("not reached")]
    NotReached,
    /// The time limit is reached.
    #[error("not done within {after:?}")]
    Timeout {
        /// The time limit.
        after: Duration,
    },
}

impl TransferError {
    /// Returns the kind of fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Open(error) => error.fault(),
            Self::Connection(_) | Self::NotReached => Fault::Network,
            Self::Remote { words, .. } if words.contains("ermission denied") => Fault::Denied,
            Self::Remote { words, .. } if words.contains("o such file") => Fault::NotFound,
            Self::Local { source, .. } if source.kind() == io::ErrorKind::NotFound => Fault::NotFound,
            Self::Remote { .. } | Self::NoTool { .. } | Self::Shell { .. } | Self::Differs { .. } => {
                Fault::Remote
            }
            Self::Folder { .. } | Self::Special { .. } | Self::Path(_) | Self::TooMuch(_) => Fault::Usage,
            Self::Local { .. } | Self::Busy { .. } => Fault::State,
            Self::Timeout { .. } => Fault::Timeout,
        }
    }

    /// Returns what to do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Open(error) => error.hint(),
            Self::Connection(_) => Some("run it again: large files resume where they stopped"),
            Self::Remote { words, .. } if words.contains("ermission denied") => Some(
                "the user needs write permission on the folder, not only on the file: a file is replaced as a whole",
            ),
            Self::NoTool { .. } => Some("install it on the remote: it is part of coreutils and of busybox"),
            Self::Folder { .. } => Some("use -r to copy folders"),
            Self::Differs { .. } => Some("run it again"),
            _ => None,
        }
    }

    /// Returns the error for another file that is affected by the same cause.
    pub(super) fn repeat(&self) -> Self {
        match self {
            Self::Connection(error) => Self::Connection(io::Error::new(error.kind(), error.to_string())),
            Self::NoTool { tool } => Self::NoTool { tool: tool.clone() },
            Self::Timeout { after } => Self::Timeout { after: *after },
            _ => Self::NotReached,
        }
    }

    /// Returns whether no further transfer is possible over this connection.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::Open(_)
                | Self::Connection(_)
                | Self::NotReached
                | Self::NoTool { .. }
                | Self::Shell { .. }
                | Self::Timeout { .. }
        )
    }
}
