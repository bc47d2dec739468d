//! Runs a key push concurrently with lookups and the dial.

use std::future::Future;

use futures_util::future::{Either, select};

use crate::model::StageError;

/// A key push that is running or done.
pub(super) enum Push<F, T> {
    Running(F),
    Done(T),
}

impl<F, T> Push<F, Result<T, StageError>> {
    /// Returns the push in its current state, or its error.
    pub(super) fn settled(self) -> Result<Push<F, T>, StageError> {
        match self {
            Self::Running(push) => Ok(Push::Running(push)),
            Self::Done(done) => done.map(Push::Done),
        }
    }
}

/// Runs `work` to its end while `push` runs concurrently. A failed push does not end `work`: a lookup that
/// fails as well is more informative, and so the same problem is always reported in the same way.
pub(super) async fn run_concurrently<F, W>(push: F, work: W) -> (W::Output, Push<F, F::Output>)
where
    F: Future + Unpin,
    W: Future,
{
    let work = std::pin::pin!(work);
    match select(work, push).await {
        Either::Left((worked, push)) => (worked, Push::Running(push)),
        Either::Right((pushed, work)) => (work.await, Push::Done(pushed)),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::model::{Fault, Stage};

    fn failed(stage: Stage) -> Result<(), StageError> {
        Err(StageError::new(stage, Fault::Denied, "no"))
    }

    #[tokio::test]
    async fn failed_push_does_not_end_the_lookup() {
        let (route, push) = run_concurrently(ready(failed(Stage::KeyPush)), async {
            tokio::task::yield_now().await;
            failed(Stage::Instance)
        })
        .await;
        assert_eq!(route.unwrap_err().stage(), Stage::Instance);
        assert_eq!(push.settled().err().unwrap().stage(), Stage::KeyPush);

        let (route, push) = run_concurrently(pending::<Result<(), StageError>>(), ready(7)).await;
        assert_eq!(route, 7);
        assert!(matches!(push.settled(), Ok(Push::Running(_))));
    }
}
