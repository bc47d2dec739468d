//! Why a file was not copied.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::path::InvalidPath;
use crate::model::{Fault, StageError};

/// Why a file was not copied, written or read. What it names at the far side is in the far side's own words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No channel could be had, or the far side runs no command in it.
    #[error("nothing can be run at the far side")]
    Open(#[source] StageError),
    /// The connection broke on the way.
    #[error("the connection was lost")]
    Connection(#[source] io::Error),
    /// The far side could not do it, and says why.
    #[error("{path}: {words}")]
    Remote {
        /// Where.
        path: String,
        /// What a program there said, without control characters.
        words: String,
    },
    /// The far side lacks a program.
    #[error("{tool} is missing at the far side")]
    NoTool {
        /// The program.
        tool: String,
    },
    /// What is there is a folder.
    #[error("{path} is a folder")]
    Folder {
        /// Where.
        path: String,
    },
    /// What is there is neither a file nor a folder.
    #[error("{path} is no regular file")]
    Special {
        /// Where.
        path: String,
    },
    /// What arrived is not what was sent, or the file changed on its way. The target is as it was.
    #[error("{path}: what arrived is not what was sent; it may have been changed meanwhile")]
    Differs {
        /// Where.
        path: String,
    },
    /// A file of this machine.
    #[error("{}", path.display())]
    Local {
        /// Where.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Another copy to the same file is under way.
    #[error("{}: another copy to it is under way", path.display())]
    Busy {
        /// Where.
        path: PathBuf,
    },
    /// A path that cannot be.
    #[error("a path cannot be used")]
    Path(#[from] InvalidPath),
    /// There is more than a copy takes.
    #[error("{0}")]
    TooMuch(String),
    /// The far side's shell answers something else than it was asked.
    #[error("the far side's shell does not do as it should: {said}")]
    Shell {
        /// What it said.
        said: String,
    },
    /// It was not tried, because something before it failed for all.
    #[error("not reached")]
    NotReached,
    /// The time for all of it is over.
    #[error("not done within {after:?}")]
    Timeout {
        /// How much there was.
        after: Duration,
    },
}

impl Error {
    /// At whose door it lies.
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

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Open(error) => error.hint(),
            Self::Connection(_) => {
                Some("run it again: what has arrived of a large file is kept and goes on from there")
            }
            Self::Remote { words, .. } if words.contains("ermission denied") => Some(
                "the login name needs to write to the folder, not only to the file: a file is replaced as a whole",
            ),
            Self::NoTool { .. } => Some("install it there: it comes with coreutils and with busybox"),
            Self::Folder { .. } => Some("-r copies folders"),
            Self::Differs { .. } => Some("run it again"),
            _ => None,
        }
    }

    /// The same for another file that it meets as well.
    pub(super) fn repeat(&self) -> Self {
        match self {
            Self::Connection(error) => Self::Connection(io::Error::new(error.kind(), error.to_string())),
            Self::NoTool { tool } => Self::NoTool { tool: tool.clone() },
            Self::Timeout { after } => Self::Timeout { after: *after },
            _ => Self::NotReached,
        }
    }

    /// Whether nothing more can be done over this connection.
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
