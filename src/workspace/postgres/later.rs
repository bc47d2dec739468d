//! Asynchronous, best-effort writes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::error::Error;

/// A bounded queue and the task that empties it, one entry after the other. It ends with the queue.
pub(super) struct Later<T> {
    queue: mpsc::Sender<Entry<T>>,
    losses: Arc<Losses>,
}

enum Entry<T> {
    Write(T),
    /// Answered when all before it is written, or given up.
    Mark(oneshot::Sender<()>),
}

impl<T: Send + 'static> Later<T> {
    /// Writes by `write` what is added; at most `max` wait. `what` they are is for the log.
    pub(super) fn start(
        what: &'static str,
        max: usize,
        write: impl Fn(T) -> BoxFuture<'static, Result<(), Error>> + Send + 'static,
    ) -> Self {
        let (queue, mut entries) = mpsc::channel(max);
        let losses =
            Arc::new(Losses { what, are_reported: AtomicBool::new(false), count: AtomicU64::new(0) });
        tokio::spawn({
            let losses = Arc::clone(&losses);
            async move {
                while let Some(entry) = entries.recv().await {
                    match entry {
                        Entry::Write(entry) => match write(entry).await {
                            Ok(()) => losses.end(),
                            Err(error) => losses.add(&error),
                        },
                        Entry::Mark(mark) => drop(mark.send(())),
                    }
                }
            }
        });
        Self { queue, losses }
    }

    /// Adds `entry`, or loses it when too many wait.
    pub(super) fn add(&self, entry: T) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Entry::Write(entry)) {
            self.losses.add(&Full);
        }
    }

    /// Waits until all that was added before is written, or given up.
    pub(super) async fn settle(&self) {
        let (mark, marked) = oneshot::channel();
        if self.queue.send(Entry::Mark(mark)).await.is_ok() {
            let _ = marked.await;
        }
    }
}

impl<T> fmt::Debug for Later<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").field("what", &self.losses.what).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("too many wait to be written")]
struct Full;

/// Entries that were lost. An outage is logged once, not for each entry.
struct Losses {
    what: &'static str,
    are_reported: AtomicBool,
    count: AtomicU64,
}

impl Losses {
    fn add(&self, error: &(dyn std::error::Error + 'static)) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.are_reported.swap(true, Ordering::Relaxed) {
            tracing::debug!(error, "{} are not written", self.what);
        } else {
            tracing::warn!(error, "{} are not written to the database; terminals go on", self.what);
        }
    }

    fn end(&self) {
        if self.are_reported.swap(false, Ordering::Relaxed) {
            let lost = self.count.swap(0, Ordering::Relaxed);
            tracing::info!(lost, "{} are written to the database again", self.what);
        }
    }
}
