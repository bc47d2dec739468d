//! Whole copies: several sources, folders, both directions.

mod down;
mod up;

use std::fmt::Display;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::put::{MAX_BATCH_BYTES, MAX_BATCH_WORDS, MAX_SMALL};
use super::{Error, Moved};

use crate::setters::setters;

/// The most files and folders that one copy takes.
const MAX_ENTRIES: usize = 1_000_000;

/// The most files in one batch.
const MAX_BATCH_FILES: usize = 128;

/// What a copy is asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyOptions {
    /// Copy folders and all that is in them.
    pub recursive: bool,
    /// Give copies the modes and the times of their originals.
    pub preserve: bool,
}

impl CopyOptions {
    /// Copies that are asked for so.
    #[must_use]
    pub fn new(recursive: bool, preserve: bool) -> Self {
        Self { recursive, preserve }
    }
}

/// News of a copy.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum CopyEvent<'a> {
    /// What there is to do is known.
    Planned {
        /// So many files.
        files: u64,
        /// So many bytes in them.
        bytes: u64,
    },
    /// So many bytes more are where they belong.
    Moved(u64),
    /// Something is not copied, because it is neither a file nor a folder.
    Skipped {
        /// Where.
        path: &'a str,
        /// What it is.
        what: &'static str,
    },
    /// Something could not be copied; the rest goes on.
    Failed {
        /// Where.
        path: &'a str,
        /// Why.
        error: &'a Error,
    },
}

/// What a copy did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Copied {
    /// Files that are copied.
    pub files: u64,
    /// Folders that are there.
    pub folders: u64,
    /// Bytes in the files that are copied.
    pub bytes: u64,
    /// How many of them an earlier attempt had brought over already.
    pub resumed_at: u64,
    /// What was left out because it is neither a file nor a folder.
    pub skipped: Vec<String>,
    /// What could not be copied, and why.
    pub failed: Vec<(String, Error)>,
}

impl Copied {
    /// What one file that was copied by itself makes.
    #[must_use]
    pub fn one(done: super::Transfer) -> Self {
        Self { files: 1, bytes: done.size, resumed_at: done.resumed_at, ..Self::default() }
    }
}

/// A copy that is under way: what it did so far, and who is told.
struct Tally<'a> {
    told: Moved<'a>,
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

    fn failed(&self, path: impl Display, error: Error) {
        let path = path.to_string();
        (self.observer)(CopyEvent::Failed { path: &path, error: &error });
        self.change(|copied| copied.failed.push((path, error)));
    }

    /// Counts one file.
    fn file(&self, path: impl Display, result: Result<super::Transfer, Error>) {
        match result {
            Ok(done) => self.change(|copied| {
                copied.files += 1;
                copied.bytes += done.size;
                copied.resumed_at += done.resumed_at;
            }),
            Err(error) => self.failed(path, error),
        }
    }

    /// The error that ends everything, if there was one.
    fn fatal(&self) -> Option<Error> {
        let copied = self.copied.lock().unwrap_or_else(PoisonError::into_inner);
        copied.failed.iter().find(|(_, error)| error.is_fatal()).map(|(_, error)| error.repeat())
    }

    fn into_copied(self) -> Copied {
        self.copied.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What goes over one channel at a time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Job<T> {
    Large(T),
    Small(Vec<T>),
}

/// Parts `files` into jobs; `measure` gives a file's size and how many bytes of words it takes.
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

/// More files than a copy takes.
fn too_many() -> Error {
    Error::TooMuch(format!(
        "there are more than {MAX_ENTRIES} files and folders; copy a part of them at a time"
    ))
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
    fn small_files_share_a_channel_within_bounds_and_large_ones_do_not() {
        let sizes = [1, MAX_SMALL + 1, 2, MAX_SMALL];
        let parted = jobs(sizes.to_vec(), |size| (*size, 100));
        assert_eq!(parted, [Job::Large(MAX_SMALL + 1), Job::Small(vec![1, 2, MAX_SMALL])]);
        let count =
            |files: u64, size: u64, words: usize| jobs(vec![size; files as usize], |s| (*s, words)).len();
        assert_eq!(count(0, 1, 1), 0);
        assert_eq!(count(128, 1, 100), 1);
        assert_eq!(count(129, 1, 100), 2);
        assert_eq!(count(16, MAX_SMALL, 100), 2, "by their bytes");
        assert_eq!(count(100, 1, 4000), 17, "by their names");
        assert_eq!(count(2, 1, 100_000), 2, "a name that is too long stands alone");
    }
}
