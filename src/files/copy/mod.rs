//! Copies of several sources and of folders, in both directions.

mod down;
mod up;

use std::fmt::Display;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::put::{MAX_BATCH_BYTES, MAX_BATCH_WORDS, MAX_SMALL};
use super::{ProgressFn, TransferError};

use crate::setters::setters;

/// The most files and folders in one copy.
const MAX_ENTRIES: usize = 1_000_000;

/// The most files in one batch.
const MAX_BATCH_FILES: usize = 128;

/// The options of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyOptions {
    /// Copy folders and everything in them.
    pub recursive: bool,
    /// Preserve modes and modification times.
    pub preserve: bool,
}

impl CopyOptions {
    /// Returns options with the given fields.
    #[must_use]
    pub fn new(recursive: bool, preserve: bool) -> Self {
        Self { recursive, preserve }
    }
}

/// A progress event of a copy.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum CopyEvent<'a> {
    /// The plan is complete.
    Planned {
        /// The number of files.
        files: u64,
        /// Their total number of bytes.
        bytes: u64,
    },
    /// This many more bytes have been transferred.
    Moved(u64),
    /// An entry is skipped because it is neither a file nor a folder.
    Skipped {
        /// Its path.
        path: &'a str,
        /// What it is.
        what: &'static str,
    },
    /// An entry could not be copied; the others continue.
    Failed {
        /// Its path.
        path: &'a str,
        /// The error.
        error: &'a TransferError,
    },
}

/// The result of a copy.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Copied {
    /// The number of files copied.
    pub files: u64,
    /// The number of folders that exist now.
    pub folders: u64,
    /// The number of bytes in the copied files.
    pub bytes: u64,
    /// How many of those bytes an earlier attempt had transferred.
    pub resumed_at: u64,
    /// The entries that were skipped because they are neither files nor folders.
    pub skipped: Vec<String>,
    /// The entries that could not be copied, with their errors.
    pub failed: Vec<(String, TransferError)>,
}

impl Copied {
    /// Returns the result of copying one file.
    #[must_use]
    pub fn one(done: super::Transfer) -> Self {
        Self { files: 1, bytes: done.size, resumed_at: done.resumed_at, ..Self::default() }
    }
}

/// A running copy: its results so far and its observers.
struct Tally<'a> {
    progress: ProgressFn<'a>,
    observer: &'a (dyn Fn(CopyEvent<'_>) + Send + Sync),
    copied: Mutex<Copied>,
}

impl<'a> Tally<'a> {
    fn change(&self, change: impl FnOnce(&mut Copied)) {
        change(&mut self.copied.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn skipped(&self, path: impl Display, what: &'static str) {
        let path = path.to_string();
        (self.observer)(CopyEvent::Skipped { path: &path, what });
        self.change(|copied| copied.skipped.push(path));
    }

    fn failed(&self, path: impl Display, error: TransferError) {
        let path = path.to_string();
        (self.observer)(CopyEvent::Failed { path: &path, error: &error });
        self.change(|copied| copied.failed.push((path, error)));
    }

    /// Records the result of one file.
    fn file(&self, path: impl Display, result: Result<super::Transfer, TransferError>) {
        match result {
            Ok(done) => self.change(|copied| {
                copied.files += 1;
                copied.bytes += done.size;
                copied.resumed_at += done.resumed_at;
            }),
            Err(error) => self.failed(path, error),
        }
    }

    /// Returns the error that ends the copy, if there was one.
    fn fatal(&self) -> Option<TransferError> {
        let copied = self.copied.lock().unwrap_or_else(PoisonError::into_inner);
        copied.failed.iter().find(|(_, error)| error.is_fatal()).map(|(_, error)| error.repeat())
    }

    fn into_copied(self) -> Copied {
        self.copied.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The work for one channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Job<T> {
    Large(T),
    Small(Vec<T>),
}

/// Splits `files` into jobs; `measure` returns a file's size and the number of bytes of its arguments.
pub(super) fn jobs<T>(files: Vec<T>, measure: impl Fn(&T) -> (u64, usize)) -> Vec<Job<T>> {
    let mut jobs = Vec::new();
    let (mut batch, mut bytes, mut words) = (Vec::new(), 0, 0);
    for file in files {
        let (size, length) = measure(&file);
        if size > MAX_SMALL {
            jobs.push(Job::Large(file));
            continue;
        }
        if batch.len() == MAX_BATCH_FILES
            || bytes + size > MAX_BATCH_BYTES
            || words + length > MAX_BATCH_WORDS
        {
            if !batch.is_empty() {
                jobs.push(Job::Small(std::mem::take(&mut batch)));
            }
            (bytes, words) = (0, 0);
        }
        batch.push(file);
        bytes += size;
        words += length;
    }
    if !batch.is_empty() {
        jobs.push(Job::Small(batch));
    }
    jobs
}

/// Returns the error of a copy with too many entries.
fn too_many() -> TransferError {
    TransferError::TooMuch(format!("there are more than {MAX_ENTRIES} files and folders; copy them in parts"))
}

setters! {
    CopyOptions {
        recursive: bool,
        preserve: bool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_are_batched_within_bounds() {
        let sizes = [1, MAX_SMALL + 1, 2, MAX_SMALL];
        let split = jobs(sizes.to_vec(), |size| (*size, 100));
        assert_eq!(split, [Job::Large(MAX_SMALL + 1), Job::Small(vec![1, 2, MAX_SMALL])]);
        let count =
            |files: u64, size: u64, words: usize| jobs(vec![size; files as usize], |s| (*s, words)).len();
        assert_eq!(count(0, 1, 1), 0);
        assert_eq!(count(128, 1, 100), 1);
        assert_eq!(count(129, 1, 100), 2);
        assert_eq!(count(16, MAX_SMALL, 100), 2, "limited by bytes");
        assert_eq!(count(100, 1, 4000), 17, "limited by names");
        assert_eq!(count(2, 1, 100_000), 2, "a name that is too long has its own batch");
    }
}
