//! An independent source of an instance's host keys, for the first connection.

use std::error::Error as StdError;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Fingerprint, HostKey, console_text};
use crate::ssh::config::HOST_KEY_ALGORITHMS;

/// Looks up an instance's host keys in an independent source. It does nothing until it is polled.
pub type Witness = BoxFuture<'static, Result<Testimony, Box<dyn StdError + Send + Sync>>>;

/// Host keys from an independent source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Testimony {
    /// Complete keys.
    pub keys: Vec<HostKey>,
    /// Fingerprints, of these keys and of others.
    pub fingerprints: Vec<Fingerprint>,
}

/// Why a key could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// There is no witness.
    #[error("there is no witness")]
    NoWitness,
    /// The witness did not answer in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The witness knows only keys of algorithms that are not negotiated.
    #[error("it has only keys of algorithms that are not used: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    OtherKinds(Vec<Fingerprint>),
    /// The witness knows no keys, or could not be asked.
    #[error(transparent)]
    Failed(Box<dyn StdError + Send + Sync>),
}

/// The verdict of a testimony on one key.
pub(super) enum Verdict {
    /// The key is one of the instance's. All known keys, that one first.
    Confirmed(Vec<HostKey>),
    /// The instance has other keys.
    Contradicted(Vec<Fingerprint>),
    /// Unknown, because no key of a negotiated algorithm is listed.
    Nothing(Vec<Fingerprint>),
}

impl Testimony {
    /// Reads a console output: the keys of the last boot that printed any.
    ///
    /// Nothing else of the output is kept. Anything that can write to the console may have written it.
    #[must_use]
    pub fn from_console(output: &[u8]) -> Self {
        let boot = console_text::last_boot(output);
        let mut testimony = Self::default();
        for key in boot.keys.iter().filter_map(|key| HostKey::parse(key).ok()) {
            if !testimony.keys.contains(&key) {
                testimony.keys.push(key);
            }
        }
        let fingerprints = boot.fingerprints.into_iter().map(|(sha256, kind)| Fingerprint {
            sha256,
            algorithm: match kind.as_str() {
                "ED25519" => "ssh-ed25519".to_owned(),
                "ECDSA" => "ecdsa-sha2".to_owned(),
                "RSA" => "ssh-rsa".to_owned(),
                other => other.to_lowercase(),
            },
        });
        testimony.fingerprints = fingerprints.collect();
        testimony
    }

    /// Returns whether it contains no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.fingerprints.is_empty()
    }

    /// Returns the verdict on the server's key.
    ///
    /// A key of an algorithm that is not listed is contradicted, not unknown: an attacker could choose the algorithm.
    pub(super) fn about(&self, shown: &HostKey) -> Verdict {
        let fingerprint = shown.fingerprint();
        if self.keys.contains(shown) || self.fingerprints.iter().any(|one| one.sha256 == fingerprint.sha256) {
            let others = self.keys.iter().filter(|key| *key != shown).cloned();
            return Verdict::Confirmed(std::iter::once(shown.clone()).chain(others).collect());
        }
        let mut listed: Vec<_> = self.keys.iter().map(HostKey::fingerprint).collect();
        let more =
            self.fingerprints.iter().filter(|one| !listed.iter().any(|known| known.sha256 == one.sha256));
        listed.extend(more.cloned().collect::<Vec<_>>());
        let is_used = |one: &Fingerprint| {
            HOST_KEY_ALGORITHMS.iter().any(|algorithm| algorithm.as_str().starts_with(&one.algorithm))
        };
        if listed.iter().any(is_used) { Verdict::Contradicted(listed) } else { Verdict::Nothing(listed) }
    }
}

#[cfg(test)]
mod tests;
