//! Reads and writes OpenSSH's `known_hosts` (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
//!
//! Only for import and export: pinned keys decide what is trusted, never such a file.

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::HostPatterns;
use sha1::Sha1;

use super::HostKey;

/// The length of the salt of a hashed name, in bytes: that of a SHA-1 digest, as in OpenSSH.
const SALT_LEN: usize = 20;

/// The marker of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostMarker {
    /// The key is that of a certificate authority.
    CertAuthority,
    /// The key is revoked.
    Revoked,
}

/// A key of a `known_hosts` file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownHost {
    /// The line's marker.
    pub marker: Option<HostMarker>,
    /// The key.
    pub key: HostKey,
    hosts: Hosts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    Names(Vec<String>),
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

/// Why a line is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadLine {
    /// The line lacks a host, an algorithm or a key.
    #[error("it lacks a host, an algorithm or a key")]
    Fields,
    /// The marker is unknown.
    #[error("its marker is neither @cert-authority nor @revoked")]
    Marker,
    /// The hashed name is invalid.
    #[error("its hashed name is damaged")]
    Hash,
    /// The key is invalid.
    #[error("its key is not an OpenSSH public key")]
    Key,
}

/// Parses the lines of `text` that are neither empty nor comments, with their numbers from 1.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, Result<KnownHost, BadLine>)> {
    text.lines().enumerate().filter_map(|(at, line)| {
        let line = line.trim();
        (!line.is_empty() && !line.starts_with('#')).then(|| (at + 1, KnownHost::parse(line)))
    })
}

impl KnownHost {
    fn parse(line: &str) -> Result<Self, BadLine> {
        let mut fields = line.split([' ', '\t']).filter(|field| !field.is_empty());
        let mut hosts = fields.next().ok_or(BadLine::Fields)?;
        let mut marker = None;
        if hosts.starts_with('@') {
            marker = Some(match hosts {
                "@cert-authority" => HostMarker::CertAuthority,
                "@revoked" => HostMarker::Revoked,
                _ => return Err(BadLine::Marker),
            });
            hosts = fields.next().ok_or(BadLine::Fields)?;
        }
        let (Some(algorithm), Some(key)) = (fields.next(), fields.next()) else {
            return Err(BadLine::Fields);
        };
        let key = HostKey::parse(&format!("{algorithm} {key}")).map_err(|_| BadLine::Key)?;
        let hosts = match hosts.parse() {
            Ok(HostPatterns::HashedName { salt, hash }) => Hosts::Hashed { salt, hash: hash.to_vec() },
            Ok(HostPatterns::Patterns(names)) => Hosts::Names(names),
            Err(_) => return Err(BadLine::Hash),
        };
        Ok(Self { marker, key, hosts })
    }

    /// Returns the names of the line, unchanged; `None` if its name is hashed.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        match &self.hosts {
            Hosts::Names(names) => Some(names),
            Hosts::Hashed { .. } => None,
        }
    }

    /// Returns whether a name is a pattern (`*`, `?`) or negated (`!`).
    #[must_use]
    pub fn has_patterns(&self) -> bool {
        self.names()
            .is_some_and(|names| names.iter().any(|name| name.contains(['*', '?']) || name.starts_with('!')))
    }

    /// Returns whether the line is for exactly `name`, plain or hashed. Case is ignored, as in OpenSSH.
    #[must_use]
    pub fn is_about(&self, name: &str) -> bool {
        match &self.hosts {
            Hosts::Names(names) => names.iter().any(|own| own.eq_ignore_ascii_case(name)),
            Hosts::Hashed { salt, hash } => {
                mac(salt, &name.to_ascii_lowercase()).is_some_and(|mac| mac.verify_slice(hash).is_ok())
            }
        }
    }
}

/// Computes the HMAC-SHA-1 of `name` under `salt`, as OpenSSH hides names. No trust depends on it.
fn mac(salt: &[u8], name: &str) -> Option<Hmac<Sha1>> {
    Some(Hmac::<Sha1>::new_from_slice(salt).ok()?.chain_update(name))
}

/// Returns the line that makes `key` known for `name`, with a line break.
#[must_use]
pub fn line(name: &str, key: &HostKey) -> String {
    format!("{name} {}\n", key.to_openssh())
}

/// Returns that line with the name hashed under a random salt.
#[must_use]
pub fn hashed_line(name: &str, key: &HostKey) -> String {
    let mut salt = vec![0; SALT_LEN];
    rand::fill(&mut salt[..]);
    let hash = mac(&salt, &name.to_ascii_lowercase()).map(|mac| mac.finalize().into_bytes().into());
    let hidden = HostPatterns::HashedName { salt, hash: hash.unwrap_or_default() };
    line(&hidden.to_string(), key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const NAME: &str = "i-0123456789abcdef0";

    fn one(line: &str) -> Result<KnownHost, BadLine> {
        let mut all = lines(line);
        let (number, read) = all.next().expect("one line");
        assert_eq!((number, all.next().is_none()), (1, true));
        read
    }

    #[test]
    fn line_has_marker_names_and_key() {
        let plain = one(&format!("{NAME},10.0.1.23 {KEY} a comment # of two")).unwrap();
        assert_eq!((plain.marker, plain.names().unwrap().len()), (None, 2));
        assert_eq!(plain.key.to_openssh(), KEY);
        assert!(plain.is_about(NAME) && plain.is_about("10.0.1.23") && !plain.is_about("i-0"));
        assert!(one(&format!("WEB-1 {KEY}")).unwrap().is_about("web-1"));
        let tabs = one(&format!("@revoked\t{NAME}\t {}\r", KEY.replace(' ', "\t"))).unwrap();
        assert_eq!(tabs.marker, Some(HostMarker::Revoked));
        assert_eq!(
            one(&format!("@cert-authority *.example {KEY}")).unwrap().marker,
            Some(HostMarker::CertAuthority)
        );
        for pattern in ["i-*", "a,!b", "?"] {
            assert!(one(&format!("{pattern} {KEY}")).unwrap().has_patterns(), "{pattern}");
        }
        assert!(!plain.has_patterns());
    }

    #[test]
    fn hashed_name_matches_only_itself() {
        let key = HostKey::parse(KEY).unwrap();
        let text = hashed_line(NAME, &key);
        assert!(text.starts_with("|1|") && !text.contains(NAME), "{text}");
        let read = one(&text).unwrap();
        assert!(read.is_about(NAME) && !read.is_about("i-0123456789abcdef1") && read.names().is_none());
        assert_ne!(text, hashed_line(NAME, &key), "each has its own salt");
    }

    #[test]
    fn invalid_line_has_its_number() {
        let text = format!(
            "# comment\n\n{NAME}\n{NAME} {KEY}\n@strange {NAME} {KEY}\n|1|x|y {KEY}\n{NAME} ssh-ed25519 AAAA\n\
             {NAME} 1024 37 15939\n{NAME} ssh-rsa {}\n@revoked\n",
            &KEY[12..]
        );
        let bad: Vec<_> = lines(&text).filter_map(|(number, read)| Some((number, read.err()?))).collect();
        let expected = [
            (3, BadLine::Fields),
            (5, BadLine::Marker),
            (6, BadLine::Hash),
            (7, BadLine::Key),
            (8, BadLine::Key),
            (9, BadLine::Key),
            (10, BadLine::Fields),
        ];
        assert_eq!(bad, expected);
        assert_eq!(lines(&text).filter(|(_, read)| read.is_ok()).count(), 1);
    }
}
