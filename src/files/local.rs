//! Writes local files, with the same guarantees as remote ones.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::fs::{FlockOperation, Mode as ModeBits, OFlags, flock};
use sha2::{Digest, Sha256};

use super::path::temporary_name;
use super::source::{Measure, hex};
use super::{Attributes, FileMode, TransferError};

/// How often opening a partial file is retried when others rename or remove it concurrently.
const MAX_OPENS: u32 = 16;

/// A file that is written under another name in the folder of its target, locked by this process.
///
/// When dropped, it is kept for another attempt, unless it is empty.
#[derive(Debug)]
pub(super) struct Partial {
    target: PathBuf,
    path: PathBuf,
    /// Locked while it is open.
    file: File,
    digest: Sha256,
    length: u64,
    /// Whether it was renamed or removed.
    is_settled: bool,
}

impl Partial {
    /// Opens the partial file of `target` with its existing content. Missing folders are created.
    pub(super) fn open(target: &Path) -> Result<Self, TransferError> {
        check(target)?;
        make_folder_of(target)?;
        let name = target.file_name().unwrap_or_default();
        let path = target.with_file_name(temporary_name(name, "part"));
        let failed = |source| TransferError::Local { path: path.clone(), source };
        for _ in 0..MAX_OPENS {
            let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
            let mut file = options.open(&path).map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(TransferError::Busy { path: target.to_owned() });
                }
                Err(error) => return Err(failed(error.into())),
            }
            // Another process may have renamed it to the target before it released the lock.
            let opened = file.metadata().map_err(failed)?;
            let is_named = fs::symlink_metadata(&path)
                .is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino()));
            if !is_named {
                continue;
            }
            if !opened.is_file() || opened.uid() != rustix::process::geteuid().as_raw() {
                let error = io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "it belongs to another user or is not a regular file",
                );
                return Err(failed(error));
            }
            let mut digest = Sha256::new();
            let length = io::copy(&mut file, &mut DigestWriter(&mut digest)).map_err(failed)?;
            return Ok(Self { target: target.to_owned(), path, file, digest, length, is_settled: false });
        }
        Err(TransferError::Busy { path: target.to_owned() })
    }

    /// Returns its size and sum.
    pub(super) fn measure(&self) -> Measure {
        Measure { size: self.length, sum: hex(&self.digest.clone().finalize()) }
    }

    /// Resumes at `from`: its length, or 0.
    pub(super) fn resume_at(&mut self, from: u64) -> Result<(), TransferError> {
        if from != self.length {
            self.digest = Sha256::new();
            self.length = 0;
        }
        let length = self.length;
        let prepared = self.file.set_len(length).and_then(|()| self.file.seek(SeekFrom::Start(length)));
        prepared.map(drop).map_err(|source| self.failed(source))
    }

    pub(super) fn write(&mut self, data: &Bytes) -> Result<(), TransferError> {
        self.file.write_all(data).map_err(|source| self.failed(source))?;
        self.digest.update(data);
        self.length += data.len() as u64;
        Ok(())
    }

    /// Renames it to the target if it matches `expected`; otherwise removes it.
    pub(super) fn finish(mut self, expected: &Measure, with: Attributes) -> Result<(), TransferError> {
        if self.length < expected.size {
            return Err(TransferError::Differs { path: self.target.display().to_string() });
        }
        if self.measure() != *expected {
            self.remove();
            return Err(TransferError::Differs { path: self.target.display().to_string() });
        }
        check(&self.target)?;
        place(&self.file, &self.path, &self.target, with).map_err(|source| self.failed(source))?;
        self.is_settled = true;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> TransferError {
        TransferError::Local { path: self.path.clone(), source }
    }

    fn remove(&mut self) {
        self.is_settled = true;
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_settled && self.length == 0 {
            self.remove();
        }
    }
}

/// Writes a small file whose content is verified.
pub(super) fn write(target: &Path, content: &[u8], with: Attributes) -> Result<(), TransferError> {
    check(target)?;
    make_folder_of(target)?;
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let name = temporary_name(target.file_name().unwrap_or_default(), &unique[..16]);
    let path = target.with_file_name(name);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(content)?;
        place(&file, &path, target, with)
    })();
    written.map_err(|source| {
        let _ = fs::remove_file(&path);
        TransferError::Local { path: target.to_owned(), source }
    })
}

/// Sets the attributes of `file` and renames it to `target`.
fn place(file: &File, path: &Path, target: &Path, with: Attributes) -> io::Result<()> {
    let mode = match with.mode {
        FileMode::Exactly(mode) => mode,
        FileMode::Keep(mode) => match fs::metadata(target) {
            Ok(there) => there.permissions().mode(),
            Err(_) => mode & !umask()?,
        },
    };
    file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
    if let Some(secs) = with.modified {
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(secs))?;
    }
    fs::rename(path, target)
}

