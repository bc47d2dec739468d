//! A token bucket.

use std::time::Instant;

/// A rate with a burst of twice its value.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    per_second: f64,
    tokens: f64,
    last: Instant,
}

impl Rate {
    /// Returns a bucket for `per_second` events on average.
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, tokens: per_second * 2.0, last: Instant::now() }
    }

    /// Takes a token. Returns whether there was one.
    pub(super) fn take(&mut self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = self.last.max(now);
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second * 2.0);
        let may = self.tokens >= 1.0;
        if may {
            self.tokens -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rate_allows_bursts_and_recovers() {
        let mut rate = Rate::new(10);
        let now = rate.last;
        assert_eq!((0..30).filter(|_| rate.take_at(now)).count(), 20);
        let later = now + Duration::from_millis(500);
        assert_eq!((0..30).filter(|_| rate.take_at(later)).count(), 5);
        let much_later = now + Duration::from_secs(3600);
        assert_eq!((0..30).filter(|_| rate.take_at(much_later)).count(), 20, "the bucket holds one burst");
    }
}
