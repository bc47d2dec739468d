//! Copies to the remote.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use futures_util::stream::{self, StreamExt};

use super::{Copied, CopyEvent, CopyOptions, Job, MAX_ENTRIES, Tally, jobs, too_many};
use crate::files::get::on_disk;
use crate::files::put::{MAX_SMALL, Small};
use crate::files::source::Source;
use crate::files::{
    Attributes, FileKind, FileMode, Files, MAX_CHANNELS, RemotePath, Transfer, TransferError,
};

/// A file to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    source: PathBuf,
    target: RemotePath,
    size: u64,
    with: Attributes,
}

/// A folder to create.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Folder {
    target: RemotePath,
    mode: u32,
    modified: u64,
}

/// The plan of a copy.
#[derive(Debug, Default)]
struct Plan {
    files: Vec<Item>,
    folders: Vec<Folder>,
    skipped: Vec<(PathBuf, &'static str)>,
    failed: Vec<(PathBuf, TransferError)>,
}

impl Files<'_> {
    /// Copies the local `sources` to `target`.
    ///
    /// Sources are copied into `target` if it is a folder, ends in `/`, or there are several sources; otherwise
    /// `target` is the copy's name. Missing folders are created. A source that ends in `/.` means its contents.
    /// Links named as sources are followed; links, devices and pipes inside a folder are skipped.
    ///
    /// # Errors
    /// [`TransferError`] when nothing can be copied; errors of single files are in [`Copied::failed`].
    pub async fn upload(
        &self,
        sources: &[PathBuf],
        target: &RemotePath,
        options: CopyOptions,
        observer: &(dyn Fn(CopyEvent<'_>) + Send + Sync),
    ) -> Result<Copied, TransferError> {
        let into = self.is_into(sources.len(), target).await?;
        let (names, to) = (sources.to_vec(), target.clone());
        let plan = on_disk(move || plan(&names, &to, into, options)).await?;
        let progress = |bytes| observer(CopyEvent::Moved(bytes));
        let tally = Tally { progress: &progress, observer, copied: Default::default() };
        let bytes = plan.files.iter().map(|file| file.size).sum();
        observer(CopyEvent::Planned { files: plan.files.len() as u64, bytes });
        for (path, what) in plan.skipped {
            tally.skipped(path.display(), what);
        }
        for (path, error) in plan.failed {
            tally.failed(path.display(), error);
        }

        let folders: Vec<_> = plan.folders.iter().map(|folder| folder.target.clone()).collect();
        for (folder, made) in folders.iter().zip(self.make_folders(&folders).await?) {
            match made {
                Ok(()) => tally.change(|copied| copied.folders += 1),
                Err(error) => tally.failed(folder, error),
            }
        }
        let jobs = jobs(plan.files, |file| (file.size, Small::words(&file.target)));
        stream::iter(jobs.into_iter().map(|job| self.put_job(job, &tally)))
            .buffer_unordered(MAX_CHANNELS)
            .for_each(|()| std::future::ready(()))
            .await;
        if options.preserve && tally.fatal().is_none() {
            // The deepest first: creating entries changes a folder's time.
            let attributes: Vec<_> =
                plan.folders.iter().rev().map(|f| (f.target.clone(), f.mode, f.modified)).collect();
            for (folder, set) in attributes.iter().zip(self.set_attributes(&attributes).await?) {
                if let Err(error) = set {
                    tally.failed(&folder.0, error);
                }
            }
        }
        Ok(tally.into_copied())
    }

    /// Returns whether copies go into `target` rather than become it.
    async fn is_into(&self, sources: usize, target: &RemotePath) -> Result<bool, TransferError> {
        if sources > 1 || target.is_folder() {
            return Ok(true);
        }
        Ok(self.stat(target).await?.is_some_and(|entry| entry.kind == FileKind::Folder))
    }

    async fn put_job(&self, job: Job<Item>, tally: &Tally<'_>) {
        match job {
            Job::Large(file) => self.put_large(&file, tally).await,
            Job::Small(files) => self.put_several(files, tally).await,
        }
    }

    async fn put_large(&self, file: &Item, tally: &Tally<'_>) {
        let result = match tally.fatal() {
            Some(error) => Err(error),
            None => {
                let source = Source::File(file.source.clone());
                self.put_source(&source, &file.target, file.with, tally.progress).await
            }
        };
        tally.file(file.source.display(), result);
    }

    async fn put_several(&self, files: Vec<Item>, tally: &Tally<'_>) {
        let mut batch = Vec::with_capacity(files.len());
        let mut sources = Vec::with_capacity(files.len());
        let mut grown = Vec::new();
        for file in files {
            if let Some(error) = tally.fatal() {
                tally.failed(file.source.display(), error);
                continue;
            }
            match read_small(&file.source).await {
                Ok(Some(content)) => {
                    batch.push(Small { target: file.target, content, attributes: file.with });
                    sources.push(file.source);
                }
                Ok(None) => grown.push(file),
                Err(error) => tally.failed(file.source.display(), error),
            }
        }
        if !batch.is_empty() {
            let results = self.put_small(&batch, tally.progress).await;
            for ((source, file), result) in sources.iter().zip(&batch).zip(results) {
                let size = file.content.len() as u64;
                tally.file(source.display(), result.map(|()| Transfer { size, resumed_at: 0 }));
            }
        }
        for file in grown {
            self.put_large(&file, tally).await;
        }
    }
}

/// Returns the content of a small file; `None` when it is no longer small.
async fn read_small(path: &Path) -> Result<Option<bytes::Bytes>, TransferError> {
    let path = path.to_owned();
    on_disk(move || {
        let mut content = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_SMALL + 1).read_to_end(&mut content))
            .map_err(|source| TransferError::Local { path, source })?;
        Ok((content.len() as u64 <= MAX_SMALL).then(|| content.into()))
    })
    .await
}

