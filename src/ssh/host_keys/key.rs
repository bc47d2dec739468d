//! Public host keys and their fingerprints.

use std::fmt;

use russh::keys::{Algorithm, HashAlg, PublicKey};
use serde::{Deserialize, Serialize};

/// The maximum length of a key's text, in bytes; an RSA key of 16,384 bits has 2.8 KB.
const MAX_KEY_LEN: usize = 8192;

/// A public host key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostKey(PublicKey);

impl HostKey {
    /// Parses `ssh-ed25519 AAAA…`, with or without a comment.
    ///
    /// # Errors
    /// [`InvalidHostKey`] if it is not an OpenSSH public key, or longer than 8192 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidHostKey> {
        if text.len() > MAX_KEY_LEN {
            return Err(InvalidHostKey);
        }
        PublicKey::from_openssh(text).map(Self::from).map_err(|_| InvalidHostKey)
    }

    /// Returns the SHA-256 fingerprint with the algorithm.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            sha256: self.0.fingerprint(HashAlg::Sha256).to_string(),
            algorithm: self.0.algorithm().as_str().to_owned(),
        }
    }

    /// Returns the key as one line of text, without a comment.
    #[must_use]
    pub fn to_openssh(&self) -> String {
        self.0.to_openssh().unwrap_or_default()
    }

    pub(in crate::ssh) fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }
}

impl From<PublicKey> for HostKey {
    fn from(mut key: PublicKey) -> Self {
        key.set_comment("");
        Self(key)
    }
}

impl TryFrom<String> for HostKey {
    type Error = InvalidHostKey;

    fn try_from(text: String) -> Result<Self, InvalidHostKey> {
        Self::parse(&text)
    }
}

impl From<HostKey> for String {
    fn from(key: HostKey) -> Self {
        key.to_openssh()
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostKey").field(&self.fingerprint()).finish()
    }
}

/// A text that is not an OpenSSH public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an OpenSSH public key")]
#[non_exhaustive]
pub struct InvalidHostKey;

/// A key's fingerprint as OpenSSH prints it, `SHA256:…`, and its algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub(super) sha256: String,
    pub(super) algorithm: String,
}

impl Fingerprint {
    /// Returns `SHA256:` and 43 characters of base64.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Returns the key's algorithm: `ssh-ed25519`, `ecdsa-sha2-nistp256` and so on.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sha256, self.algorithm)
    }
}
