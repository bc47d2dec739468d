//! Why the database did not answer.

use std::fmt;
use std::time::Duration;

use super::super::{DirectoryError, WorkspaceId};

/// Why a question to the database has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// No connection can be made.
    #[error("cannot connect to the database at {place}")]
    Connect {
        /// Host, port and database.
        place: String,
        /// Why.
        source: Cause,
    },
    /// No connection became free.
    #[error("no connection to the database became free within {} ms; {max} are allowed", waited.as_millis())]
    Busy {
        /// How many there may be.
        max: u32,
        /// How long it was waited for one.
        waited: Duration,
    },
    /// It is connected and says nothing.
    #[error("the database at {place} does not answer within {} ms", waited.as_millis())]
    Silent {
        /// Host, port and database.
        place: String,
        /// How long it was waited.
        waited: Duration,
    },
    /// It answered with an error, or the connection broke.
    #[error("the database at {place} cannot answer")]
    Query {
        /// Host, port and database.
        place: String,
        /// Why.
        source: Cause,
    },
}

impl From<Error> for DirectoryError {
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}

/// A workspace whose `instance_id` opens nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidInstance {
    /// It is neither an instance's id nor, where the platform has those, a container's name.
    #[error("the workspace {workspace} has the invalid instance_id {text:?}")]
    Malformed {
        /// The workspace.
        workspace: WorkspaceId,
        /// The start of the value.
        text: String,
    },
    /// Another workspace has the same container.
    #[error(
        "the workspace {workspace} has the container {name:?} in its instance_id, which another workspace has as well"
    )]
    Contested {
        /// The workspace.
        workspace: WorkspaceId,
        /// The container's name.
        name: String,
    },
}

/// A token that opens more workspaces than are read.
#[derive(Debug, thiserror::Error)]
#[error("the organization of {token:?} has more than {} workspaces", super::organization::MAX_WORKSPACES)]
pub(super) struct TooManyWorkspaces {
    /// The name of the token's principal.
    pub(super) token: String,
}

/// What the driver says, in one line: its own errors print their cause and return it as well.
#[derive(Debug)]
pub(super) struct Cause(sqlx::Error);

impl From<sqlx::Error> for Cause {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            sqlx::Error::Database(error) => {
                f.write_str(error.message())?;
                match error.code() {
                    Some(code) => write!(f, " (SQLSTATE {code})"),
                    None => Ok(()),
                }
            }
            sqlx::Error::Io(error) => error.fmt(f),
            other => other.fmt(f),
        }
    }
}

impl std::error::Error for Cause {}
