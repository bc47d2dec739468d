//! The keys that log in: an ephemeral one for a connection, or the user's own.

use std::fmt;
use std::sync::Arc;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey, decode_secret_key};
use zeroize::Zeroizing;

use super::Error;

/// An Ed25519 key pair that exists only in memory, for one connection.
///
/// The private key is zeroed when the last copy is dropped. Neither `Debug` nor any error shows it; only
/// [`EphemeralKey::private_openssh`] exports it, for other programs.
#[derive(Clone)]
pub struct EphemeralKey(Arc<PrivateKey>);

impl EphemeralKey {
    /// Generates a key pair from the operating system's randomness.
    ///
    /// # Errors
    /// [`Error::KeyGeneration`] if generation fails.
    pub fn generate() -> Result<Self, Error> {
        PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
            .map(|key| Self(Arc::new(key)))
            .map_err(|source| Error::KeyGeneration { source: source.into() })
    }

    /// Returns the public key as `SendSSHPublicKey` expects it: `ssh-ed25519 AAAA…`, 80 characters, no comment.
    ///
    /// # Errors
    /// [`Error::KeyGeneration`] if it cannot be encoded.
    pub fn public_openssh(&self) -> Result<String, Error> {
        self.0.public_key().to_openssh().map_err(|source| Error::KeyGeneration { source: source.into() })
    }

    /// Returns the public key in SSH's wire format (RFC 4253, section 6.6).
    ///
    /// # Errors
    /// [`Error::KeyGeneration`] if it cannot be encoded.
    pub(super) fn public_bytes(&self) -> Result<Vec<u8>, Error> {
        self.0.public_key().to_bytes().map_err(|source| Error::KeyGeneration { source: source.into() })
    }

    /// Returns the private key in OpenSSH's format, for a program that reads keys from a file. The caller must make
    /// that file private and remove it.
    ///
    /// # Errors
    /// [`Error::KeyGeneration`] if it cannot be encoded.
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

/// A private key that logs in: the user's own, or an [`EphemeralKey`] whose public key is pushed. Neither `Debug` nor
/// any error shows it.
#[derive(Clone)]
pub struct LoginKey(Arc<PrivateKey>);

/// Why a private key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLoginKey {
    /// The key is encrypted and there is no passphrase.
    #[error("it is encrypted")]
    Encrypted,
    /// The passphrase is wrong.
    #[error("the passphrase is wrong")]
    Passphrase,
    /// The algorithm is not supported by this build: no RSA (RUSTSEC-2023-0071) and no DSA.
    #[error("{0} keys are not supported: use an Ed25519 or ECDSA key")]
    Unsupported(String),
    /// The text is not a private key in a supported format.
    #[error("it is not a private key in OpenSSH or PKCS#8 format")]
    Malformed,
}

impl LoginKey {
    /// Parses the `text` of a private key file (OpenSSH's format or PKCS#8), decrypted with `passphrase` if it is
    /// encrypted.
    ///
    /// # Errors
    /// [`InvalidLoginKey`], with the reason.
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

    /// Generates a key of `kind` with ssh-keygen.
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
    fn ssh_keygen_keys_parse_except_rsa() {
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
    fn public_key_fits_send_ssh_public_key() {
        let key = EphemeralKey::generate().unwrap();
        let text = key.public_openssh().unwrap();
        assert_eq!(text.len(), 80);
        assert!(text.starts_with("ssh-ed25519 AAAA"));
        assert_eq!(text.split(' ').count(), 2, "no comment");
        assert_ne!(text, EphemeralKey::generate().unwrap().public_openssh().unwrap());
        assert_eq!(format!("{key:?}"), "EphemeralKey { .. }");

        let private = PrivateKey::from_openssh(key.private_openssh().unwrap().as_bytes()).unwrap();
        assert_eq!(private.public_key().to_openssh().unwrap(), text, "both keys are one pair");
    }
}
