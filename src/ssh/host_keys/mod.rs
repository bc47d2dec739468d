//! Host keys: what is pinned for which instance, and what to do about a key that is not.
//!
//! Keys are pinned by instance, never by address: addresses are used again after an instance is gone. TLS and
//! the signature prove the endpoint only; the host key alone proves which machine answers.

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

/// The most keys that are pinned for one instance; sshd makes three by itself.
pub const MAX_KEYS_PER_SCOPE: usize = 16;

/// What became of a key that was to be learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Learned {
    /// It is pinned now, the first of its scope.
    Added,
    /// It was pinned already.
    Known,
    /// Others are pinned that contradict it; it is not.
    Conflict(Vec<HostKey>),
}

/// Where pinned host keys are kept.
///
/// An instance may be known with its account and without it (`-`), when nothing was looked up: what is pinned in
/// one way counts in the other.
pub trait HostKeySource: Send + Sync {
    /// The keys that are pinned for `scope`; empty when none is.
    ///
    /// A store that cannot be read is an error: "unknown" would be trusted.
    fn known<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<Known, StoreError>>;

    /// Pins `keys` for `scope` if nothing is pinned for it, atomically. The instance has shown the first of them.
    fn learn<'a>(
        &'a self,
        scope: &'a HostKeyScope,
        keys: &'a [HostKey],
        origin: KeyOrigin,
    ) -> BoxFuture<'a, Result<Learned, StoreError>>;

    /// Notes that `scope` has shown `key`, where [`Known::to_note`] asked for it.
    fn note<'a>(&'a self, scope: &'a HostKeyScope, key: &'a HostKey)
    -> BoxFuture<'a, Result<(), StoreError>>;

    /// Unpins every key of exactly `scope` and says how many there were.
    fn forget<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<usize, StoreError>>;

    /// The file that it is, where it is one.
    fn location(&self) -> Option<&Path> {
        None
    }
}

/// A store of host keys that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be read or written.
    #[error("{path}: {action} failed")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not what this program writes.
    #[error("{path} is damaged: {problem}; mend it or move it away")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// More keys than [`MAX_KEYS_PER_SCOPE`], or a store larger than its limit.
    #[error("the store is full: {0}")]
    Full(String),
    /// One instance is pinned in several ways that have no key in common.
    #[error("what is pinned contradicts itself: {}", contradiction(.pins))]
    Contradiction {
        /// Each scope that may be meant, with what is pinned for it.
        pins: Vec<(HostKeyScope, Vec<Fingerprint>)>,
    },
    /// Another store's own trouble.
    #[error("the store failed")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// At whose door it lies. What contradicts itself may be another machine's key; the rest is how this program is set
    /// up, or a store that takes no more.
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
    let told = pins.iter().map(|(scope, keys)| {
        let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        format!("{scope} has {}", keys.join(", "))
    });
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pins_that_contradict_each_other_are_the_host_keys_fault() {
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
