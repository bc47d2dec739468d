//! Copies from the remote.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use futures_util::stream::{self, StreamExt};

use super::{Copied, CopyEvent, CopyOptions, Job, MAX_ENTRIES, Tally, jobs, too_many};
use crate::files::get::{keep_small, on_disk};
use crate::files::{Entry, FileKind, Files, MAX_CHANNELS, RemotePath, Transfer, TransferError, local};

/// A file to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    source: RemotePath,
    target: PathBuf,
    size: u64,
}

/// A folder to create.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Folder {
    target: PathBuf,
    mode: u32,
    modified: u64,
}

impl Files<'_> {
    /// Copies the remote `sources` to the local `target`, by the rules of [`Files::upload`].
    ///
    /// No entry that the remote reports can lead out of `target`: no link is created, and only links that
    /// existed before are followed.
    ///
    /// # Errors
    /// [`TransferError`] when nothing can be copied; errors of single files are in [`Copied::failed`].
    pub async fn download(
        &self,
        sources: &[RemotePath],
        target: &Path,
        options: CopyOptions,
        observer: &(dyn Fn(CopyEvent<'_>) + Send + Sync),
    ) -> Result<Copied, TransferError> {
        let progress = |bytes| observer(CopyEvent::Moved(bytes));
        let tally = Tally { progress: &progress, observer, copied: Default::default() };
        let into = sources.len() > 1 || target.as_os_str().as_bytes().ends_with(b"/") || target.is_dir();
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        for (source, listed) in sources.iter().zip(self.list(sources, options.recursive).await?) {
            let entries = match listed {
                Ok(entries) => entries,
                Err(error) => {
                    tally.failed(source, error);
                    continue;
                }
            };
            let root = match source.name() {
                Some(name) if into => target.join(name),
                _ => target.to_owned(),
            };
            for entry in entries {
                plan(entry, &root, options, &tally, &mut files, &mut folders);
            }
            if files.len() + folders.len() > MAX_ENTRIES {
                return Err(too_many());
            }
        }
        let bytes = files.iter().map(|file| file.size).sum();
        observer(CopyEvent::Planned { files: files.len() as u64, bytes });

        for folder in &folders {
            let path = folder.target.clone();
            match on_disk(move || local::make_folder(&path)).await {
                Ok(()) => tally.change(|copied| copied.folders += 1),
                Err(error) => tally.failed(folder.target.display(), error),
            }
        }
        let jobs = jobs(files, |file| (file.size, file.source.word().len() + 1));
        stream::iter(jobs.into_iter().map(|job| self.get_job(job, options.preserve, &tally)))
            .buffer_unordered(MAX_CHANNELS)
            .for_each(|()| std::future::ready(()))
            .await;
        if options.preserve {
            // The deepest first: creating entries changes a folder's time, and its final mode may forbid it.
            folders.sort_by_key(|folder| std::cmp::Reverse(folder.target.components().count()));
            for Folder { target, mode, modified } in folders {
                let path = target.clone();
                if let Err(error) = on_disk(move || local::set_attributes(&path, mode, modified)).await {
                    tally.failed(target.display(), error);
                }
            }
        }
        Ok(tally.into_copied())
    }

    async fn get_job(&self, job: Job<Item>, preserve: bool, tally: &Tally<'_>) {
        match job {
            Job::Large(file) => self.get_large(&file, preserve, tally).await,
            Job::Small(files) => self.get_several(&files, preserve, tally).await,
        }
    }

    async fn get_large(&self, file: &Item, preserve: bool, tally: &Tally<'_>) {
        let result = match tally.fatal() {
            Some(error) => Err(error),
            None => self.get(&file.source, &file.target, preserve, tally.progress).await,
        };
        tally.file(&file.source, result);
    }

    async fn get_several(&self, files: &[Item], preserve: bool, tally: &Tally<'_>) {
        let paths: Vec<_> = files.iter().map(|file| file.source.clone()).collect();
        let read = match tally.fatal() {
            Some(error) => Err(error),
            None => self.get_small(&paths).await,
        };
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                for file in files {
                    tally.failed(&file.source, error.repeat());
                }
                return;
            }
        };
        for (file, read) in files.iter().zip(read) {
            match read {
                Ok((content, found)) => {
                    let size = content.len() as u64;
                    let kept = keep_small(&file.target, content, found, preserve).await;
                    (tally.progress)(size);
                    tally.file(&file.source, kept.map(|()| Transfer { size, resumed_at: 0 }));
                }
                // The file changed after it was listed or while it was read.
                Err(TransferError::Differs { .. }) => self.get_large(file, preserve, tally).await,
                Err(error) => tally.failed(&file.source, error),
            }
        }
    }
}

/// Plans the copy of `entry`, which is `root` or below it.
fn plan(
    entry: Entry,
    root: &Path,
    options: CopyOptions,
    tally: &Tally<'_>,
    files: &mut Vec<Item>,
    folders: &mut Vec<Folder>,
) {
    let target =
        if entry.below.is_empty() { root.to_owned() } else { root.join(OsStr::from_bytes(&entry.below)) };
    let is_named = entry.below.is_empty();
    match entry.kind {
        FileKind::File => files.push(Item { source: entry.path, target, size: entry.size }),
        FileKind::Folder if options.recursive => {
            folders.push(Folder { target, mode: entry.mode, modified: entry.modified });
        }
        FileKind::Folder => {
            let error = TransferError::Folder { path: entry.path.to_string() };
            tally.failed(&entry.path, error);
        }
        FileKind::Special if is_named => {
            let error = TransferError::Special { path: entry.path.to_string() };
            tally.failed(&entry.path, error);
        }
        FileKind::Special => tally.skipped(&entry.path, "not a regular file"),
        FileKind::Link => tally.skipped(&entry.path, "a symbolic link"),
    }
}
