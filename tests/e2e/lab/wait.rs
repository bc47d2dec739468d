//! Waiting for what tells nobody: a process that is gone, a line in a log.

use std::thread;
use std::time::{Duration, Instant};

/// How long an event may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// How often it is looked at what cannot be waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until `look` has something, and returns it; fails after 20 s, telling `what` was waited for.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(DEADLINE, what, look)
}

/// The same within `deadline`.
#[track_caller]
pub(crate) fn eventually_within<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        thread::sleep(LOOK_EVERY);
    }
}
