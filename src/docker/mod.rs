//! L2 · A shell or a command inside a container.
//!
//! On an instance: the one quoting function, the exec template, the watcher. These are texts for the login shell of the
//! instance, which must read single quotes as POSIX says; nothing of them runs anything here.
//!
//! Beside this program: [`engine`] opens terminals over the API of a container engine, with the same shell and the same
//! watcher.

#[cfg(feature = "gateway")]
pub mod engine;
mod exec;
mod probe;
mod quote;
mod watcher;

pub use exec::{Marker, exec_command};
pub use probe::{container_probe, engine_probe, shell_probe};
pub use quote::{NulByte, quote, quote_bytes};
pub use watcher::watcher_command;

/// A command line that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCommand {
    /// No engine is named.
    #[error("the container engine's command is empty")]
    NoEngine,
    /// The command to run has no word.
    #[error("the command for the container is empty")]
    NoCommand,
    /// A value holds a NUL byte.
    #[error("{what} holds a NUL byte")]
    Nul {
        /// Whose value.
        what: String,
        /// The cause.
        source: NulByte,
    },
}
