//! L2 · A shell or a command inside a container.
//!
//! On an instance: the quoting function, the exec command line, the watcher. These are texts for the login
//! shell of the instance, which must interpret single quotes as POSIX does; nothing of them is run locally.
//!
//! Locally: [`engine`] opens terminals over the API of a container engine, with the same shell and the same
//! watcher.

#[cfg(feature = "gateway")]
pub mod engine;
mod error;
mod exec;
mod probe;
mod quote;
mod watcher;

pub use error::InvalidCommand;
pub use exec::{TerminalMarker, exec_command};
pub use probe::{container_probe, engine_probe, shell_probe};
pub use quote::{NulByte, quote, quote_bytes};
pub use watcher::watcher_command;
