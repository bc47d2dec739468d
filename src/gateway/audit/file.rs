//! The audit file: one writer on its own thread, so that a slow disk blocks nothing else.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;

use crate::telemetry::Escaped;
use crate::telemetry::metrics::Metrics;

/// The most records that wait for the disk; further ones are dropped and counted.
const QUEUE: usize = 1024;

/// A file of audit records, one JSON object per line.
#[derive(Debug)]
pub struct AuditFile {
    path: PathBuf,
    file: Escaped<File>,
    /// The last line may have been written in part.
    is_torn: bool,
}

impl AuditFile {
    /// Opens the file at `path` for appending, or creates it, readable by its owner only.
    ///
    /// # Errors
    /// The file cannot be opened or created.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self { path: path.to_owned(), file: Escaped::new(file), is_torn: false })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.file.write_all(b"\n")?;
        }
        self.is_torn = true;
        self.file.write_all(line)?;
        self.is_torn = false;
        Ok(())
    }
}

enum Job {
    /// A line; the sender receives whether it was written.
    Line(Vec<u8>, Option<oneshot::Sender<bool>>),
    /// Later lines go into this file.
    File(AuditFile),
    /// Replies when everything before it was written.
    Flush(oneshot::Sender<bool>),
}

/// The sender to the writer thread, which ends with the last sender.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: SyncSender<Job>,
    metrics: Metrics,
}

impl Writer {
    /// Starts a writer to `file`.
    pub(super) fn start(file: AuditFile, metrics: Metrics) -> io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE);
        let counted = metrics.clone();
        let work = move || run(file, &queue, &counted);
        std::thread::Builder::new().name("audit".into()).spawn(work)?;
        Ok(Self { jobs, metrics })
    }

    /// Switches to `file` for later lines. Returns whether the writer is still running.
    pub(super) fn switch(&self, file: AuditFile) -> bool {
        // Waits for room: no session depends on this, and the file must not be lost.
        self.jobs.send(Job::File(file)).is_ok()
    }

    /// Queues `line`.
    pub(super) fn write(&self, line: Vec<u8>) {
        self.push(Job::Line(line, None));
    }

    /// Queues `line` and returns a receiver of whether it was written.
    pub(super) fn write_and_tell(&self, line: Vec<u8>) -> oneshot::Receiver<bool> {
        let (tell, written) = oneshot::channel();
        self.push(Job::Line(line, Some(tell)));
        written
    }

    /// Returns a receiver that resolves when everything queued so far was written or dropped.
    pub(super) fn flush(&self) -> oneshot::Receiver<bool> {
        let (tell, flushed) = oneshot::channel();
        self.push(Job::Flush(tell));
        flushed
    }

    fn push(&self, job: Job) {
        if let Err(TrySendError::Full(Job::Line(..)) | TrySendError::Disconnected(Job::Line(..))) =
            self.jobs.try_send(job)
        {
            self.metrics.audit_records.with_label_values(&["dropped"]).inc();
        }
    }
}

fn run(mut file: AuditFile, queue: &Receiver<Job>, metrics: &Metrics) {
    let mut fails = false;
    while let Ok(job) = queue.recv() {
        match job {
            Job::Line(line, tell) => {
                let written = file.append(&line);
                let outcome = if written.is_ok() { "written" } else { "failed" };
                metrics.audit_records.with_label_values(&[outcome]).inc();
                match &written {
                    Err(error) if !fails => {
                        tracing::error!(%error, path = %file.path.display(), "the audit file cannot be written");
                    }
                    Ok(()) if fails => {
                        tracing::info!(path = %file.path.display(), "the audit file can be written again")
                    }
                    _ => {}
                }
                fails = written.is_err();
                if let Some(tell) = tell {
                    let _ = tell.send(written.is_ok());
                }
            }
            Job::File(next) => file = next,
            Job::Flush(tell) => {
                let _ = tell.send(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn counted(metrics: &Metrics, outcome: &str) -> u64 {
        metrics.audit_records.with_label_values(&[outcome]).get()
    }

    #[test]
    fn file_is_private_and_follows_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let metrics = Metrics::new();
        let writer = Writer::start(AuditFile::open(&path).unwrap(), metrics.clone()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        writer.write(b"one\x1b\n".to_vec());
        assert!(writer.write_and_tell(b"two\n".to_vec()).blocking_recv().unwrap());
        // As logrotate does: the file is renamed, then opened again.
        let old = dir.path().join("audit.log.1");
        std::fs::rename(&path, &old).unwrap();
        writer.write(b"three\n".to_vec());
        assert!(writer.switch(AuditFile::open(&path).unwrap()));
        writer.write(b"four\n".to_vec());
        assert!(writer.flush().blocking_recv().unwrap());
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "one\\u001b\ntwo\nthree\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "four\n");
        assert_eq!(counted(&metrics, "written"), 4);
    }

    #[test]
    fn full_disk_is_counted_and_survived() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Metrics::new();
        let full = AuditFile::open(Path::new("/dev/full")).unwrap();
        let writer = Writer::start(full, metrics.clone()).unwrap();
        assert!(!writer.write_and_tell(b"lost\n".to_vec()).blocking_recv().unwrap());
        assert_eq!((counted(&metrics, "failed"), counted(&metrics, "written")), (1, 0));
        let path = dir.path().join("audit.log");
        assert!(writer.switch(AuditFile::open(&path).unwrap()));
        assert!(writer.write_and_tell(b"kept\n".to_vec()).blocking_recv().unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept\n");
    }

    #[test]
    fn partial_line_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let mut file = AuditFile::open(&path).unwrap();
        file.append(b"{\"half\":").unwrap();
        file.is_torn = true;
        file.append(b"{}\n").unwrap();
        file.append(b"{}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"half\":\n{}\n{}\n");
    }
}
