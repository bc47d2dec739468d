//! The emulator's clock: the system's clock with an offset.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use eice_proto::Timestamp;
use tokio::sync::watch;

/// The emulator's clock. Moving it expires keys, signatures and tunnels at once, without waiting.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The offset in milliseconds.
    shift: Arc<watch::Sender<i64>>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { shift: Arc::new(watch::channel(0).0) }
    }
}

impl Clock {
    /// Returns the emulator's current time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        shifted(SystemTime::now(), *self.shift.borrow())
    }

    /// Moves the clock forward by `by`.
    pub fn advance(&self, by: Duration) {
        self.shift.send_modify(|shift| *shift = shift.saturating_add(millis(by)));
    }

    /// Moves the clock back by `by`, as if the client's clock were ahead.
    pub fn rewind(&self, by: Duration) {
        self.shift.send_modify(|shift| *shift = shift.saturating_sub(millis(by)));
    }

    /// Resets to the system's clock.
    pub fn reset(&self) {
        self.shift.send_replace(0);
    }

    /// Returns the seconds since 1970.
    pub(super) fn unix(&self) -> u64 {
        self.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// Resolves when the clock reaches `deadline`, by the passage of time or by being moved.
    pub(super) async fn reach(&self, deadline: SystemTime) {
        let mut shift = self.shift.subscribe();
        loop {
            shift.borrow_and_update();
            let Ok(left) = deadline.duration_since(self.now()) else { return };
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                _ = shift.changed() => {}
            }
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn shifted(time: SystemTime, shift: i64) -> SystemTime {
    let by = Duration::from_millis(shift.unsigned_abs());
    let moved = if shift < 0 { time.checked_sub(by) } else { time.checked_add(by) };
    moved.unwrap_or(time)
}

/// Formats `seconds` since 1970 as `2023-02-07T12:05:37Z`.
pub(super) fn iso8601(seconds: u64) -> String {
    Timestamp::from_unix(seconds).rfc3339()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso8601_matches_aws_format() {
        assert_eq!(iso8601(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso8601(1_675_771_537), "2023-02-07T12:05:37Z");
        assert_eq!(iso8601(1_709_164_799), "2024-02-28T23:59:59Z");
        assert_eq!(iso8601(1_709_164_800), "2024-02-29T00:00:00Z");
        assert_eq!(iso8601(1_735_689_599), "2024-12-31T23:59:59Z");
    }

    #[tokio::test]
    async fn advance_reaches_deadline() {
        let clock = Clock::default();
        let deadline = clock.now() + Duration::from_secs(3600);
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.reach(deadline).await }
        });
        clock.advance(Duration::from_secs(3601));
        tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
        clock.reset();
        assert!(clock.now() < deadline);
    }
}
