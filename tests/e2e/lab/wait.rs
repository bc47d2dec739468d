//! Waiting for what sends no event: a process that is gone, a line in a log. Every wait has a bound.

use std::thread;
use std::time::{Duration, Instant};

/// How long an event may take.
pub(super) const WAIT_TIMEOUT: Duration = Duration::from_secs(20);
/// The pause between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Calls `look` until it returns something, or until `timeout` has passed.
pub(crate) fn poll<T>(timeout: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// The same without blocking the runtime's thread, for what the runtime itself has to finish.
pub(crate) async fn poll_async<T>(timeout: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(found) = look().await {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Waits until `look` returns something; panics after 20 s with `what` was waited for.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(WAIT_TIMEOUT, what, look)
}

/// The same within `timeout`.
#[track_caller]
pub(crate) fn eventually_within<T>(timeout: Duration, what: &str, look: impl FnMut() -> Option<T>) -> T {
    poll(timeout, look).unwrap_or_else(|| panic!("not within {timeout:?}: {what}"))
}
