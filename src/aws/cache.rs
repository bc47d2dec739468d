//! A small map with expiring entries.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Holds at most `max_entries` values, each for `ttl`.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    ttl: Duration,
    max_entries: usize,
    entries: Mutex<HashMap<K, (Instant, V)>>,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    pub(super) fn new(ttl: Duration, max_entries: usize) -> Self {
        Self { ttl, max_entries, entries: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (Instant, V)>> {
        // Every change is one insert or remove, so a panicking thread cannot leave it half done.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the value of `key` unless it has expired.
    pub(super) fn find(&self, key: &K, now: Instant) -> Option<V> {
        let entries = self.lock();
        let (stored, value) = entries.get(key)?;
        (now.saturating_duration_since(*stored) < self.ttl).then(|| value.clone())
    }

    /// Stores `value`. When the cache is full, evicts expired entries, then the oldest.
    pub(super) fn insert(&self, key: K, value: V, now: Instant) {
        let mut entries = self.lock();
        if entries.len() >= self.max_entries && !entries.contains_key(&key) {
            entries.retain(|_, (stored, _)| now.saturating_duration_since(*stored) < self.ttl);
            if entries.len() >= self.max_entries
                && let Some(oldest) =
                    entries.iter().min_by_key(|(_, (stored, _))| *stored).map(|(key, _)| key.clone())
            {
                entries.remove(&oldest);
            }
        }
        entries.insert(key, (now, value));
    }

    /// Removes `key`.
    pub(super) fn remove(&self, key: &K) {
        self.lock().remove(key);
    }

    /// Removes every entry for which `is_stale` returns true.
    pub(super) fn remove_if(&self, is_stale: impl Fn(&K, &V) -> bool) {
        self.lock().retain(|key, (_, value)| !is_stale(key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_expires_and_oldest_is_evicted() {
        let cache = Cache::new(Duration::from_secs(10), 2);
        let start = Instant::now();
        let after = |secs| start + Duration::from_secs(secs);
        cache.insert("a", 1, start);
        cache.insert("b", 2, after(1));
        assert_eq!(cache.find(&"a", after(9)), Some(1));
        assert_eq!(cache.find(&"a", after(10)), None);
        cache.insert("c", 3, after(2));
        assert_eq!(cache.find(&"a", after(2)), None, "the oldest is evicted");
        assert_eq!(cache.find(&"b", after(2)), Some(2));
        cache.remove(&"b");
        assert_eq!(cache.find(&"b", after(2)), None);
        cache.remove_if(|key, _| *key == "c");
        assert_eq!(cache.find(&"c", after(2)), None);
    }
}
