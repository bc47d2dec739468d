//! The directory in a TOML file.
//!
//! ```toml
//! [[workspace]]
//! id = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9"
//! name = "prod-agent"
//! instance = "i-0123456789abcdef0"
//! os_user = "ubuntu"            # all below is optional
//! region = "eu-west-1"
//! container = "ws-0a1b2c3d"
//! runtime = "hermes"
//! parent = "1a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9"
//!
//! [[workspace]]                 # without instance: a container of the local engine
//! id = "1a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9"
//! name = "lead"
//!
//! [[token]]
//! name = "ci"
//! sha256 = "…"                  # printf %s "$TOKEN" | sha256sum
//! workspaces = ["0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9"]   # or "*"
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::{BoxFuture, ready};
use toml::de::DeTable;

use super::entries::{read_token, read_workspace};
use super::fields::{Problems, tables};
use super::{BearerToken, Directory, DirectoryError, Principal, TokenDigest, Workspace, WorkspaceId};

/// A directory read from a TOML file. The file is not read again: a caller that wants that reads it anew, and has
/// [`Self::replace`] put it in place.
#[derive(Debug)]
pub struct FileDirectory {
    entries: RwLock<Arc<Entries>>,
}

#[derive(Debug)]
struct Entries {
    workspaces: BTreeMap<WorkspaceId, Workspace>,
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
        source: io::Error,
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
    /// [`FileError`], with every problem at once.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let text = read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads `text`.
    ///
    /// # Errors
    /// [`FileError::Invalid`], with every problem at once.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let mut problems = Problems::new(text);
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            problems.add(error.span().map_or(0, |span| span.start), error.message());
        }
        let root = root.get_ref();
        for key in root.keys().filter(|key| !matches!(key.get_ref().as_ref(), "workspace" | "token")) {
            problems.add(
                key.span().start,
                format_args!("unknown key {:?}: a directory has [[workspace]] and [[token]]", key.get_ref()),
            );
        }

        let mut workspaces = BTreeMap::new();
        let mut parents = Vec::new();
        for fields in tables(root, "workspace", &mut problems) {
            let offset = fields.offset();
            if let Some((workspace, parent_offset)) = read_workspace(fields, &mut problems) {
                let id = workspace.id;
                parents
                    .extend(workspace.parent.zip(parent_offset).map(|(parent, offset)| (id, parent, offset)));
                if workspaces.insert(id, workspace).is_some() {
                    problems.add(offset, format_args!("the workspace {id} is there twice"));
                }
            }
        }
        for (id, parent, offset) in parents {
            if parent == id {
                problems.add(offset, "parent: a workspace is not above itself");
            } else if !workspaces.contains_key(&parent) {
                problems.add(offset, format_args!("parent: there is no workspace {parent}"));
            }
        }
        let mut tokens: Vec<(TokenDigest, Principal)> = Vec::new();
        for fields in tables(root, "token", &mut problems) {
            let offset = fields.offset();
            if let Some((digest, principal)) = read_token(fields, &workspaces, &mut problems) {
                if tokens.iter().any(|(known, _)| *known == digest) {
                    problems.add(offset, "this token is there twice");
                }
                tokens.push((digest, principal));
            }
        }
        let problems = problems.into_sorted();
        if problems.is_empty() {
            Ok(Self { entries: RwLock::new(Arc::new(Entries { workspaces, tokens })) })
        } else {
            Err(FileError::Invalid { problems })
        }
    }
}

impl FileDirectory {
    /// Every workspace, by id.
    #[must_use]
    pub fn workspaces(&self) -> Vec<Workspace> {
        self.entries().workspaces.values().cloned().collect()
    }

    /// Answers from `other`'s entries from now on.
    pub fn replace(&self, other: Self) {
        let new = other.entries();
        *self.entries.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    fn entries(&self) -> Arc<Entries> {
        Arc::clone(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The file's text, read no further than [`FileDirectory::MAX_LEN`].
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FileDirectory::MAX_LEN + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FileDirectory::MAX_LEN {
        let message = format!("it is larger than {} bytes", FileDirectory::MAX_LEN);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

impl Directory for FileDirectory {
    fn authenticate<'a>(
        &'a self,
        token: &'a BearerToken,
    ) -> BoxFuture<'a, Result<Option<Principal>, DirectoryError>> {
        let digest = token.digest();
        // Every entry is compared, in constant time.
        let entries = self.entries();
        let found = entries.tokens.iter().fold(
            None,
            |found, (known, principal)| {
                if *known == digest { Some(principal) } else { found }
            },
        );
        Box::pin(ready(Ok(found.cloned())))
    }

    fn find(&self, id: WorkspaceId) -> BoxFuture<'_, Result<Option<Workspace>, DirectoryError>> {
        Box::pin(ready(Ok(self.entries().workspaces.get(&id).cloned())))
    }

    fn list<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Vec<Workspace>, DirectoryError>> {
        let entries = self.entries();
        let mine = entries.workspaces.values().filter(|workspace| principal.may_open(workspace.id));
        let mut mine: Vec<_> = mine.cloned().collect();
        mine.sort_by(|a, b| a.name.cmp(&b.name));
        Box::pin(ready(Ok(mine)))
    }
}

#[cfg(test)]
mod tests;
