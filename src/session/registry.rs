//! The live sessions, by id: whose they are, what they carry, and how to end one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::watch;
use uuid::Uuid;

use super::{Config, Kill, OpenError};

/// Whose a session is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The workspace, as logs name it: its id.
    pub workspace: String,
    /// The user, as logs name them; no secret.
    pub user: String,
}

impl Owner {
    /// `user` in `workspace`.
    #[must_use]
    pub fn new(workspace: impl Into<String>, user: impl Into<String>) -> Self {
        Self { workspace: workspace.into(), user: user.into() }
    }
}

/// Bytes each way.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) input: AtomicU64,
    pub(super) output: AtomicU64,
}

/// A live session as it is listed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub owner: Owner,
    /// When it was opened.
    pub opened_at: SystemTime,
    /// How long ago that was, by a clock that is never set.
    pub age: std::time::Duration,
    /// Bytes that were typed.
    pub input_bytes: u64,
    /// Bytes that were said.
    pub output_bytes: u64,
}

/// What is kept of a live session.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) owner: Owner,
    opened_at: SystemTime,
    began: Instant,
    pub(super) counts: Arc<Counts>,
    kill: watch::Sender<Option<Kill>>,
}

/// All of them. A place that is kept for a session counts as one already.
#[derive(Debug)]
pub(super) struct Registry {
    entries: Mutex<Entries>,
    /// How many there are.
    pub(super) live: watch::Sender<usize>,
}

/// The sessions, and how many each workspace and each user has: a limit is checked without a scan.
#[derive(Debug, Default)]
struct Entries {
    by_id: HashMap<Uuid, Entry>,
    per_workspace: HashMap<String, usize>,
    per_user: HashMap<String, usize>,
}

impl Entries {
    fn insert(&mut self, id: Uuid, entry: Entry) {
        let Owner { workspace, user } = entry.owner.clone();
        *self.per_workspace.entry(workspace).or_default() += 1;
        *self.per_user.entry(user).or_default() += 1;
        self.by_id.insert(id, entry);
    }

    fn remove(&mut self, id: Uuid) {
        let Some(Entry { owner, .. }) = self.by_id.remove(&id) else { return };
        decrement(&mut self.per_workspace, &owner.workspace);
        decrement(&mut self.per_user, &owner.user);
    }
}

/// Takes one off the count of `key`, and `key` out with the last one.
fn decrement(counts: &mut HashMap<String, usize>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Registry {
    pub(super) fn new() -> Self {
        Self { entries: Mutex::default(), live: watch::channel(0).0 }
    }

    /// Adds one of `owner`'s, if there may be one more of each kind.
    pub(super) fn add(&self, owner: Owner, config: &Config) -> Result<Uuid, OpenError> {
        let mut entries = self.lock();
        if entries.by_id.len() >= config.max_sessions {
            return Err(OpenError::Full(config.max_sessions));
        }
        let count = |counts: &HashMap<String, usize>, key: &str| counts.get(key).copied().unwrap_or_default();
        if count(&entries.per_workspace, &owner.workspace) >= config.max_per_workspace {
            return Err(OpenError::WorkspaceFull(config.max_per_workspace));
        }
        if count(&entries.per_user, &owner.user) >= config.max_per_user {
            return Err(OpenError::UserFull(config.max_per_user));
        }
        let id = Uuid::new_v4();
        let entry = Entry {
            owner,
            opened_at: SystemTime::now(),
            began: Instant::now(),
            counts: Arc::default(),
            kill: watch::channel(None).0,
        };
        entries.insert(id, entry);
        self.live.send_replace(entries.by_id.len());
        Ok(id)
    }

    pub(super) fn remove(&self, id: Uuid) {
        let mut entries = self.lock();
        entries.remove(id);
        self.live.send_replace(entries.by_id.len());
    }

    /// What the task of the session `id` looks at.
    pub(super) fn of(&self, id: Uuid) -> (Arc<Counts>, watch::Receiver<Option<Kill>>) {
        match self.lock().by_id.get(&id) {
            Some(entry) => (Arc::clone(&entry.counts), entry.kill.subscribe()),
            None => (Arc::default(), watch::channel(None).1),
        }
    }

    /// Ends the session `id`; whether there was one.
    pub(super) fn kill(&self, id: Uuid, why: Kill) -> bool {
        self.lock().by_id.get(&id).is_some_and(|entry| {
            entry.kill.send_replace(Some(why));
            true
        })
    }

    pub(super) fn list(&self) -> Vec<Summary> {
        let summary = |(id, entry): (&Uuid, &Entry)| Summary {
            id: *id,
            owner: entry.owner.clone(),
            opened_at: entry.opened_at,
            age: entry.began.elapsed(),
            input_bytes: entry.counts.input.load(Ordering::Relaxed),
            output_bytes: entry.counts.output.load(Ordering::Relaxed),
        };
        let mut list: Vec<_> = self.lock().by_id.iter().map(summary).collect();
        list.sort_by_key(|summary| std::cmp::Reverse(summary.age));
        list
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_follow_the_sessions() {
        let registry = Registry::new();
        let config = Config { max_per_workspace: 2, max_per_user: 2, ..Config::default() };
        let add = |workspace: &str, user: &str| registry.add(Owner::new(workspace, user), &config);
        let first = add("a", "ann").unwrap();
        let second = add("a", "ann").unwrap();
        assert_eq!(add("a", "bob").unwrap_err(), OpenError::WorkspaceFull(2));
        assert_eq!(add("b", "ann").unwrap_err(), OpenError::UserFull(2));
        registry.remove(first);
        // The same id again takes nothing off.
        registry.remove(first);
        let third = add("a", "bob").unwrap();
        assert_eq!(add("a", "cid").unwrap_err(), OpenError::WorkspaceFull(2));
        registry.remove(second);
        registry.remove(third);
        let entries = registry.lock();
        assert!(entries.by_id.is_empty() && entries.per_workspace.is_empty() && entries.per_user.is_empty());
    }
}
