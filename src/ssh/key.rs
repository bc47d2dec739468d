//! The key pair of one connection.

use std::fmt;
use std::sync::Arc;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use zeroize::Zeroizing;

use super::Error;

/// An Ed25519 key pair that exists in memory only, for one connection.
///
/// The private half is overwritten when the last holder drops it; neither `Debug` nor any error shows it, and it is
/// written out for other programs only, by [`EphemeralKey::private_openssh`].
#[derive(Clone)]
pub struct EphemeralKey(Arc<PrivateKey>);

impl EphemeralKey {
    /// Makes a fresh pair from the operating system's randomness.
    ///
    /// # Errors
    /// [`Error::KeyGeneration`] when no key can be made.
    pub fn generate() -> Result<Self, Error> {
        PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
            .map(|key| Self(Arc::new(key)))
            .map_err(|source| Error::KeyGeneration { source: source.into() })
    }

    /// The public half as `SendSSHPublicKey` takes it: `ssh-ed25519 AAAA…`, 80 characters, no comment.
    ///
    /// # Errors
    /// [`Error::KeyGeneration`] when it cannot be written as text.
    pub fn public_openssh(&self) -> Result<String, Error> {
        self.0.public_key().to_openssh().map_err(|source| Error::KeyGeneration { source: source.into() })
    }

    /// The public half as SSH's messages carry it (RFC 4253, section 6.6).
    ///
    /// # Errors
    /// [`Error::KeyGeneration`] when it cannot be written as bytes.
    pub(super) fn public_bytes(&self) -> Result<Vec<u8>, Error> {
        self.0.public_key().to_bytes().map_err(|source| Error::KeyGeneration { source: source.into() })
    }

    /// The private half in OpenSSH's own format, for a program that reads keys from a file: who writes it there makes
    /// the file private and removes it.
    ///
    /// # Errors
    /// [`Error::KeyGeneration`] when it cannot be written as text.
    pub fn private_openssh(&self) -> Result<Zeroizing<String>, Error> {
        self.0.to_openssh(LineEnding::LF).map_err(|source| Error::KeyGeneration { source: source.into() })
    }

    pub(super) fn private(&self) -> Arc<PrivateKey> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for EphemeralKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EphemeralKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_text_is_what_send_ssh_public_key_takes_and_debug_tells_nothing() {
        let key = EphemeralKey::generate().unwrap();
        let text = key.public_openssh().unwrap();
        assert_eq!(text.len(), 80);
        assert!(text.starts_with("ssh-ed25519 AAAA"));
        assert_eq!(text.split(' ').count(), 2, "no comment");
        assert_ne!(text, EphemeralKey::generate().unwrap().public_openssh().unwrap());
        assert_eq!(format!("{key:?}"), "EphemeralKey { .. }");

        let private = PrivateKey::from_openssh(key.private_openssh().unwrap().as_bytes()).unwrap();
        assert_eq!(private.public_key().to_openssh().unwrap(), text, "both halves are of one pair");
    }
}
