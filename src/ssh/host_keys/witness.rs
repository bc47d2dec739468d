//! What others say of an instance's host keys, when it is met for the first time.

use std::error::Error as StdError;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Fingerprint, HostKey, console_text};
use crate::ssh::config::HOST_KEY_ALGORITHMS;

/// Asks whoever knows an instance's host keys from elsewhere. Nothing is asked before it is polled.
pub type Witness = BoxFuture<'static, Result<Testimony, Box<dyn StdError + Send + Sync>>>;

/// Host keys as somebody else than the server tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Testimony {
    /// Whole keys.
    pub keys: Vec<HostKey>,
    /// Fingerprints, of these keys and of others.
    pub fingerprints: Vec<Fingerprint>,
}

/// Why a key could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// There is nobody to ask.
    #[error("there is nobody to ask")]
    Nobody,
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// It tells of no key of a kind that is negotiated here.
    #[error("it tells only of keys of kinds that are not used here: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    OtherKinds(Vec<Fingerprint>),
    /// It has nothing to tell, or could not be asked.
    #[error(transparent)]
    Failed(Box<dyn StdError + Send + Sync>),
}

/// What a testimony says of one key.
pub(super) enum Verdict {
    /// It is one of the instance's. All that are known, that one first.
    Confirmed(Vec<HostKey>),
    /// The instance has others.
    Contradicted(Vec<Fingerprint>),
    /// Nothing, for want of a key of a kind that is negotiated.
    Nothing(Vec<Fingerprint>),
}

impl Testimony {
    /// What a console output tells: the keys of the last boot that told any.
    ///
    /// Nothing else of the output is kept. It may come from whoever can write to the console, and may be anything.
    #[must_use]
    pub fn from_console(output: &[u8]) -> Self {
        let told = console_text::last_boot(output);
        let mut testimony = Self::default();
        for key in told.keys.iter().filter_map(|key| HostKey::parse(key).ok()) {
            if !testimony.keys.contains(&key) {
                testimony.keys.push(key);
            }
        }
        let fingerprints = told.fingerprints.into_iter().map(|(sha256, kind)| Fingerprint {
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

    /// Whether it tells of no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.fingerprints.is_empty()
    }

    /// What this says of the key that the server showed.
    ///
    /// A key of a kind that is not told is not thereby unknown: whoever stands between could choose it.
    pub(super) fn about(&self, shown: &HostKey) -> Verdict {
        let fingerprint = shown.fingerprint();
        if self.keys.contains(shown) || self.fingerprints.iter().any(|told| told.sha256 == fingerprint.sha256)
        {
            let others = self.keys.iter().filter(|key| *key != shown).cloned();
            return Verdict::Confirmed(std::iter::once(shown.clone()).chain(others).collect());
        }
        let mut told: Vec<_> = self.keys.iter().map(HostKey::fingerprint).collect();
        let more =
            self.fingerprints.iter().filter(|one| !told.iter().any(|known| known.sha256 == one.sha256));
        told.extend(more.cloned().collect::<Vec<_>>());
        let is_used = |one: &Fingerprint| {
            HOST_KEY_ALGORITHMS.iter().any(|algorithm| algorithm.as_str().starts_with(&one.algorithm))
        };
        if told.iter().any(is_used) { Verdict::Contradicted(told) } else { Verdict::Nothing(told) }
    }
}

#[cfg(test)]
mod tests;