/// Plans the copy of `sources` to `target`.
fn plan(
    sources: &[PathBuf],
    target: &RemotePath,
    into: bool,
    options: CopyOptions,
) -> Result<Plan, TransferError> {
    let mut plan = Plan::default();
    for source in sources {
        let meta = match fs::metadata(source) {
            Ok(meta) => meta,
            Err(error) => {
                plan.failed
                    .push((source.clone(), TransferError::Local { path: source.clone(), source: error }));
                continue;
            }
        };
        let name = name_of(source);
        let root = match name {
            Some(name) if into => target.join(name)?,
            _ => target.clone(),
        };
        let path = || source.display().to_string();
        if meta.is_dir() && options.recursive {
            plan.walk(source.clone(), root, options)?;
        } else if meta.is_dir() {
            plan.failed.push((source.clone(), TransferError::Folder { path: path() }));
        } else if meta.is_file() {
            plan.add(source.clone(), root, &meta, options);
        } else {
            plan.failed.push((source.clone(), TransferError::Special { path: path() }));
        }
    }
    Ok(plan)
}

/// Returns the name that a copy of `source` keeps; none for `.`, `..` and paths that end in one of them.
fn name_of(source: &Path) -> Option<&std::ffi::OsStr> {
    let bytes = source.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let last = bytes[..end].rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    (!matches!(last, b"" | b"." | b"..")).then(|| std::ffi::OsStr::from_bytes(last))
}

impl Plan {
    fn add(&mut self, source: PathBuf, target: RemotePath, meta: &fs::Metadata, options: CopyOptions) {
        let mode = meta.permissions().mode();
        let with = if options.preserve {
            let modified = u64::try_from(meta.mtime()).unwrap_or(0);
            Attributes { mode: FileMode::Exactly(mode & 0o7777), modified: Some(modified) }
        } else {
            Attributes::new(FileMode::Keep(mode & 0o777))
        };
        self.files.push(Item { source, target, size: meta.len(), with });
    }

    /// Adds the folder `source` and everything in it.
    fn walk(
        &mut self,
        source: PathBuf,
        target: RemotePath,
        options: CopyOptions,
    ) -> Result<(), TransferError> {
        let mut folders = vec![(source, target)];
        while let Some((source, target)) = folders.pop() {
            let listed = fs::metadata(&source).and_then(|meta| Ok((meta, fs::read_dir(&source)?)));
            let (meta, entries) = match listed {
                Ok(listed) => listed,
                Err(error) => {
                    self.failed.push((source.clone(), TransferError::Local { path: source, source: error }));
                    continue;
                }
            };
            let modified = u64::try_from(meta.mtime()).unwrap_or(0);
            self.folders.push(Folder {
                target: target.clone(),
                mode: meta.permissions().mode() & 0o7777,
                modified,
            });
            for entry in entries {
                let local = |error| TransferError::Local { path: source.clone(), source: error };
                let entry = entry.map_err(local)?;
                // The metadata of a link itself, not of its target.
                let meta = entry.metadata().map_err(local)?;
                let (path, target) = (entry.path(), target.join(entry.file_name())?);
                if meta.is_dir() {
                    folders.push((path, target));
                } else if meta.is_file() {
                    self.add(path, target, &meta, options);
                } else {
                    self.skipped.push((
                        path,
                        if meta.is_symlink() { "a symbolic link" } else { "not a regular file" },
                    ));
                }
                if self.files.len() + self.folders.len() + folders.len() > MAX_ENTRIES {
                    return Err(too_many());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(sources: &[PathBuf], target: &str, into: bool, recursive: bool) -> Plan {
        let target = RemotePath::new(target).unwrap();
        plan(sources, &target, into, CopyOptions::new(recursive, false)).unwrap()
    }

    fn targets(plan: &Plan) -> Vec<String> {
        let mut targets: Vec<_> = plan.files.iter().map(|file| file.target.to_string()).collect();
        targets.sort();
        targets
    }

    #[test]
    fn plan_copies_into_or_renames() {
        let here = tempfile::tempdir().unwrap();
        let folder = here.path().join("d");
        fs::create_dir_all(folder.join("s/empty")).unwrap();
        fs::write(folder.join("a"), "1").unwrap();
        fs::write(folder.join("s/b"), "22").unwrap();
        std::os::unix::fs::symlink("a", folder.join("l")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.join("k")).unwrap();
        let file = vec![folder.join("a")];
        assert_eq!(targets(&planned(&file, "t", false, false)), ["t"]);
        assert_eq!(targets(&planned(&file, "t/", true, false)), ["t/a"]);
        let whole = planned(std::slice::from_ref(&folder), "t", true, true);
        assert_eq!(targets(&whole), ["t/d/a", "t/d/s/b"]);
        assert_eq!(whole.folders.len(), 3);
        assert_eq!(whole.skipped.len(), 2, "{:?}", whole.skipped);
        assert_eq!(targets(&planned(std::slice::from_ref(&folder), "t", false, true)), ["t/a", "t/s/b"]);
        assert_eq!(targets(&planned(&[folder.join(".")], "t", true, true)), ["t/a", "t/s/b"]);
        let refused = planned(&[folder.clone(), here.path().join("no"), folder.join("k")], "t", true, false);
        let why: Vec<_> = refused.failed.iter().map(|(_, error)| error).collect();
        assert!(
            matches!(
                why[..],
                [TransferError::Folder { .. }, TransferError::Local { .. }, TransferError::Special { .. }]
            ),
            "{why:?}"
        );
    }
}
