//! Diagnoses under way: one for a workspace at a time, shared by all who ask for it meanwhile.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::workspace::WorkspaceId;

/// What became of a diagnosis.
#[derive(Clone, Debug)]
pub(super) enum Diagnosed {
    /// The report, as JSON.
    Report(Bytes),
    /// The connector has no way to diagnose such a target.
    Unable,
    /// It did not end in its time.
    Late,
}

/// A walk through the stages of connecting. It goes on while somebody waits for it, and is abandoned with the last.
pub(super) type Walk = BoxFuture<'static, Diagnosed>;

/// The walks that somebody waits for.
#[derive(Default)]
pub(super) struct Diagnoses {
    under_way: Mutex<HashMap<WorkspaceId, WeakShared<Walk>>>,
}

impl Diagnoses {
    /// The walk for `workspace` that is under way, else a new one that `begin` makes; `None` when `max` are under way
    /// already.
    pub(super) fn join(
        &self,
        workspace: WorkspaceId,
        max: usize,
        begin: impl FnOnce() -> Walk,
    ) -> Option<Shared<Walk>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever asks after a walk has ended wants to know what is now.
        under_way.retain(|_, walk| walk.upgrade().is_some_and(|walk| walk.peek().is_none()));
        if let Some(walk) = under_way.get(&workspace).and_then(WeakShared::upgrade) {
            return Some(walk);
        }
        if under_way.len() >= max {
            return None;
        }
        let walk = begin().shared();
        under_way.extend(walk.downgrade().map(|weak| (workspace, weak)));
        Some(walk)
    }

    /// How many wait for the walk for `workspace`.
    #[cfg(test)]
    pub(super) fn waiting(&self, workspace: WorkspaceId) -> usize {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let walk = under_way.get(&workspace).and_then(WeakShared::upgrade);
        // Less the one that asks here.
        walk.and_then(|walk| walk.strong_count()).map_or(0, |waiting| waiting - 1)
    }
}

impl fmt::Debug for Diagnoses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diagnoses").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_walk_is_shared_until_it_ends_and_dropped_with_its_last_waiter() {
        let diagnoses = Diagnoses::default();
        let begun = Arc::new(AtomicUsize::new(0));
        let (mine, other, third) = (WorkspaceId::random(), WorkspaceId::random(), WorkspaceId::random());
        let held = Arc::new(());
        let endless = || -> Walk {
            begun.fetch_add(1, Ordering::Relaxed);
            let held = Arc::clone(&held);
            Box::pin(async move {
                std::future::pending::<()>().await;
                drop(held);
                Diagnosed::Late
            })
        };
        let first = diagnoses.join(mine, 2, endless).unwrap();
        let second = diagnoses.join(mine, 2, endless).unwrap();
        let _other = diagnoses.join(other, 2, endless).unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), 2, "one for each workspace");
        assert!(diagnoses.join(third, 2, endless).is_none(), "as many as may be");
        drop(first);
        assert_eq!(Arc::strong_count(&held), 3, "the second still waits");
        drop(second);
        assert_eq!(Arc::strong_count(&held), 2, "abandoned with its last waiter");

        let brief = || -> Walk { Box::pin(std::future::ready(Diagnosed::Unable)) };
        let ended = diagnoses.join(third, 2, brief).unwrap();
        assert!(matches!(ended.clone().await, Diagnosed::Unable));
        let _anew = diagnoses.join(third, 2, endless).unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), 3, "one that has ended is not shared");
    }
}