/// Checks that the target may be replaced: a regular file, a link to one, or nothing.
fn check(target: &Path) -> Result<(), TransferError> {
    let path = || target.display().to_string();
    match fs::metadata(target) {
        Ok(there) if there.is_dir() => Err(TransferError::Folder { path: path() }),
        Ok(there) if !there.is_file() => Err(TransferError::Special { path: path() }),
        _ if target.file_name().is_none() => Err(TransferError::Folder { path: path() }),
        _ => Ok(()),
    }
}

fn make_folder_of(target: &Path) -> Result<(), TransferError> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) => make_folder(folder),
        None => Ok(()),
    }
}

/// Creates a folder and its parents.
pub(super) fn make_folder(folder: &Path) -> Result<(), TransferError> {
    fs::create_dir_all(folder).map_err(|source| TransferError::Local { path: folder.to_owned(), source })
}

/// Sets a folder's mode and modification time.
pub(super) fn set_attributes(folder: &Path, mode: u32, modified: u64) -> Result<(), TransferError> {
    let set = || {
        let file = File::open(folder)?;
        file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(modified))
    };
    set().map_err(|source| TransferError::Local { path: folder.to_owned(), source })
}

/// Returns the process's umask from /proc: `umask(2)` would have to change it temporarily.
fn umask() -> io::Result<u32> {
    let status = fs::read_to_string("/proc/self/status")?;
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let umask = umask.and_then(|text| u32::from_str_radix(text.trim(), 8).ok());
    Ok(umask.unwrap_or(ModeBits::WGRP.bits() | ModeBits::WOTH.bits()))
}

struct DigestWriter<'a>(&'a mut Sha256);

impl Write for DigestWriter<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn with(mode: FileMode) -> Attributes {
        Attributes::new(mode)
    }

    #[test]
    fn partial_file_needs_the_right_sum() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("deep/er/a");
        let mut partial = Partial::open(&target).unwrap();
        partial.resume_at(0).unwrap();
        partial.write(&Bytes::from_static(b"hel")).unwrap();
        assert!(matches!(Partial::open(&target), Err(TransferError::Busy { .. })), "one at a time");
        drop(partial);
        let whole = Measure::of(b"hello");
        let mut partial = Partial::open(&target).unwrap();
        assert_eq!(partial.measure(), Measure::of(b"hel"));
        partial.resume_at(3).unwrap();
        partial.write(&Bytes::from_static(b"lo")).unwrap();
        partial.finish(&whole, with(FileMode::Exactly(0o640))).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"hello");
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(names(target.parent().unwrap()), ["a"]);
        // Other content of the right size: the target is kept, the partial file removed.
        let mut partial = Partial::open(&target).unwrap();
        partial.write(&Bytes::from_static(b"hallo")).unwrap();
        assert!(matches!(
            partial.finish(&whole, with(FileMode::Keep(0o600))),
            Err(TransferError::Differs { .. })
        ));
        assert_eq!(fs::read(&target).unwrap(), b"hello");
        assert_eq!(names(target.parent().unwrap()), ["a"]);
        // An attempt that received nothing leaves nothing.
        drop(Partial::open(&target).unwrap());
        assert_eq!(names(target.parent().unwrap()), ["a"]);
    }

    #[test]
    fn partial_file_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join(".a.eice-part")).unwrap();
        assert!(matches!(Partial::open(&folder.path().join("a")), Err(TransferError::Local { .. })));
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
    }

    #[test]
    fn small_file_replaces_only_files() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        write(&target, b"1", with(FileMode::Keep(0o600))).unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o604)).unwrap();
        let dated = Attributes { mode: FileMode::Keep(0o600), modified: Some(1_000_000) };
        write(&target, b"2", dated).unwrap();
        let there = fs::metadata(&target).unwrap();
        assert_eq!((there.mode() & 0o777, there.mtime()), (0o604, 1_000_000), "its own mode is kept");
        assert!(matches!(
            write(folder.path(), b"", with(FileMode::Keep(0))),
            Err(TransferError::Folder { .. })
        ));
        let device = Path::new("/dev/null");
        assert!(matches!(write(device, b"", with(FileMode::Keep(0))), Err(TransferError::Special { .. })));
        assert!(matches!(Partial::open(device), Err(TransferError::Special { .. })));
        assert_eq!(names(folder.path()), ["a"]);
    }
}
