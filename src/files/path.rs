//! Where a file is at the far side.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use sha2::{Digest, Sha256};

use crate::docker::quote_bytes;
use crate::model::escape_control;

/// The longest path, in bytes: Linux's `PATH_MAX` without its NUL.
const MAX_PATH: usize = 4095;

/// A name longer than this, in bytes, is not repeated in that of its temporary file: `NAME_MAX` is 255.
const MAX_REPEATED: usize = 200;

/// A path at the far side: any bytes but NUL, as a file system has them.
///
/// A relative one begins where the far side's shell does: in the user's home folder, or in a container's working
/// directory. `~/` at its beginning is the home folder; an empty one is `.`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemotePath(Vec<u8>);

/// A path that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPath {
    /// It holds a NUL byte.
    #[error("a path holds a NUL byte")]
    Nul,
    /// It is longer than any file system takes.
    #[error("a path is longer than {MAX_PATH} bytes")]
    TooLong,
}

impl RemotePath {
    /// The path `bytes`.
    ///
    /// # Errors
    /// [`InvalidPath`] for a NUL byte and for more than 4095 bytes.
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

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it can only name a folder: it ends in `/`, `.` or `..`.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.0.ends_with(b"/") || self.name().is_none()
    }

    /// Its last part, unless that is `.`, `..`, `~` or the root.
    #[must_use]
    pub fn name(&self) -> Option<&OsStr> {
        let trimmed = self.trimmed();
        let name = trimmed.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let is_name = !matches!(name, b"" | b"." | b"..") && trimmed != b"~";
        is_name.then(|| OsStr::from_bytes(name))
    }

    /// The folder that it is in.
    #[must_use]
    pub fn folder(&self) -> Self {
        let trimmed = self.trimmed();
        match trimmed.iter().rposition(|&byte| byte == b'/') {
            Some(0) => Self(b"/".to_vec()),
            Some(end) => Self(trimmed[..end].to_vec()),
            None => Self(b".".to_vec()),
        }
    }

    /// What is called `name` in it.
    ///
    /// # Errors
    /// [`InvalidPath`] as [`RemotePath::new`].
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

    /// Without the slashes at its end.
    fn trimmed(&self) -> &[u8] {
        let end = self.0.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        if end == 0 && !self.0.is_empty() { b"/" } else { &self.0[..end] }
    }

    /// As one word for the far side's shell, which no program takes for an option.
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
        // A path holds no NUL, the one thing that cannot be quoted.
        format!("{start}{}", quote_bytes(rest).unwrap_or_default())
    }

    /// The name under which a part of it waits for the rest, in the same folder: always the same, so that another
    /// attempt finds it.
    pub(super) fn partial(&self) -> Self {
        self.beside("part")
    }

    /// A name in the same folder that only one attempt knows.
    pub(super) fn temporary(&self) -> Self {
        self.beside(&uuid::Uuid::new_v4().simple().to_string()[..16])
    }

    fn beside(&self, what: &str) -> Self {
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

/// The name of a temporary file beside one called `name`.
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

/// For a person: without control characters.
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
    fn a_path_has_a_name_and_a_folder() {
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
    fn a_word_is_quoted_no_option_and_knows_the_home_folder() {
        assert_eq!(path("-rf").word(), "./-rf");
        assert_eq!(path("a b").word(), "'a b'");
        assert_eq!(path("~/a b").word(), "\"$HOME\"'/a b'");
        assert_eq!(path("~").word(), "\"$HOME\"");
        assert_eq!(path("~root/x").word(), "'~root/x'");
        assert_eq!(RemotePath::new(b"\xff".to_vec()).unwrap().word(), "\"$(printf '\\377')\"");
    }

    #[test]
    fn temporary_files_stand_beside_and_fit_in_a_name() {
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
    fn what_a_person_reads_has_no_control_characters() {
        assert_eq!(path("a\u{1b}[2Jb").to_string(), "a\\u{1b}[2Jb");
    }
}
