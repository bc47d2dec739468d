//! The keys that log in: one made for a connection, or one of the user's own.

use std::fmt;
use std::sync::Arc;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey, decode_secret_key};
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

/// A private key that logs in: one of the user's own, or an [`EphemeralKey`] whose public half is pushed. Neither `Debug`
/// nor any error shows it.
#[derive(Clone)]
pub struct LoginKey(Arc<PrivateKey>);

/// Why a private key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLoginKey {
    /// It is encrypted, and there was no passphrase.
    #[error("it is encrypted")]
    Encrypted,
    /// The passphrase is not the one that it is encrypted with.
    #[error("the passphrase is not the right one")]
    Passphrase,
    /// Its algorithm is not one of this build: no RSA (RUSTSEC-2023-0071) and no DSA.
    #[error("{0} keys are not supported: use an Ed25519 or ECDSA key")]
    Unsupported(String),
    /// It is no private key in a form that is known.
    #[error("it is no private key in OpenSSH's or PKCS#8's form")]
    Malformed,
}

impl LoginKey {
    /// Reads the `text` of a private key file (OpenSSH's own form or PKCS#8), decrypted with `passphrase` where it is
    /// encrypted.
    ///
    /// # Errors
    /// [`InvalidLoginKey`].
    pub fn parse(text: &str, passphrase: Option<&str>) -> Result<Self, InvalidLoginKey> {
        use russh::keys::Error as E;
        let key = decode_secret_key(text, passphrase).map_err(|error| match error {
            E::KeyIsEncrypted => InvalidLoginKey::Encrypted,
            E::UnsupportedKeyType { key_type_string, .. } => InvalidLoginKey::Unsupported(key_type_string),
            _ if passphrase.is_some() => InvalidLoginKey::Passphrase,
            _ => InvalidLoginKey::Malformed,
        })?;
        if matches!(key.algorithm(), Algorithm::Rsa { .. } | Algorithm::Dsa) {
            return Err(InvalidLoginKey::Unsupported(key.algorithm().to_string()));
        }
        Ok(Self(Arc::new(key)))
    }

    pub(super) fn private(&self) -> Arc<PrivateKey> {
        Arc::clone(&self.0)
    }
}

impl From<EphemeralKey> for LoginKey {
    fn from(key: EphemeralKey) -> Self {
        Self(key.0)
    }
}

impl fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of `kind` as ssh-keygen writes it.
    fn written(kind: &str, passphrase: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", passphrase, "-f"])
            .arg(&path)
            .status();
        assert!(made.unwrap().success(), "ssh-keygen is part of openssh-client");
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn keys_of_ssh_keygen_are_read_and_others_refused_with_the_reason() {
        for kind in ["ed25519", "ecdsa"] {
            assert!(LoginKey::parse(&written(kind, ""), None).is_ok(), "{kind}");
        }
        let locked = written("ed25519", "open sesame");
        assert!(matches!(LoginKey::parse(&locked, None), Err(InvalidLoginKey::Encrypted)));
        assert!(matches!(LoginKey::parse(&locked, Some("wrong")), Err(InvalidLoginKey::Passphrase)));
        let key = LoginKey::parse(&locked, Some("open sesame")).unwrap();
        assert_eq!(format!("{key:?}"), "LoginKey { .. }");
        assert!(matches!(LoginKey::parse(&written("rsa", ""), None), Err(InvalidLoginKey::Unsupported(_))));
        for text in ["", "ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"] {
            assert!(matches!(LoginKey::parse(text, None), Err(InvalidLoginKey::Malformed)), "{text:?}");
        }
    }

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
