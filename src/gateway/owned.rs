//! A bounded map whose entries have owners: when it is full, the owner of the most entries loses one.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// A map of `max` entries, each with an owner and an end.
///
/// An owner cannot displace the entries of another one who has fewer: the largest owner's entry that is nearest to its
/// end makes room, and that owner is the one who fills the map.
#[derive(Debug)]
pub(super) struct Owned<O, K, V> {
    max: usize,
    entries: HashMap<K, Entry<O, V>>,
    /// The keys in the order of their ends.
    ends: BTreeSet<(Instant, K)>,
    owners: HashMap<O, BTreeSet<(Instant, K)>>,
    /// The owners in the order of their number of entries.
    sizes: BTreeSet<(usize, O)>,
}

#[derive(Debug)]
struct Entry<O, V> {
    owner: O,
    until: Instant,
    value: V,
}

impl<O: Copy + Ord + Hash, K: Copy + Ord + Hash, V> Owned<O, K, V> {
    /// A map of at most `max` entries, at least one.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max: max.max(1),
            entries: HashMap::new(),
            ends: BTreeSet::new(),
            owners: HashMap::new(),
            sizes: BTreeSet::new(),
        }
    }

    /// Sets the bound for entries that come from now on, at least one.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max.max(1);
    }

    /// Keeps `value` of `owner` under `key` until `until`.
    pub(super) fn insert(&mut self, owner: O, key: K, value: V, until: Instant, now: Instant) {
        self.take(&key);
        while let Some((_, key)) = self.ends.first().copied().filter(|(end, _)| *end <= now) {
            self.take(&key);
        }
        while self.entries.len() >= self.max
            && let Some(key) = self.first_of_the_largest()
        {
            self.take(&key);
        }
        let keys = self.owners.entry(owner).or_default();
        self.sizes.remove(&(keys.len(), owner));
        keys.insert((until, key));
        self.sizes.insert((keys.len(), owner));
        self.ends.insert((until, key));
        self.entries.insert(key, Entry { owner, until, value });
    }

    /// The value under `key` at `now`.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<&V> {
        self.entries.get(key).filter(|entry| entry.until > now).map(|entry| &entry.value)
    }

    /// Takes out the value under `key` at `now`.
    pub(super) fn remove(&mut self, key: &K, now: Instant) -> Option<V> {
        self.take(key).filter(|entry| entry.until > now).map(|entry| entry.value)
    }

    fn first_of_the_largest(&self) -> Option<K> {
        let (_, owner) = self.sizes.last()?;
        self.owners.get(owner)?.first().map(|(_, key)| *key)
    }

    fn take(&mut self, key: &K) -> Option<Entry<O, V>> {
        let entry = self.entries.remove(key)?;
        self.ends.remove(&(entry.until, *key));
        if let Some(keys) = self.owners.get_mut(&entry.owner) {
            self.sizes.remove(&(keys.len(), entry.owner));
            keys.remove(&(entry.until, *key));
            if keys.is_empty() {
                self.owners.remove(&entry.owner);
            } else {
                self.sizes.insert((keys.len(), entry.owner));
            }
        }
        Some(entry)
    }

    /// How many entries there are, ended ones included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let of_owners: usize = self.owners.values().map(BTreeSet::len).sum();
        let sizes: usize = self.sizes.iter().map(|(size, _)| size).sum();
        assert_eq!([self.entries.len(); 3], [self.ends.len(), of_owners, sizes]);
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_largest_owner_makes_room() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut map = Owned::new(3);
        // The entry nearest to its end is not the largest owner's.
        map.insert("ann", 1, 'a', at(5), now);
        for key in 2..100 {
            map.insert("eve", key, 'e', at(10 + key), now);
            assert!(map.len() <= 3);
        }
        assert_eq!(map.get(&1, now), Some(&'a'));
        assert_eq!((map.get(&97, now), map.get(&98, now), map.get(&99, now)), (None, Some(&'e'), Some(&'e')));
        map.insert("bob", 100, 'b', at(6), now);
        assert_eq!((map.get(&98, now), map.get(&100, now)), (None, Some(&'b')));
    }

    #[test]
    fn ended_entries_go_first() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut map = Owned::new(3);
        map.insert('a', 1, (), at(1), now);
        map.insert('b', 2, (), at(9), now);
        map.insert('b', 3, (), at(9), now);
        map.insert('b', 4, (), at(9), at(2));
        assert_eq!(map.len(), 3);
        assert!(map.get(&2, at(2)).is_some() && map.get(&3, at(2)).is_some() && map.get(&1, now).is_none());
        assert_eq!((map.remove(&2, at(9)), map.remove(&3, at(2)), map.len()), (None, Some(()), 1));
        // The same key again moves its end.
        map.insert('b', 4, (), at(20), now);
        assert_eq!((map.len(), map.get(&4, at(10)).is_some()), (1, true));
    }
}
