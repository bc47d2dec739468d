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
    entries: Mutex<HashMap<Uuid, Entry>>,
    /// How many there are.
    pub(super) live: watch::Sender<usize>,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self { entries: Mutex::default(), live: watch::channel(0).0 }
    }

    /// Adds one of `owner`'s, if there may be one more of each kind.
    pub(super) fn add(&self, owner: Owner, config: &Config) -> Result<Uuid, OpenError> {
        let mut entries = self.lock();
        if entries.len() >= config.max_sessions {
            return Err(OpenError::Full(config.max_sessions));
        }
        let of = |same: fn(&Owner, &Owner) -> bool| {
            entries.values().filter(|entry| same(&entry.owner, &owner)).count()
        };
        if of(|a, b| a.workspace == b.workspace) >= config.max_per_workspace {
            return Err(OpenError::WorkspaceFull(config.max_per_workspace));
        }
        if of(|a, b| a.user == b.user) >= config.max_per_user {
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
        self.live.send_replace(entries.len());
        Ok(id)
    }

    pub(super) fn remove(&self, id: Uuid) {
        let mut entries = self.lock();
        entries.remove(&id);
        self.live.send_replace(entries.len());
    }

    /// What the task of the session `id` looks at.
    pub(super) fn of(&self, id: Uuid) -> (Arc<Counts>, watch::Receiver<Option<Kill>>) {
        match self.lock().get(&id) {
            Some(entry) => (Arc::clone(&entry.counts), entry.kill.subscribe()),
            None => (Arc::default(), watch::channel(None).1),
        }
    }

    /// Ends the session `id`; whether there was one.
    pub(super) fn kill(&self, id: Uuid, why: Kill) -> bool {
        self.lock().get(&id).is_some_and(|entry| {
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
        let mut list: Vec<_> = self.lock().iter().map(summary).collect();
        list.sort_by_key(|summary| std::cmp::Reverse(summary.age));
        list
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
