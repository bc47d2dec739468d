//! A key push under way beside the look-ups and the dial.

use std::future::Future;

use futures_util::future::{Either, select};

use crate::model::StageError;

/// A key push beside something else.
pub(super) enum Push<F, T> {
    Running(F),
    Done(T),
}

impl<F, T> Push<F, Result<T, StageError>> {
    /// The push as it stands, or its failure.
    pub(super) fn settled(self) -> Result<Push<F, T>, StageError> {
        match self {
            Self::Running(push) => Ok(Push::Running(push)),
            Self::Done(done) => done.map(Push::Done),
        }
    }
}

/// Runs `work` to its end with `push` under way beside it. A push that fails does not end `work`: a look-up
/// that fails as well tells more, and so the same trouble is always told in the same way.
pub(super) async fn beside<F, W>(push: F, work: W) -> (W::Output, Push<F, F::Output>)
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
    async fn a_failed_push_waits_for_the_look_up_and_a_slow_one_does_not_hold_it_up() {
        let (route, push) = beside(ready(failed(Stage::KeyPush)), async {
            tokio::task::yield_now().await;
            failed(Stage::Instance)
        })
        .await;
        assert_eq!(route.unwrap_err().stage(), Stage::Instance);
        assert_eq!(push.settled().err().unwrap().stage(), Stage::KeyPush);

        let (route, push) = beside(pending::<Result<(), StageError>>(), ready(7)).await;
        assert_eq!(route, 7);
        assert!(matches!(push.settled(), Ok(Push::Running(_))));
    }
}
