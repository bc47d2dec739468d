//! Host keys: the pinned keys of each instance, and the policy for a key that is not pinned.
//!
//! Keys are pinned by instance, never by address: addresses are reused after an instance is gone. TLS and the
//! signature prove only the endpoint; only the host key proves which machine answers.

mod check;
mod console_text;
mod file;
mod key;
pub mod known_hosts;
mod memory;
mod pins;
mod scope;
mod witness;

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;

use crate::model::Fault;

pub use check::{HostKeyCheck, HostKeyPolicy};
pub use file::FileHostKeys;
pub use key::{Fingerprint, HostKey, InvalidHostKey};
pub use memory::MemoryHostKeys;
pub use pins::{KeyOrigin, Known, Pin, Pins};
pub use scope::{HostKeyScope, InvalidScope};
pub use witness::{Testimony, Witness, WitnessError};

/// The maximum number of pinned keys per instance; sshd creates three by default.
pub const MAX_KEYS_PER_SCOPE: usize = 16;

/// The outcome of learning a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Learned {
    /// The key is pinned now, as the first of its scope.
    Added,
    /// The key was already pinned.
    Known,
    /// Other keys are pinned that conflict with it; it is not pinned.
    Conflict(Vec<HostKey>),
}

/// A store of pinned host keys.
///
/// An instance may be pinned with its account or, if nothing was looked up, without it (`-`): a key pinned one way also
/// counts for the other.
pub trait HostKeySource: Send + Sync {
    /// Returns the pinned keys of `scope`; empty if there are none.
    ///
    /// An unreadable store is an error, because an unknown key would be trusted.
    fn known<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<Known, StoreError>>;

    /// Pins `keys` for `scope` if no key is pinned for it, atomically. The first one is the instance's.
    fn learn<'a>(
        &'a self,
        scope: &'a HostKeyScope,
        keys: &'a [HostKey],
        origin: KeyOrigin,
    ) -> BoxFuture<'a, Result<Learned, StoreError>>;

    /// Records that `scope` has shown `key`, if it is in [`Known::to_note`].
    fn note<'a>(&'a self, scope: &'a HostKeyScope, key: &'a HostKey)
    -> BoxFuture<'a, Result<(), StoreError>>;

    /// Unpins every key of exactly `scope` and returns how many there were.
    fn forget<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<usize, StoreError>>;

    /// Returns the file, if the store is one.
    fn location(&self) -> Option<&Path> {
        None
    }
}

/// A host key store that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be read or written.
    #[error("{path}: {action} failed")]
    Io {
        /// The file.
        path: PathBuf,
        /// The action that failed.
        action: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is invalid.
    #[error("{path} is damaged: {problem}; fix it or move it away")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The scope has more than [`MAX_KEYS_PER_SCOPE`] keys, or the store exceeds its maximum size.
    #[error("the store is full: {0}")]
    Full(String),
    /// An instance is pinned under several scopes that have no key in common.
    #[error("the pinned keys contradict each other: {}", contradiction(.pins))]
    Contradiction {
        /// Each scope that may match, with its pinned keys.
        pins: Vec<(HostKeyScope, Vec<Fingerprint>)>,
    },
    /// An error of another kind of store.
    #[error("the store failed")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// Returns what is at fault. Pins that contradict each other may be another machine's key; the rest is this program's
    /// configuration, or a full store.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Contradiction { .. } => Fault::HostKey,
            Self::Io { .. } | Self::Corrupt { .. } => Fault::Configuration,
            Self::Full(_) | Self::Other(_) => Fault::State,
        }
    }
}

fn contradiction(pins: &[(HostKeyScope, Vec<Fingerprint>)]) -> String {
    let parts = pins.iter().map(|(scope, keys)| {
        let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        format!("{scope} has {}", keys.join(", "))
    });
    parts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_contradiction_is_a_host_key_fault() {
        let path = PathBuf::from("hosts.json");
        for (error, fault) in [
            (StoreError::Contradiction { pins: Vec::new() }, Fault::HostKey),
            (
                StoreError::Io {
                    path: path.clone(),
                    action: "opening",
                    source: std::io::ErrorKind::PermissionDenied.into(),
                },
                Fault::Configuration,
            ),
            (StoreError::Corrupt { path, problem: "x".into() }, Fault::Configuration),
            (StoreError::Full("x".into()), Fault::State),
            (StoreError::Other("x".into()), Fault::State),
        ] {
            assert_eq!(error.fault(), fault, "{error}");
        }
    }
}
