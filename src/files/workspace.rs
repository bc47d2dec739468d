//! The files of a workspace, placed as the platform does.
//!
//! The rules are those of the platform's `template_files_eic.go` and `ssrf.go`: the folder of a runtime's
//! files, the accepted relative paths, and mode 0644 with missing folders created, as by `install -D -m 0644`.
//! In addition to the platform, writes are atomic, and all files share one connection.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::copy::{Job, jobs};
use super::put::Small;
use super::source::Source;
use super::{Attributes, FileMode, Files, MAX_CHANNELS, RemotePath, TransferError};
use crate::model::Host;

/// The most files that the platform accepts in one request.
pub const MAX_FILES: usize = 200;

/// The platform's time limit for writing files, connecting included.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest path of a file relative to its workspace's folder, in bytes, so that the whole fits in Linux's
/// `PATH_MAX`.
const MAX_PATH: usize = 4000;

/// The folder of the files of a local workspace's container.
pub const CONTAINER_FOLDER: &str = "/configs";

/// The mode of a workspace's files.
const MODE: u32 = 0o644;

/// Returns the folder of the files of a workspace with the runtime `runtime`.
///
/// ```
/// # use eice::files::workspace::folder;
/// assert_eq!(folder(" Hermes "), "/home/ubuntu/.hermes");
/// assert_eq!(folder("langgraph"), "/opt/configs");
/// ```
#[must_use]
pub fn folder(runtime: &str) -> &'static str {
    match runtime.trim().to_lowercase().as_str() {
        "hermes" => "/home/ubuntu/.hermes",
        // `langgraph`, `external`, and unknown runtimes.
        _ => "/opt/configs",
    }
}

/// A path relative to a workspace's folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(String);

/// A path that the platform does not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid path")]
#[non_exhaustive]
pub struct InvalidRelPath;

impl std::str::FromStr for RelPath {
    type Err = InvalidRelPath;

    /// Rejects empty paths and `.`, absolute paths, and any `..`, even in `foo..bar`: the platform's rules. In
    /// addition to the platform, it rejects NUL, newlines and paths that are too long.
    fn from_str(text: &str) -> Result<Self, InvalidRelPath> {
        if text.contains("..")
            || text.starts_with('/')
            || text.contains(['\0', '\n'])
            || text.len() > MAX_PATH
        {
            return Err(InvalidRelPath);
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.is_empty() {
            return Err(InvalidRelPath);
        }
        Ok(Self(parts.join("/")))
    }
}

impl RelPath {
    /// Returns the path without `.` and double slashes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct File {
    /// Its path relative to the workspace's folder.
    pub path: RelPath,
    /// Its content.
    pub content: Bytes,
}

impl File {
    /// Returns the file `path` with `content`.
    #[must_use]
    pub fn new(path: RelPath, content: impl Into<Bytes>) -> Self {
        Self { path, content: content.into() }
    }
}

/// Writes `files` below `folder` over the connection of `host`, and returns the result of each in order. A file
/// is either written completely, or it is unchanged and its error says why.
///
/// Files that are not written within `timeout` get [`TransferError::Timeout`]; the platform's limit is
/// [`WRITE_TIMEOUT`]. Error messages are those of the remote's own programs.
pub async fn write_all(
    host: &dyn Host,
    folder: &str,
    files: &[File],
    timeout: Duration,
) -> Vec<Result<(), TransferError>> {
    let deadline = Instant::now() + timeout;
    let there = Files::of(host);
    let with = Attributes::new(FileMode::Exactly(MODE));
    let mut results: Vec<_> = files.iter().map(|_| Err(TransferError::Timeout { after: timeout })).collect();
    let mut numbered = Vec::with_capacity(files.len());
    for (number, file) in files.iter().enumerate() {
        match RemotePath::new(format!("{folder}/{}", file.path.as_str())) {
            Ok(target) => {
                numbered.push((number, Small { target, content: file.content.clone(), attributes: with }));
            }
            Err(error) => results[number] = Err(error.into()),
        }
    }
    let jobs = jobs(numbered, |(_, file)| (file.content.len() as u64, Small::words(&file.target)));
    let writing = stream::iter(jobs).map(async |job| match job {
        Job::Large((number, file)) => {
            let source = Source::Memory(file.content);
            let result = there.put_source(&source, &file.target, with, &|_| {}).await;
            vec![(number, result.map(drop))]
        }
        Job::Small(batch) => {
            let (numbers, batch): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            numbers.into_iter().zip(there.put_small(&batch, &|_| {}).await).collect()
        }
    });
    let mut writing = std::pin::pin!(writing.buffer_unordered(MAX_CHANNELS));
    while let Ok(Some(done)) = timeout_at(deadline, writing.next()).await {
        for (number, result) in done {
            results[number] = result;
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_depends_on_runtime() {
        for (runtime, expected) in [
            ("hermes", "/home/ubuntu/.hermes"),
            ("HERMES", "/home/ubuntu/.hermes"),
            (" Hermes\n", "/home/ubuntu/.hermes"),
            ("langgraph", "/opt/configs"),
            ("external", "/opt/configs"),
            ("", "/opt/configs"),
            ("unknown", "/opt/configs"),
        ] {
            assert_eq!(folder(runtime), expected, "{runtime:?}");
        }
    }

    #[test]
    fn path_rules_match_the_platform() {
        let refused = [
            "../etc/shadow",
            "/etc/shadow",
            "./../../etc",
            "a/../../etc",
            "a/../b",
            "foo..bar",
            "..",
            "",
            ".",
            "./",
            "//x",
            "a\0b",
            "a\nb",
        ];
        for text in refused {
            assert_eq!(text.parse::<RelPath>(), Err(InvalidRelPath), "{text:?}");
        }
        for (text, clean) in [
            ("config.yaml", "config.yaml"),
            ("a/b/c.md", "a/b/c.md"),
            ("./a//b/./c", "a/b/c"),
            ("a/", "a"),
            (".hidden", ".hidden"),
            ("a'b; $(id) `id`", "a'b; $(id) `id`"),
            ("-rf", "-rf"),
        ] {
            assert_eq!(text.parse::<RelPath>().unwrap().as_str(), clean, "{text:?}");
        }
    }
}
