//! Concurrency limits with a share for each key: a user, a workspace, a peer.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::workspace::WorkspaceId;

/// Who has a share of what a workspace's requests take.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Party {
    /// A user, by the name in the log.
    User(String),
    Workspace(WorkspaceId),
}

/// Which limit a request ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// The one for everybody.
    Total,
    /// The share of the key with this index.
    Share(usize),
}

/// Counts what is in progress: in total and by key. Cheap to clone; the clones share the counts.
pub(super) struct Shares<K> {
    counts: Arc<Mutex<Counts<K>>>,
}

struct Counts<K> {
    total: usize,
    by_key: HashMap<K, usize>,
}

/// A part of the limit; dropping it gives it back.
#[must_use = "dropping it gives it back"]
pub(super) struct Permit<K: Eq + Hash> {
    shares: Shares<K>,
    keys: Vec<K>,
    amount: usize,
}

impl<K: Eq + Hash> Shares<K> {
    /// Takes one, unless that would exceed `total`, or the limit of one of the keys.
    pub(super) fn take<const N: usize>(
        &self,
        total: usize,
        keys: [(K, usize); N],
    ) -> Result<Permit<K>, Exceeded>
    where
        K: Clone,
    {
        self.take_many(1, total, keys)
    }

    /// Takes `amount` at once, all of it or nothing.
    pub(super) fn take_many<const N: usize>(
        &self,
        amount: usize,
        total: usize,
        keys: [(K, usize); N],
    ) -> Result<Permit<K>, Exceeded>
    where
        K: Clone,
    {
        let mut counts = self.lock();
        for (index, (key, max)) in keys.iter().enumerate() {
            let taken = counts.by_key.get(key).copied().unwrap_or_default();
            if taken.saturating_add(amount) > *max {
                return Err(Exceeded::Share(index));
            }
        }
        if counts.total.saturating_add(amount) > total {
            return Err(Exceeded::Total);
        }
        counts.total += amount;
        let keys: Vec<K> = keys.into_iter().map(|(key, _)| key).collect();
        for key in &keys {
            *counts.by_key.entry(key.clone()).or_default() += amount;
        }
        drop(counts);
        Ok(Permit { shares: self.clone(), keys, amount })
    }

    fn lock(&self) -> MutexGuard<'_, Counts<K>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much is taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.lock().total
    }
}

impl<K> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self { counts: Arc::clone(&self.counts) }
    }
}

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self { counts: Arc::new(Mutex::new(Counts { total: 0, by_key: HashMap::new() })) }
    }
}

impl<K> fmt::Debug for Shares<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares").finish_non_exhaustive()
    }
}

impl<K: Eq + Hash> fmt::Debug for Permit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("amount", &self.amount).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash> Permit<K> {
    /// Makes one permit of two for the same keys.
    pub(super) fn absorb(&mut self, mut other: Self) {
        debug_assert!(self.keys == other.keys, "the same keys");
        self.amount += std::mem::take(&mut other.amount);
    }
}

impl<K: Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut counts = self.shares.lock();
        counts.total -= self.amount;
        for key in &self.keys {
            if let Some(taken) = counts.by_key.get_mut(key) {
                *taken -= self.amount;
                if *taken == 0 {
                    counts.by_key.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gets_its_share_and_others_theirs() {
        let shares = Shares::default();
        let take = |user, workspace| shares.take(3, [(user, 2), (workspace, 2)]);
        let first = take("ann", "w").unwrap();
        let _second = take("ann", "x").unwrap();
        assert_eq!(take("ann", "y").unwrap_err(), Exceeded::Share(0));
        let _third = take("bob", "w").unwrap();
        assert_eq!(take("cid", "w").unwrap_err(), Exceeded::Share(1));
        assert_eq!(take("cid", "z").unwrap_err(), Exceeded::Total);
        drop(first);
        assert!(take("cid", "w").is_ok());
        assert_eq!(shares.take(0, [("cid", 1)]).unwrap_err(), Exceeded::Total);
    }

    #[test]
    fn amounts_add_up_and_nothing_is_left() {
        let shares = Shares::default();
        let mut permit = shares.take_many(5, 10, [('a', 6)]).unwrap();
        assert_eq!(shares.take_many(2, 10, [('a', 6)]).unwrap_err(), Exceeded::Share(0));
        permit.absorb(shares.take_many(1, 10, [('a', 6)]).unwrap());
        assert_eq!(shares.take_many(5, 10, [('b', 6)]).unwrap_err(), Exceeded::Total);
        assert_eq!(shares.taken(), 6);
        drop(permit);
        assert_eq!(shares.taken(), 0);
        assert!(shares.lock().by_key.is_empty());
    }
}
