//! L3 · Files at the far side of a [`Host`]: written, read, listed and copied over its one connection.
//!
//! The far side needs a POSIX shell and the small programs of coreutils or busybox, `sha256sum` among them; nothing
//! is installed and no SFTP is spoken. What is guaranteed, and how an interrupted copy goes on, is in `docs/files.md`:
//!
//! - a file that is written is there as a whole or as it was before, whatever breaks on the way: it grows under
//!   another name in the same folder, and is renamed once its size and its SHA-256 are right,
//! - a large file that was interrupted goes on where it stopped, after what is there was compared,
//! - many files share one connection, a few channels of it at a time ([`MAX_CHANNELS`]), and small ones share those.
//!
//! Every value that reaches the far side's shell passes through the one quoting function of [`docker`](crate::docker).

mod copy;
mod dialog;
mod error;
mod get;
mod lanes;
mod list;
mod local;
mod path;
mod put;
mod script;
mod source;
#[cfg(test)]
mod tests;
pub mod workspace;

use std::fmt;

pub use copy::{Copied, CopyEvent, CopyOptions};
pub use error::Error;
pub use lanes::MAX_CHANNELS;
pub use list::{Entry, Kind};
pub use path::{InvalidPath, RemotePath};
pub use source::Chunks;

use crate::model::{ContainerShell, Host};
use lanes::Lanes;

/// The files at the far side of a connection, on the instance or in a container of it.
///
/// It shares the connection's channels among all that is asked of it, so that one of it per connection is best.
pub struct Files<'h> {
    host: &'h dyn Host,
    container: Option<ContainerShell>,
    lanes: Lanes,
}

impl fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files")
            .field("host", &self.host.ids())
            .field("container", &self.container)
            .finish_non_exhaustive()
    }
}

impl<'h> Files<'h> {
    /// The files of the instance that `host` leads to, as the user sees them.
    #[must_use]
    pub fn of(host: &'h dyn Host) -> Self {
        Self { host, container: None, lanes: Lanes::new() }
    }

    /// The files in a container of that instance, as its user sees them.
    #[must_use]
    pub fn in_container(host: &'h dyn Host, container: ContainerShell) -> Self {
        Self { container: Some(container), ..Self::of(host) }
    }
}

/// What a file that is written should be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attributes {
    /// Its mode.
    pub mode: Mode,
    /// When it was last changed, in seconds after 1970. The default, `None`, is now.
    pub modified: Option<u64>,
}

impl Attributes {
    /// Of mode `mode`, changed now.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self { mode, modified: None }
    }
}

/// How the mode of a file that is written is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// These bits, whatever was there before.
    Exactly(u32),
    /// Those of the file that is replaced; a new one gets these, less the umask.
    Keep(u32),
}

/// Is told how many more bytes have been moved.
pub type Moved<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// What became of one large file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transfer {
    /// Its size, in bytes.
    pub size: u64,
    /// Where an earlier attempt had stopped: so many bytes were not moved again.
    pub resumed_at: u64,
}
