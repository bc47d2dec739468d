//! Host keys: what is pinned for which instance, and what to do about a key that is not.
//!
//! Keys are pinned by instance, never by address: addresses are used again after an instance is gone. TLS and
//! the signature prove the endpoint only; the host key alone proves which machine answers.

mod file;
mod memory;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use eice_proto::InstanceId;
use futures_util::future::BoxFuture;
use russh::keys::{Algorithm, HashAlg, PublicKey};

pub use file::FileHostKeys;
pub use memory::MemoryHostKeys;

/// The most keys that are pinned for one instance; sshd makes three by itself.
pub const MAX_KEYS_PER_SCOPE: usize = 16;

/// Whose host keys: one instance in one account of one region. Its text is `aws/123456789012/eu-west-1/i-…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostKeyScope(String);

impl HostKeyScope {
    /// The scope of `instance` in `account` (its 12 digits) of `region` in `partition` (`aws`, `aws-cn`, …).
    #[must_use]
    pub fn new(partition: &str, account: &str, region: &str, instance: &InstanceId) -> Self {
        Self(format!("{partition}/{account}/{region}/{instance}"))
    }

    /// The scope as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostKeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A public host key.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey(PublicKey);

impl HostKey {
    /// Reads `ssh-ed25519 AAAA…`, with or without a comment.
    ///
    /// # Errors
    /// [`InvalidHostKey`] when it is not an OpenSSH public key.
    pub fn parse(text: &str) -> Result<Self, InvalidHostKey> {
        PublicKey::from_openssh(text).map(Self::from).map_err(|_| InvalidHostKey)
    }

    /// Its SHA-256 fingerprint with its algorithm.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(format!("{} {}", self.0.fingerprint(HashAlg::Sha256), self.0.algorithm()))
    }

    /// The key as one line of text, without a comment.
    #[must_use]
    pub fn to_openssh(&self) -> String {
        self.0.to_openssh().unwrap_or_default()
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }
}

impl From<PublicKey> for HostKey {
    fn from(mut key: PublicKey) -> Self {
        key.set_comment("");
        Self(key)
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostKey").field(&self.fingerprint().0).finish()
    }
}

/// A text that is not an OpenSSH public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an OpenSSH public key")]
#[non_exhaustive]
pub struct InvalidHostKey;

/// A key's fingerprint as OpenSSH prints it, `SHA256:…`, and its algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a key came to be pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyOrigin {
    /// Trusted on first use.
    FirstUse,
    /// Read from the instance's console output.
    Console,
    /// Given by an operator.
    Pinned,
}

impl KeyOrigin {
    /// Its stable name, as it stands in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstUse => "first-use",
            Self::Console => "console",
            Self::Pinned => "pinned",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::FirstUse, Self::Console, Self::Pinned].into_iter().find(|origin| origin.name() == name)
    }
}

/// What became of a key that was to be learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Learned {
    /// It is pinned now, the first of its scope.
    Added,
    /// It was pinned already.
    Known,
    /// Others are pinned, by somebody who was faster; it is not.
    Conflict(Vec<HostKey>),
}

/// Where pinned host keys are kept.
pub trait HostKeySource: Send + Sync {
    /// The keys that are pinned for `scope`; empty when none is.
    ///
    /// A store that cannot be read is an error: "unknown" would be trusted.
    fn known<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<Vec<HostKey>, StoreError>>;

    /// Pins `key` for `scope` if nothing is pinned for it, atomically.
    fn learn<'a>(
        &'a self,
        scope: &'a HostKeyScope,
        key: &'a HostKey,
        origin: KeyOrigin,
    ) -> BoxFuture<'a, Result<Learned, StoreError>>;

    /// Unpins every key of `scope` and says how many there were.
    fn forget<'a>(&'a self, scope: &'a HostKeyScope) -> BoxFuture<'a, Result<usize, StoreError>>;
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
    /// Another store's own trouble.
    #[error("the store failed")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What to do about a host key that is not pinned. One that contradicts a pinned key always fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyPolicy {
    /// Pin the first key that is seen.
    #[default]
    TrustOnFirstUse,
    /// Refuse it.
    Strict,
}

/// Which host keys a connection accepts.
#[derive(Clone)]
pub struct HostKeyCheck(pub(super) Check);

#[derive(Clone)]
pub(super) enum Check {
    Pinned { scope: HostKeyScope, source: Arc<dyn HostKeySource>, policy: HostKeyPolicy },
    Any,
}

impl HostKeyCheck {
    /// The keys that `source` has pinned for `scope`; `policy` decides when there are none.
    #[must_use]
    pub fn pinned(scope: HostKeyScope, source: Arc<dyn HostKeySource>, policy: HostKeyPolicy) -> Self {
        Self(Check::Pinned { scope, source, policy })
    }

    /// Any key at all. Whoever sits between the endpoint and the instance reads and writes along.
    #[must_use]
    pub fn danger_accept_any() -> Self {
        Self(Check::Any)
    }
}

impl fmt::Debug for HostKeyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Check::Pinned { scope, policy, .. } => f
                .debug_struct("HostKeyCheck")
                .field("scope", scope)
                .field("policy", policy)
                .finish_non_exhaustive(),
            Check::Any => f.write_str("HostKeyCheck::danger_accept_any"),
        }
    }
}
