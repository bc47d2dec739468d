//! The channels of one connection, no more of them at a time than it bears.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use super::Error;
use crate::model::{Fault, Host, Stage, StageError, Terminal, TerminalRequest};

/// How many commands run at a time on one connection. OpenSSH allows ten sessions on one (`MaxSessions`), and a
/// command in a container takes two.
pub const MAX_CHANNELS: usize = 4;

/// How long a refused channel is asked for again when no other is open that could make room.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is asked for.
const REFUSED_RETRY: Duration = Duration::from_millis(50);

/// A way to open channels that learns, from refusals, how many there may be.
pub(super) struct Lanes {
    free: Semaphore,
    limit: AtomicUsize,
}

/// The right to one open channel, given back when dropped.
pub(super) struct Lane<'a>(#[allow(dead_code, reason = "held, not read")] SemaphorePermit<'a>);

impl Lanes {
    pub(super) fn new() -> Self {
        Self { free: Semaphore::new(MAX_CHANNELS), limit: AtomicUsize::new(MAX_CHANNELS) }
    }

    /// Opens a channel for `request` as soon as there is room for it.
    pub(super) async fn open(
        &self,
        host: &dyn Host,
        request: &TerminalRequest,
    ) -> Result<(Terminal, Lane<'_>), Error> {
        let mut refused_since = None;
        loop {
            // Never closed, so that this cannot fail.
            let Ok(permit) = self.free.acquire().await else { continue };
            match host.open_terminal(request, &|_| {}).await {
                Ok(terminal) => return Ok((terminal, Lane(permit))),
                Err(error) if is_refusal(&error) => {
                    let held =
                        self.limit.load(Ordering::Relaxed).saturating_sub(self.free.available_permits());
                    let others = held.saturating_sub(1);
                    if others > 0 {
                        // It bears fewer than we thought: one of the others makes room.
                        self.limit.fetch_sub(1, Ordering::Relaxed);
                        permit.forget();
                        tracing::debug!(%error, "a channel waits for another to end");
                        continue;
                    }
                    if refused_since.get_or_insert_with(Instant::now).elapsed() > REFUSED_TIMEOUT {
                        return Err(Error::Open(error));
                    }
                    drop(permit);
                    sleep(REFUSED_RETRY).await;
                }
                Err(error) => return Err(Error::Open(error)),
            }
        }
    }
}

/// Whether the server has no room for one more session.
fn is_refusal(error: &StageError) -> bool {
    error.stage() == Stage::Channel && error.fault() == Fault::Quota
}
