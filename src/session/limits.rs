//! How long a session may go on: without activity, and at all.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{Config, End, Event, Limit};

/// When something last happened in a session.
#[derive(Debug)]
pub(super) struct Activity(Mutex<Instant>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    /// Something happens now.
    pub(super) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until one of the limits of `config` is reached, with a warning before each.
pub(super) async fn reached(config: &Config, activity: &Activity, events: &mpsc::Sender<Event>) -> End {
    let idle = async {
        match config.idle_timeout {
            None => std::future::pending().await,
            Some(timeout) => idle(timeout, config.idle_warning, activity, events).await,
        }
    };
    let whole = async {
        match config.max_duration {
            None => std::future::pending().await,
            Some(limit) => whole(limit, config.max_duration_warning, events).await,
        }
    };
    tokio::select! {
        () = idle => End::Limit(Limit::Idle),
        () = whole => End::Limit(Limit::Duration),
    }
}

async fn idle(timeout: Duration, warning: Duration, activity: &Activity, events: &mpsc::Sender<Event>) {
    let warning = warning.min(timeout);
    loop {
        let last = activity.last();
        sleep_until(last + (timeout - warning)).await;
        if activity.last() != last {
            continue;
        }
        if !warning.is_zero() {
            warn(events, Limit::Idle, warning);
        }
        sleep_until(last + timeout).await;
        if activity.last() == last {
            return;
        }
    }
}

async fn whole(limit: Duration, warning: Duration, events: &mpsc::Sender<Event>) {
    let began = Instant::now();
    let warning = warning.min(limit);
    sleep_until(began + (limit - warning)).await;
    if !warning.is_zero() {
        warn(events, Limit::Duration, warning);
    }
    sleep_until(began + limit).await;
}

/// Left out for a viewer that is far behind: the limit must not wait for it.
fn warn(events: &mpsc::Sender<Event>, limit: Limit, left: Duration) {
    let _ = events.try_send(Event::Warning { limit, left });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short, since these tests wait in earnest; nothing is asserted of how late a limit is noticed.
    const SHORT: Duration = Duration::from_millis(60);

    fn config(idle: Option<Duration>, whole: Option<Duration>) -> Config {
        Config {
            idle_timeout: idle,
            idle_warning: SHORT / 2,
            max_duration: whole,
            max_duration_warning: SHORT / 2,
            ..Config::default()
        }
    }

    #[tokio::test]
    async fn silence_is_warned_of_and_ends_the_session_and_activity_puts_it_off() {
        let (events, mut told) = mpsc::channel(4);
        let activity = Activity::new();
        let config = config(Some(SHORT), None);
        let reached = reached(&config, &activity, &events);
        tokio::pin!(reached);
        // The warning comes first; what happens then counts.
        let warned = tokio::select! {
            end = &mut reached => panic!("{end:?}"),
            warned = told.recv() => warned,
        };
        assert!(matches!(
            warned,
            Some(Event::Warning { limit: Limit::Idle, left }) if left == SHORT / 2
        ));
        activity.note();
        let noted = Instant::now();
        let end = reached.await;
        assert!(matches!(end, End::Limit(Limit::Idle)), "{end:?}");
        assert!(noted.elapsed() >= SHORT);
        assert!(told.try_recv().is_ok(), "and warned of again");
    }

    #[tokio::test]
    async fn a_session_ends_at_its_longest_duration_however_busy_it_is() {
        let (events, mut told) = mpsc::channel(4);
        let activity = Activity::new();
        let config = config(Some(SHORT * 100), Some(SHORT));
        let busy = async {
            loop {
                activity.note();
                tokio::task::yield_now().await;
            }
        };
        let began = Instant::now();
        let end = tokio::select! {
            end = reached(&config, &activity, &events) => end,
            () = busy => unreachable!(),
        };
        assert!(matches!(end, End::Limit(Limit::Duration)), "{end:?}");
        assert!(began.elapsed() >= SHORT);
        assert!(matches!(told.try_recv(), Ok(Event::Warning { limit: Limit::Duration, .. })));
    }
}
