//! Limits the channels open at once on one SSH connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use super::TransferError;
use crate::model::{Fault, Host, Stage, StageError, Terminal, TerminalRequest};

/// The most commands at once on one connection. OpenSSH allows ten sessions on one (`MaxSessions`), and a
/// command in a container takes two.
pub const MAX_CHANNELS: usize = 4;

/// How long a refused channel is retried when no other open channel could free capacity.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(10);

/// The retry interval.
const REFUSED_RETRY: Duration = Duration::from_millis(50);

/// Opens channels within a limit that decreases when the server refuses one.
pub(super) struct ChannelLimiter {
    free: Semaphore,
    limit: AtomicUsize,
}

/// A permit for one open channel, returned on drop.
pub(super) struct ChannelPermit<'a>(#[allow(dead_code, reason = "held, not read")] SemaphorePermit<'a>);

impl ChannelLimiter {
    pub(super) fn new() -> Self {
        Self { free: Semaphore::new(MAX_CHANNELS), limit: AtomicUsize::new(MAX_CHANNELS) }
    }

    /// Opens a channel for `request` as soon as one is available.
    pub(super) async fn open(
        &self,
        host: &dyn Host,
        request: &TerminalRequest,
    ) -> Result<(Terminal, ChannelPermit<'_>), TransferError> {
        let mut refused_since = None;
        loop {
            // The semaphore is never closed, so this cannot fail.
            let Ok(permit) = self.free.acquire().await else { continue };
            match host.open_terminal(request, &|_| {}).await {
                Ok(terminal) => return Ok((terminal, ChannelPermit(permit))),
                Err(error) if is_refusal(&error) => {
                    let held =
                        self.limit.load(Ordering::Relaxed).saturating_sub(self.free.available_permits());
                    let others = held.saturating_sub(1);
                    if others > 0 {
                        // The server allows fewer channels than assumed: wait for one of the others to close.
                        self.limit.fetch_sub(1, Ordering::Relaxed);
                        permit.forget();
                        tracing::debug!(%error, "a channel waits for another to end");
                        continue;
                    }
                    if refused_since.get_or_insert_with(Instant::now).elapsed() > REFUSED_TIMEOUT {
                        return Err(TransferError::Open(error));
                    }
                    drop(permit);
                    sleep(REFUSED_RETRY).await;
                }
                Err(error) => return Err(TransferError::Open(error)),
            }
        }
    }
}

/// Returns whether the server refused one more session.
fn is_refusal(error: &StageError) -> bool {
    error.stage() == Stage::Channel && error.fault() == Fault::Quota
}
