//! Limits of a session: idle time and duration.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{Config, End, Event, Limit};

/// The time of a session's last activity.
#[derive(Debug)]
pub(super) struct Activity(Mutex<Instant>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    /// Records activity now.
    pub(super) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resolves when a limit of `config` is reached, and sends a warning before each.
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

/// Sends a warning, unless the event queue is full: the limit must not wait for a slow viewer.
fn warn(events: &mpsc::Sender<Event>, limit: Limit, left: Duration) {
    let _ = events.try_send(Event::Warning { limit, left });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short, because these tests wait in real time; no test asserts how late a limit is detected.
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
    async fn idle_session_is_warned_then_ends() {
        let (events, mut received) = mpsc::channel(4);
        let activity = Activity::new();
        let config = config(Some(SHORT), None);
        let reached = reached(&config, &activity, &events);
        tokio::pin!(reached);
        // The warning comes first; what happens then counts.
        let warned = tokio::select! {
            end = &mut reached => panic!("{end:?}"),
            warned = received.recv() => warned,
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
        assert!(received.try_recv().is_ok(), "and warned of again");
    }

    #[tokio::test]
    async fn busy_session_hits_max_duration() {
        let (events, mut received) = mpsc::channel(4);
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
        assert!(matches!(received.try_recv(), Ok(Event::Warning { limit: Limit::Duration, .. })));
    }
}
