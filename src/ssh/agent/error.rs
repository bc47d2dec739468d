//! Why an agent's socket cannot be created.

use std::io;
use std::path::{Path, PathBuf};

/// Why the socket could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The path is not valid for a socket.
    #[error("{} cannot be the path of a socket: {problem}", .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Other users could use or replace the folder's contents.
    #[error("the folder {} is not safe for an agent's socket: {problem}", .folder.display())]
    Unsafe {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The path is occupied by something else.
    #[error("{} already exists and is not a socket of eice", .0.display())]
    Occupied(PathBuf),
    /// A system call failed.
    #[error("{action} {} failed", .path.display())]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Converts a system error of `action` on `path`.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SocketError {
    let path = path.to_owned();
    move |source| SocketError::Io { action, path, source }
}
