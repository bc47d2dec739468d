//! Times one stage and reports how it ended.

use std::fmt;
use std::time::{Duration, Instant};

use super::stage::{Stage, StageEvent, StageObserver, StageState};

/// A running stage. It ends with [`pass`](Self::pass) or [`fail`](Self::fail), which report how long it took.
///
/// A timer that is dropped without either was abandoned, and reports nothing: the caller gave up the attempt (a
/// closed browser, a concurrent step that failed), which says nothing about the stage.
#[must_use = "a dropped timer abandons its stage"]
pub struct StageTimer<'a> {
    stage: Stage,
    observer: &'a dyn StageObserver,
    /// Time spent before a pause.
    spent: Duration,
    began: Instant,
}

impl<'a> StageTimer<'a> {
    /// Reports that `stage` started, and starts its time.
    pub fn start(stage: Stage, observer: &'a dyn StageObserver) -> Self {
        observer.on_stage(StageEvent::new(stage, StageState::Started));
        Self::resume(stage, Duration::ZERO, observer)
    }

    /// Continues a stage that was paused after `spent`. Reports nothing.
    pub fn resume(stage: Stage, spent: Duration, observer: &'a dyn StageObserver) -> Self {
        Self { stage, observer, spent, began: Instant::now() }
    }

    /// Leaves the stage open and returns the time that it has taken, for [`resume`](Self::resume).
    #[must_use]
    pub fn pause(self) -> Duration {
        self.took()
    }

    /// Reports success.
    pub fn pass(self) {
        self.report(StageState::Passed(self.took()));
    }

    /// Reports failure.
    pub fn fail(self) {
        self.report(StageState::Failed(self.took()));
    }

    /// Gives up the stage without a report, like dropping the timer.
    pub fn abandon(self) {}

    /// Reports success or failure, and returns `result`.
    ///
    /// # Errors
    /// That of `result`.
    pub fn finish<T, E>(self, result: Result<T, E>) -> Result<T, E> {
        if result.is_ok() {
            self.pass()
        } else {
            self.fail()
        }
        result
    }

    fn took(&self) -> Duration {
        self.spent + self.began.elapsed()
    }

    fn report(&self, state: StageState) {
        self.observer.on_stage(StageEvent::new(self.stage, state));
    }
}

impl fmt::Debug for StageTimer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageTimer").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// Runs `work` as one stage and reports it to `observer`. If the future is dropped, the stage is abandoned.
///
/// # Errors
/// Returns the error of `work`.
pub async fn staged<T, E>(
    stage: Stage,
    observer: &dyn StageObserver,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let timer = StageTimer::start(stage, observer);
    let result = work.await;
    timer.finish(result)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Mutex;

    use futures_util::FutureExt;

    use super::*;

    #[derive(Default)]
    struct Events(Mutex<Vec<StageState>>);

    impl StageObserver for Events {
        fn on_stage(&self, event: StageEvent) {
            assert_eq!(event.stage, Stage::Tls);
            self.0.lock().unwrap().push(event.state);
        }
    }

    impl Events {
        fn take(&self) -> Vec<StageState> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    #[tokio::test]
    async fn result_decides_pass_or_fail() {
        let events = Events::default();
        staged(Stage::Tls, &events, async { Ok::<_, ()>(()) }).await.unwrap();
        assert!(matches!(events.take()[..], [StageState::Started, StageState::Passed(_)]));
        staged(Stage::Tls, &events, async { Err::<(), _>(()) }).await.unwrap_err();
        assert!(matches!(events.take()[..], [StageState::Started, StageState::Failed(_)]));
    }

    #[test]
    fn abandoned_stage_has_no_result() {
        let events = Events::default();
        StageTimer::start(Stage::Tls, &events).abandon();
        drop(StageTimer::start(Stage::Tls, &events));
        let work = staged(Stage::Tls, &events, pending::<Result<(), ()>>());
        assert!(work.now_or_never().is_none());
        assert_eq!(events.take(), [StageState::Started; 3]);
    }

    #[test]
    fn pause_is_not_counted() {
        let events = Events::default();
        let paused = StageTimer::start(Stage::Tls, &events).pause();
        let spent = paused + Duration::from_secs(60);
        StageTimer::resume(Stage::Tls, spent, &events).pass();
        let seen = events.take();
        let [StageState::Started, StageState::Passed(took)] = seen[..] else { panic!("{seen:?}") };
        assert!(took >= spent && took < 2 * spent, "{took:?}");
    }
}
