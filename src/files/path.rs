//! Remote paths.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use sha2::{Digest, Sha256};

use crate::docker::quote_bytes;
use crate::model::escape_control;

/// The longest path, in bytes: Linux's `PATH_MAX` without the NUL.
const MAX_PATH: usize = 4095;

/// A name longer than this, in bytes, is shortened in the name of its temporary file: `NAME_MAX` is 255.
const MAX_REPEATED: usize = 200;

/// A remote path: any bytes but NUL, as in a file system.
///
/// A relative path starts in the user's home folder, or in a container's working directory. `~/` at its
/// beginning is the home folder; an empty path is `.`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemotePath(Vec<u8>);

/// An invalid path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPath {
    /// It contains a NUL byte.
    #[error("a path contains a NUL byte")]
    Nul,
    /// It is longer than any file system supports.
    #[error("a path is longer than {MAX_PATH} bytes")]
    TooLong,
}

impl RemotePath {
    /// Returns the path `bytes`.
    ///
    /// # Errors
    /// [`InvalidPath`] for a NUL byte or more than 4095 bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidPath> {
        let mut bytes = bytes.into();
        if bytes.contains(&0) {
            return Err(InvalidPath::Nul);
        }
        if bytes.len() > MAX_PATH {
            return Err(InvalidPath::TooLong);
        }
        if bytes.is_empty() {
            bytes.push(b'.');
        }
        Ok(Self(bytes))
    }

    /// Returns its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns whether it can only name a folder: it ends in `/`, `.` or `..`.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.0.ends_with(b"/") || self.name().is_none()
    }

    /// Returns its last component, unless that is `.`, `..`, `~` or the root.
    #[must_use]
    pub fn name(&self) -> Option<&OsStr> {
        let trimmed = self.trimmed();
        let name = trimmed.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let is_name = !matches!(name, b"" | b"." | b"..") && trimmed != b"~";
        is_name.then(|| OsStr::from_bytes(name))
    }

    /// Returns the folder that contains it.
    #[must_use]
    pub fn folder(&self) -> Self {
        let trimmed = self.trimmed();
        match trimmed.iter().rposition(|&byte| byte == b'/') {
            Some(0) => Self(b"/".to_vec()),
            Some(end) => Self(trimmed[..end].to_vec()),
            None => Self(b".".to_vec()),
        }
    }

    /// Returns the path of the entry `name` in it.
    ///
    /// # Errors
    /// [`InvalidPath`] as in [`RemotePath::new`].
    pub fn join(&self, name: impl AsRef<OsStr>) -> Result<Self, InvalidPath> {
        let mut bytes = self.trimmed().to_vec();
        if bytes == b"." {
            bytes.clear();
        } else if bytes != b"/" {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name.as_ref().as_bytes());
        Self::new(bytes)
    }

    /// Returns it without trailing slashes.
    fn trimmed(&self) -> &[u8] {
        let end = self.0.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        if end == 0 && !self.0.is_empty() { b"/" } else { &self.0[..end] }
    }

    /// Returns it as one word for the remote shell, which no program takes for an option.
    pub(super) fn word(&self) -> String {
        let path = &self.0;
        let (start, rest) = match path.strip_prefix(b"~") {
            Some(rest) if rest.is_empty() || rest.starts_with(b"/") => ("\"$HOME\"", rest),
            _ if path.starts_with(b"-") => ("./", path.as_slice()),
            _ => ("", path.as_slice()),
        };
        if rest.is_empty() {
            return start.to_owned();
        }
        // A path contains no NUL, the one byte that cannot be quoted.
        format!("{start}{}", quote_bytes(rest).unwrap_or_default())
    }

    /// Returns the name of its partial file in the same folder, which is stable so that another attempt finds
    /// it.
    pub(super) fn partial(&self) -> Self {
        self.sibling("part")
    }

    /// Returns a unique name in the same folder.
    pub(super) fn temporary(&self) -> Self {
        self.sibling(&uuid::Uuid::new_v4().simple().to_string()[..16])
    }

    fn sibling(&self, what: &str) -> Self {
        let name = self.name().unwrap_or_default();
        let mut path = self.folder();
        if path.0 == b"." {
            path.0.clear();
        } else if path.0 != b"/" {
            path.0.push(b'/');
        }
        path.0.extend_from_slice(temporary_name(name, what).as_bytes());
        path
    }
}

