//! How many of something may be under way, by a limit that may change meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what is under way.
#[derive(Debug, Default)]
pub(super) struct Quota(AtomicUsize);

/// One that is under way, until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it gives it back"]
pub(super) struct Part<'a>(&'a AtomicUsize);

impl Quota {
    /// One more, unless `max` are under way already.
    pub(super) fn take(&self, max: usize) -> Option<Part<'_>> {
        let one_more = |taken: usize| (taken < max).then_some(taken + 1);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        // Lazily: a part that is made is given back.
        taken.is_ok().then(|| Part(&self.0))
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_taken_and_one_more_when_one_is_given_back() {
        let quota = Quota::default();
        let first = quota.take(2).unwrap();
        let _second = quota.take(2).unwrap();
        assert!(quota.take(2).is_none());
        let _third = quota.take(3).unwrap();
        drop(first);
        assert!(quota.take(2).is_none(), "the limit was lowered");
        assert!(quota.take(3).is_some());
        assert!(Quota::default().take(0).is_none());
    }
}
