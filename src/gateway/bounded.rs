//! A bounded map with expiry.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// A map of at most `max` entries with expiry: when full, the entry nearest to its expiry is evicted.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    max: usize,
    entries: HashMap<K, (Instant, V)>,
    /// The keys by expiry.
    ends: BTreeSet<(Instant, K)>,
}

impl<K: Copy + Ord + Hash, V> Bounded<K, V> {
    /// Returns a map of at most `max` entries, at least one.
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), entries: HashMap::new(), ends: BTreeSet::new() }
    }

    /// Inserts `value` for `key` until `until`, replacing an earlier one.
    pub(super) fn insert(&mut self, key: K, value: V, until: Instant) {
        self.take(&key);
        while self.entries.len() >= self.max
            && let Some((_, first)) = self.ends.pop_first()
        {
            self.entries.remove(&first);
        }
        self.ends.insert((until, key));
        self.entries.insert(key, (until, value));
    }

    /// Returns the value for `key` and its expiry, if that is after `now`.
    pub(super) fn entry(&mut self, key: &K, now: Instant) -> Option<(Instant, &mut V)> {
        self.entries.get_mut(key).filter(|(until, _)| *until > now).map(|(until, value)| (*until, value))
    }

    /// Returns the value for `key` at `now`.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<&V> {
        self.entries.get(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    /// Removes and returns the value for `key` at `now`.
    pub(super) fn remove(&mut self, key: &K, now: Instant) -> Option<V> {
        self.take(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    /// Removes every entry.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.ends.clear();
    }

    fn take(&mut self, key: &K) -> Option<(Instant, V)> {
        let taken = self.entries.remove(key)?;
        self.ends.remove(&(taken.0, *key));
        Some(taken)
    }

    /// Returns the number of entries, expired ones included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.ends.len());
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn entry_nearest_to_expiry_is_evicted() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut map = Bounded::new(2);
        map.insert('a', 1, at(10));
        map.insert('b', 2, at(5));
        assert_eq!((map.get(&'a', now), map.get(&'b', at(5))), (Some(&1), None));
        map.insert('c', 3, at(7));
        assert_eq!((map.get(&'a', now), map.get(&'b', now), map.get(&'c', now)), (Some(&1), None, Some(&3)));
        // The same key again evicts nothing, and moves its expiry.
        map.insert('c', 4, at(20));
        map.insert('d', 5, at(30));
        assert_eq!((map.get(&'a', now), map.get(&'c', now), map.get(&'d', now)), (None, Some(&4), Some(&5)));
        assert_eq!((map.remove(&'c', at(20)), map.remove(&'d', now), map.len()), (None, Some(5), 0));
    }

    #[test]
    fn limit_is_at_least_one() {
        let now = Instant::now();
        let mut map = Bounded::new(0);
        for n in 0..1000 {
            map.insert(n, (), now + Duration::from_secs(1));
            assert_eq!(map.len(), 1);
        }
        map.clear();
        assert_eq!(map.len(), 0);
    }
}