/// Returns the name of a temporary file for the file `name`.
pub(super) fn temporary_name(name: &OsStr, what: &str) -> std::ffi::OsString {
    let mut temporary = std::ffi::OsString::from(".");
    if name.len() > MAX_REPEATED {
        let digest = Sha256::digest(name.as_bytes());
        let digest: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        temporary.push(OsStr::from_bytes(&name.as_bytes()[..MAX_REPEATED - 32]));
        temporary.push(format!(".{digest}"));
    } else {
        temporary.push(name);
    }
    temporary.push(format!(".eice-{what}"));
    temporary
}

/// Formats it without control characters.
impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_control(&String::from_utf8_lossy(&self.0)))
    }
}

impl fmt::Debug for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemotePath({:?})", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RemotePath {
        RemotePath::new(text).unwrap()
    }

    #[test]
    fn path_splits_into_folder_and_name() {
        for (text, folder, name) in [
            ("/etc/hosts", "/etc", Some("hosts")),
            ("/etc/", "/", Some("etc")),
            ("a/b//", "a", Some("b")),
            ("x", ".", Some("x")),
            ("~/x", "~", Some("x")),
            ("~", ".", None),
            ("", ".", None),
            ("/", "/", None),
            ("a/..", "a", None),
        ] {
            assert_eq!(path(text).name(), name.map(OsStr::new), "{text}");
            assert_eq!(path(text).folder(), path(folder), "{text}");
        }
        assert!(path("a/").is_folder() && path("a/.").is_folder() && path("").is_folder());
        assert!(!path("a").is_folder());
        assert_eq!(path("/").join("a").unwrap(), path("/a"));
        assert_eq!(path("").join("a").unwrap(), path("a"));
        assert_eq!(path("a/").join("b").unwrap(), path("a/b"));
        assert_eq!(RemotePath::new("a\0b"), Err(InvalidPath::Nul));
        assert_eq!(RemotePath::new("a".repeat(4096)), Err(InvalidPath::TooLong));
    }

    #[test]
    fn word_is_quoted_and_never_an_option() {
        assert_eq!(path("-rf").word(), "./-rf");
        assert_eq!(path("a b").word(), "'a b'");
        assert_eq!(path("~/a b").word(), "\"$HOME\"'/a b'");
        assert_eq!(path("~").word(), "\"$HOME\"");
        assert_eq!(path("~root/x").word(), "'~root/x'");
        assert_eq!(RemotePath::new(b"\xff".to_vec()).unwrap().word(), "\"$(printf '\\377')\"");
    }

    #[test]
    fn temporary_names_fit_in_name_max() {
        assert_eq!(path("/opt/a.conf").partial(), path("/opt/.a.conf.eice-part"));
        assert_eq!(path("a").partial(), path(".a.eice-part"));
        assert_eq!(path("/a").partial(), path("/.a.eice-part"));
        assert_eq!(path("~/a").partial(), path("~/.a.eice-part"));
        assert_ne!(path("a").temporary(), path("a").temporary());
        let (long, other) = ("n".repeat(255), "n".repeat(254));
        assert_ne!(path(&long).partial(), path(&other).partial());
        assert!(path(&long).temporary().name().unwrap().len() <= 255);
    }

    #[test]
    fn display_escapes_control_characters() {
        assert_eq!(path("a\u{1b}[2Jb").to_string(), "a\\u{1b}[2Jb");
    }
}
