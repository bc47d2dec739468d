//! The directory of an emulator's files, and the cleanup after an emulator that was killed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::EmulatorError;

/// The prefix of a temporary directory's name; a UUID follows.
const PREFIX: &str = "eice-emulator-";

/// The lock file in it. The kernel releases the lock however the process ends, and a reused process id cannot
/// be mistaken for the owner.
const LOCK: &str = "lock";

/// The most leftover directories that are removed at once.
const MAX_REMOVED: usize = 100;

/// How often creating a directory is retried when another emulator takes it for a leftover.
const MAX_ATTEMPTS: usize = 10;

/// A private directory. A temporary one is deleted on drop; a given one is kept.
#[derive(Debug)]
pub(super) struct StateDir {
    path: PathBuf,
    /// The lock file of a temporary directory, locked while this exists.
    lock: Option<File>,
}

impl StateDir {
    /// Opens `given`, or creates a temporary directory and removes those of emulators that were killed.
    pub(super) fn open(given: Option<&Path>) -> Result<Self, EmulatorError> {
        let Some(path) = given else { return Self::temporary(&std::env::temp_dir()) };
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(path)
            .map_err(|source| EmulatorError::State { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), lock: None })
    }

    fn temporary(parent: &Path) -> Result<Self, EmulatorError> {
        remove_leftovers(parent);
        // Before the new lock file is locked, another process may take the directory for a leftover.
        for _ in 0..MAX_ATTEMPTS {
            let path = parent.join(format!("{PREFIX}{}", uuid::Uuid::new_v4()));
            let failed = |source| EmulatorError::State { path: path.clone(), source };
            // The directory must not exist: under /tmp, any user could have created it.
            fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
            if let Some(lock) = lock(&path, true).map_err(failed)? {
                return Ok(Self { path, lock: Some(lock) });
            }
        }
        let source = io::Error::other("every new directory was removed concurrently");
        Err(EmulatorError::State { path: parent.to_owned(), source })
    }

    /// Returns a directory in it, created if missing.
    pub(super) fn directory(&self, name: &str) -> Result<PathBuf, EmulatorError> {
        let path = self.path.join(name);
        let made = fs::DirBuilder::new().mode(0o700).recursive(true).create(&path);
        made.map_err(|source| EmulatorError::State { path: path.clone(), source })?;
        Ok(path)
    }

    /// Returns the content of the file `name`, if it exists.
    pub(super) fn read(&self, name: &str) -> Result<Option<String>, EmulatorError> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(EmulatorError::State { path, source }),
        }
    }

    /// Writes the file `name`, readable only by its owner.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, EmulatorError> {
        let path = self.path.join(name);
        let write = || -> io::Result<()> {
            let mut options = fs::OpenOptions::new();
            options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)?
                .write_all(text.as_bytes())
        };
        write().map_err(|source| EmulatorError::State { path: path.clone(), source })?;
        Ok(path)
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if self.lock.is_some() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Locks the directory `path`; `None` when another process holds the lock or has removed it.
fn lock(path: &Path, create: bool) -> io::Result<Option<File>> {
    let file = path.join(LOCK);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(create).mode(0o600);
    let opened = match options.open(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match opened.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    let is_there =
        fs::metadata(&file).is_ok_and(|now| opened.metadata().is_ok_and(|own| own.ino() == now.ino()));
    Ok(is_there.then_some(opened))
}

/// Removes the directories in `parent` that belong to us by name, owner and lock file, and whose emulator is
/// gone. Failures are ignored: they must not prevent a start.
fn remove_leftovers(parent: &Path) {
    let us = rustix::process::geteuid().as_raw();
    let Ok(entries) = fs::read_dir(parent) else { return };
    let ours = entries.filter_map(Result::ok).filter(|entry| {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        id.is_some_and(|id| uuid::Uuid::try_parse(id).is_ok())
            // The metadata of the entry itself: a link is not a directory.
            && entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == us)
    });
    for entry in ours.take(MAX_REMOVED) {
        let path = entry.path();
        if let Ok(Some(_locked)) = lock(&path, false) {
            tracing::debug!(path = %path.display(), "removing the directory of a killed emulator");
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftover_directories_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let alive = StateDir::temporary(parent.path()).unwrap();
        let killed = StateDir::temporary(parent.path()).unwrap();
        killed.write("ca.pem", "text").unwrap();
        let left = killed.path.clone();
        // As the kernel does: the lock is released and the files stay.
        let mut killed = std::mem::ManuallyDrop::new(killed);
        drop(killed.lock.take());

        let uuid = uuid::Uuid::new_v4();
        let (unlocked, other) = (at(&format!("{PREFIX}{uuid}")), at(&format!("{PREFIX}mine")));
        for path in [&unlocked, &other] {
            fs::create_dir(path).unwrap();
        }
        fs::write(other.join(LOCK), "").unwrap();
        let link = at(&format!("{PREFIX}{}", uuid::Uuid::new_v4()));
        std::os::unix::fs::symlink(&other, &link).unwrap();

        let next = StateDir::temporary(parent.path()).unwrap();
        assert!(!left.exists());
        assert!(alive.path.exists() && next.path.exists());
        assert!(unlocked.exists(), "without a lock file it is not an emulator's");
        assert!(other.exists() && link.is_symlink());
        let own = next.path.clone();
        drop(next);
        assert!(!own.exists());
    }
}
