//! Diagnoses under way: one for a workspace at a time, shared by all who ask for it meanwhile.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::shares::{Exceeded, Shares};
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

/// A diagnosis in progress. It runs while a caller waits for it, and is dropped with the last.
pub(super) type Walk = BoxFuture<'static, Diagnosed>;

/// The diagnoses in progress.
#[derive(Default)]
pub(super) struct Diagnoses {
    under_way: Mutex<HashMap<WorkspaceId, WeakShared<Walk>>>,
    /// The same, by the user who started each.
    started: Shares<String>,
}

impl Diagnoses {
    /// Returns the walk for `workspace` that is in progress, else a new one of `user` from `begin`.
    ///
    /// # Errors
    /// [`Exceeded`] when `max` are in progress, or `max_per_user` of the user's.
    pub(super) fn join(
        &self,
        workspace: WorkspaceId,
        user: &str,
        (max, max_per_user): (usize, usize),
        begin: impl FnOnce() -> Walk,
    ) -> Result<Shared<Walk>, Exceeded> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // A later request wants the current state.
        under_way.retain(|_, walk| walk.upgrade().is_some_and(|walk| walk.peek().is_none()));
        if let Some(walk) = under_way.get(&workspace).and_then(WeakShared::upgrade) {
            return Ok(walk);
        }
        let permit = self.started.take(max, [(user.to_owned(), max_per_user)])?;
        let walk = begin();
        // The walk is its starter's until it ends, even if only others still wait for it.
        let walk: Walk = Box::pin(async move {
            let diagnosed = walk.await;
            drop(permit);
            diagnosed
        });
        let walk = walk.shared();
        under_way.extend(walk.downgrade().map(|weak| (workspace, weak)));
        Ok(walk)
    }

    /// Returns the number of callers that wait for the diagnosis of `workspace`.
    #[cfg(test)]
    pub(super) fn waiting(&self, workspace: WorkspaceId) -> usize {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let walk = under_way.get(&workspace).and_then(WeakShared::upgrade);
        // Without this handle itself.
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
    async fn diagnosis_is_dropped_with_last_waiter() {
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
        let join = |workspace, begin: &dyn Fn() -> Walk| diagnoses.join(workspace, "ann", (2, 2), begin);
        let first = join(mine, &endless).unwrap();
        let second = join(mine, &endless).unwrap();
        let _other = join(other, &endless).unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), 2, "one for each workspace");
        assert_eq!(join(third, &endless).unwrap_err(), Exceeded::Share(0));
        assert_eq!(diagnoses.join(third, "bob", (2, 2), endless).unwrap_err(), Exceeded::Total);
        drop(first);
        assert_eq!(Arc::strong_count(&held), 3, "the second still waits");
        drop(second);
        assert_eq!(Arc::strong_count(&held), 2, "abandoned with its last waiter");

        let brief = || -> Walk { Box::pin(std::future::ready(Diagnosed::Unable)) };
        let ended = join(third, &brief).unwrap();
        assert!(matches!(ended.clone().await, Diagnosed::Unable));
        let _anew = join(third, &endless).unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), 3, "one that has ended is not shared");
    }
}
