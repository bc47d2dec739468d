//! The error of the command lines.

use super::quote::NulByte;

/// A command line that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCommand {
    /// The engine's command is empty.
    #[error("the container engine's command is empty")]
    NoEngine,
    /// The command to run is empty.
    #[error("the command for the container is empty")]
    NoCommand,
    /// A value contains a NUL byte.
    #[error("{what} contains a NUL byte")]
    Nul {
        /// The name of the value.
        what: String,
        /// The cause.
        source: NulByte,
    },
}
