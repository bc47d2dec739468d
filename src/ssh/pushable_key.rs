//! A user's existing public key, as EC2 Instance Connect accepts it.

use std::str::FromStr;

use russh::keys::{Algorithm, HashAlg, PublicKey};

/// The length of a key that `SendSSHPublicKey` accepts, in characters (its API reference).
const LENGTH: std::ops::RangeInclusive<usize> = 80..=4096;

/// A user's public key that can be pushed to an instance: Ed25519 or RSA, in OpenSSH's format. Its private key is not
/// known here and logs in from elsewhere; a key that logs in from here is a [`LoginKey`](super::LoginKey).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushableKey {
    text: String,
    fingerprint: String,
}

/// Why a text is not a pushable key. The text is never quoted: it may be a private key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPushableKey {
    /// The text is a private key.
    #[error("it is a private key: only the public key is ever pushed")]
    Private,
    /// The text is a public key in RFC 4716 format.
    #[error("it is a public key in SSH2 format, not in OpenSSH format")]
    Ssh2,
    /// The text is something else.
    #[error("it is not a public key in OpenSSH format, `ssh-ed25519 AAAA…`")]
    NotAKey,
    /// The text has more than one key.
    #[error("it has {0} lines where there should be one key")]
    Several(usize),
    /// EC2 Instance Connect does not accept the algorithm.
    #[error("it is a key of kind {0}, and EC2 Instance Connect takes Ed25519 and RSA only")]
    Kind(String),
    /// EC2 Instance Connect does not accept a key of this length.
    #[error("it has {0} characters, and EC2 Instance Connect takes 80 to 4096")]
    Length(usize),
}

impl InvalidPushableKey {
    /// Returns what the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Private => {
                "the public key is in the file of the same name with .pub; `ssh-keygen -y -f FILE` prints it"
            }
            Self::Ssh2 => "`ssh-keygen -i -f FILE` prints it in OpenSSH format",
            Self::NotAKey | Self::Several(_) => "give one line, as in an id_ed25519.pub",
            Self::Kind(_) | Self::Length(_) => "make another one with `ssh-keygen -t ed25519`",
        }
    }
}

impl PushableKey {
    /// Returns the key as `SendSSHPublicKey` expects it: algorithm and key, no comment.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the fingerprint `SHA256:…`, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl TryFrom<PublicKey> for PushableKey {
    type Error = InvalidPushableKey;

    /// The service rejects security keys (aws/aws-cli#6811) and every algorithm that it does not name: the EC2 user
    /// guide lists Ed25519 and RSA ("Connect using your own key").
    fn try_from(mut key: PublicKey) -> Result<Self, InvalidPushableKey> {
        if !matches!(key.algorithm(), Algorithm::Ed25519 | Algorithm::Rsa { .. }) {
            return Err(InvalidPushableKey::Kind(key.algorithm().to_string()));
        }
        key.set_comment("");
        let text = key.to_openssh().map_err(|_| InvalidPushableKey::NotAKey)?.trim().to_owned();
        if !LENGTH.contains(&text.len()) {
            return Err(InvalidPushableKey::Length(text.len()));
        }
        Ok(Self { text, fingerprint: key.fingerprint(HashAlg::Sha256).to_string() })
    }
}

impl FromStr for PushableKey {
    type Err = InvalidPushableKey;

    fn from_str(text: &str) -> Result<Self, InvalidPushableKey> {
        // The formats of OpenSSL, OpenSSH, RFC 4716 and PuTTY.
        if text.contains("PRIVATE KEY") || text.contains("PuTTY-User-Key-File") {
            return Err(InvalidPushableKey::Private);
        }
        if text.contains("BEGIN SSH2 PUBLIC KEY") {
            return Err(InvalidPushableKey::Ssh2);
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let lines: Vec<&str> = lines.collect();
        match lines.as_slice() {
            [] => Err(InvalidPushableKey::NotAKey),
            [line] => PublicKey::from_openssh(line).map_err(|_| InvalidPushableKey::NotAKey)?.try_into(),
            several => Err(InvalidPushableKey::Several(several.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    /// From aws/aws-cli#6811.
    const SECURITY_KEY: &str = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIFXNjotqNox+MZYb0lsO10gNjZ0q16x5th73vx6vMcrJAAAABHNzaDo=";

    #[test]
    fn pub_file_line_parses_without_comment() {
        let key: PushableKey = format!("# mine\n\n{ED25519} me@here and there\n").parse().unwrap();
        assert_eq!(key.as_str(), ED25519);
        assert_eq!(key.as_str().len(), 80);
        assert!(key.fingerprint().starts_with("SHA256:"), "{key:?}");
    }

    #[test]
    fn unpushable_keys_are_rejected_unquoted() {
        let secret = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE";
        for private in [
            format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{secret}\n-----END OPENSSH PRIVATE KEY-----\n"),
            format!("-----BEGIN RSA PRIVATE KEY-----\n{secret}\n"),
            format!("PuTTY-User-Key-File-3: ssh-ed25519\n{secret}\n"),
            format!("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n{secret}\n"),
            format!("{ED25519}\n-----BEGIN EC PRIVATE KEY-----\n{secret}\n"),
        ] {
            assert_eq!(private.parse::<PushableKey>(), Err(InvalidPushableKey::Private));
        }
        for other in ["", "# nothing\n", "hello", secret, &ED25519[..60]] {
            let error = other.parse::<PushableKey>().unwrap_err();
            assert_eq!(error, InvalidPushableKey::NotAKey, "{other}");
            assert!(!error.to_string().contains(secret));
        }
        assert_eq!(
            format!("{ED25519}\n{ED25519}\n").parse::<PushableKey>(),
            Err(InvalidPushableKey::Several(2))
        );
        let kind = InvalidPushableKey::Kind("sk-ssh-ed25519@openssh.com".into());
        assert_eq!(SECURITY_KEY.parse::<PushableKey>(), Err(kind));
        assert_eq!(
            "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n".parse::<PushableKey>(),
            Err(InvalidPushableKey::Ssh2)
        );
    }
}
