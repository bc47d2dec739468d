//! L3 · Files on a [`Host`]: written, read, listed and copied over its connection.
//!
//! The remote needs a POSIX shell and the small programs of coreutils or busybox, `sha256sum` among them;
//! nothing is installed and SFTP is not used. `docs/files.md` has the guarantees and describes how an
//! interrupted copy resumes:
//!
//! - A write is atomic: the data is written under another name in the same folder and renamed once its size and
//!   SHA-256 match.
//! - A large file that was interrupted resumes where it stopped, after the existing part was compared.
//! - Files share one connection and a few of its channels ([`MAX_CHANNELS`]); small files share channels in
//!   batches.
//!
//! Every value that reaches the remote shell is quoted by [`docker::quote`](crate::docker::quote()).

mod channels;
mod copy;
mod dialog;
mod error;
mod get;
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

pub use channels::MAX_CHANNELS;
pub use copy::{Copied, CopyEvent, CopyOptions};
pub use error::TransferError;
pub use list::{Entry, FileKind};
pub use path::{InvalidPath, RemotePath};
pub use source::Chunks;

use crate::model::{ContainerShell, Host};
use channels::ChannelLimiter;

/// The files on a host, or in one of its containers.
///
/// It limits the channels of the connection, so use one `Files` per connection.
pub struct Files<'h> {
    host: &'h dyn Host,
    container: Option<ContainerShell>,
    channels: ChannelLimiter,
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
    /// Returns the files of the instance `host`, as its user sees them.
    #[must_use]
    pub fn of(host: &'h dyn Host) -> Self {
        Self { host, container: None, channels: ChannelLimiter::new() }
    }

    /// Returns the files in a container of that instance, as the container's user sees them.
    #[must_use]
    pub fn in_container(host: &'h dyn Host, container: ContainerShell) -> Self {
        Self { container: Some(container), ..Self::of(host) }
    }
}

/// The attributes of a written file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attributes {
    /// Its mode.
    pub mode: FileMode,
    /// Its modification time, in seconds since 1970. The default, `None`, is now.
    pub modified: Option<u64>,
}

impl Attributes {
    /// Returns attributes with `mode` and the current time.
    #[must_use]
    pub fn new(mode: FileMode) -> Self {
        Self { mode, modified: None }
    }
}

/// How the mode of a written file is determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileMode {
    /// These bits.
    Exactly(u32),
    /// The mode of the replaced file; a new file gets these bits, minus the umask.
    Keep(u32),
}

/// A callback that receives the number of bytes transferred since the last call.
pub type ProgressFn<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// The result of one transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transfer {
    /// Its size, in bytes.
    pub size: u64,
    /// The number of bytes that an earlier attempt had transferred.
    pub resumed_at: u64,
}
