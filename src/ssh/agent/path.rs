//! The shared path of the agents, and its folder.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::os::unix::net::UnixStream as Probe;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::geteuid;

use super::error::{SocketError, failed};

/// The maximum length of a socket's path, in bytes: `sun_path` without its terminator (unix(7)).
const MAX_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// How long to wait for the lock, which other processes hold only briefly.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// The interval of attempts to take the lock.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The shared path, and its folder.
#[derive(Debug)]
pub(super) struct AgentPath {
    pub(super) path: PathBuf,
    pub(super) folder: PathBuf,
    /// `NAME.`, the prefix of the names of the sockets behind the path.
    prefix: OsString,
}

/// The number of digits after the prefix.
const DIGITS: usize = 8;

/// The suffix of a link before it is moved into path.
const NEW: &str = ".new";

impl AgentPath {
    pub(super) fn new(path: &Path) -> Result<Self, SocketError> {
        let refuse = |problem| SocketError::Path { path: path.to_owned(), problem };
        if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
            return Err(refuse("it must be absolute, without `..`"));
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(refuse("it names no file"));
        };
        let mut prefix = name.to_owned();
        prefix.push(".");
        if folder.as_os_str().len() + "/".len() + prefix.len() + DIGITS > MAX_PATH {
            return Err(refuse("it is too long"));
        }
        Ok(Self { path: path.to_owned(), folder: folder.to_owned(), prefix })
    }

    /// Creates the folder if it is missing, and checks that only this user can use it.
    pub(super) fn create_folder(&self) -> Result<(), SocketError> {
        let folder = &self.folder;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(failed("making the folder", folder))?;
        let found = fs::symlink_metadata(folder).map_err(failed("looking at", folder))?;
        let refuse = |problem| Err(SocketError::Unsafe { folder: folder.clone(), problem });
        if !found.is_dir() {
            return refuse("it is a link".to_owned());
        }
        if found.uid() != geteuid().as_raw() {
            return refuse(format!("it belongs to user {}", found.uid()));
        }
        match found.mode() & 0o777 {
            mode if mode & 0o077 != 0 => refuse(format!("its mode is {mode:o}, which lets others in")),
            _ => Ok(()),
        }
    }

    /// Checks that the path is free or a link of ours.
    pub(super) fn check_free(&self) -> Result<(), SocketError> {
        match fs::read_link(&self.path) {
            Ok(leads_to) if self.is_behind(leads_to.as_os_str()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            // InvalidInput: it is not a link.
            Err(error) if error.kind() != ErrorKind::InvalidInput => {
                Err(failed("looking at", &self.path)(error))
            }
            _ => Err(SocketError::Occupied(self.path.clone())),
        }
    }

    /// Holds the folder's lock until the file is dropped.
    pub(super) fn lock(&self) -> Result<File, SocketError> {
        let folder = File::open(&self.folder).map_err(failed("opening", &self.folder))?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(folder),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOOK_EVERY),
                Err(error) => return Err(failed("locking", &self.folder)(error.into())),
            }
        }
    }

    /// Removes what killed processes left behind: sockets without a listener, links that were not moved into path.
    pub(super) fn remove_dead(&self) -> Result<(), SocketError> {
        for name in self.names()? {
            let is_left = match name.as_encoded_bytes().strip_suffix(NEW.as_bytes()) {
                Some(_) => name.as_encoded_bytes().starts_with(self.prefix.as_encoded_bytes()),
                None => self.is_behind(&name) && !self.is_live(&name),
            };
            if is_left {
                let _ = fs::remove_file(self.folder.join(name));
            }
        }
        Ok(())
    }

    pub(super) fn own_name(&self) -> OsString {
        let mut name = self.prefix.clone();
        name.push(format!("{:0DIGITS$x}", rand::random::<u32>()));
        name
    }

    /// Returns the names in the folder.
    pub(super) fn names(&self) -> Result<Vec<OsString>, SocketError> {
        let entries = fs::read_dir(&self.folder).map_err(failed("reading", &self.folder))?;
        Ok(entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect())
    }

    /// Returns whether `name` is that of a socket behind the path.
    pub(super) fn is_behind(&self, name: &OsStr) -> bool {
        let digits = name.as_encoded_bytes().strip_prefix(self.prefix.as_encoded_bytes());
        digits.is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit))
    }

    /// Returns whether a process listens at `name`. A killed process leaves a socket that refuses.
    pub(super) fn is_live(&self, name: &OsStr) -> bool {
        Probe::connect(self.folder.join(name)).is_ok()
    }

    /// Points the path to the socket `name`, atomically.
    pub(super) fn point_to(&self, name: &OsStr) -> Result<(), SocketError> {
        let mut new = name.to_owned();
        new.push(NEW);
        let new = self.folder.join(new);
        symlink(name, &new).map_err(failed("linking", &new))?;
        fs::rename(&new, &self.path).map_err(|error| {
            let _ = fs::remove_file(&new);
            failed("replacing", &self.path)(error)
        })
    }
}
