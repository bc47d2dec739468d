//! Reports the steps of a session to its observer.

use std::sync::atomic::Ordering;
use std::sync::{OnceLock, atomic::AtomicBool};
use std::time::{Duration, Instant};

use super::registry::Counts;
use super::{Observer, Outcome, Record, SessionStep};
use crate::model::HostIds;

/// Reports the steps of one session, and collects its record. Dropping it reports the final steps that are missing, so
/// that a task that is dropped or panics ends as well.
pub(super) struct SessionReporter<'a> {
    observer: Option<&'a dyn Observer>,
    counts: &'a Counts,
    began: Instant,
    ids: OnceLock<HostIds>,
    has_spoken: AtomicBool,
    has_ended: AtomicBool,
}

impl<'a> SessionReporter<'a> {
    /// Starts the report of a session.
    pub(super) fn new(observer: Option<&'a dyn Observer>, counts: &'a Counts) -> Self {
        let reporter = Self {
            observer,
            counts,
            began: Instant::now(),
            ids: OnceLock::new(),
            has_spoken: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        };
        reporter.step(SessionStep::Connecting);
        reporter
    }

    pub(super) fn step(&self, step: SessionStep<'_>) {
        if let Some(observer) = self.observer {
            observer.on_step(step);
        }
    }

    /// Returns the time since the session began.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn connected(&self, ids: HostIds) {
        self.step(SessionStep::Connected(self.ids.get_or_init(|| ids)));
    }

    /// Reports `length` bytes of input.
    pub(super) fn input(&self, length: usize) {
        self.counts.input.fetch_add(length as u64, Ordering::Relaxed);
        self.step(SessionStep::Input(length));
    }

    /// Reports `length` bytes of output.
    pub(super) fn output(&self, length: usize) {
        self.counts.output.fetch_add(length as u64, Ordering::Relaxed);
        if !self.has_spoken.swap(true, Ordering::Relaxed) {
            self.step(SessionStep::FirstOutput(self.elapsed()));
        }
        self.step(SessionStep::Output(length));
    }

    /// Reports the end with `outcome`, once.
    pub(super) fn ended(&self, outcome: Outcome<'_>) {
        if self.has_ended.swap(true, Ordering::Relaxed) {
            return;
        }
        self.step(SessionStep::Ended(Record {
            outcome,
            ids: self.ids.get(),
            duration: self.elapsed(),
            input_bytes: self.counts.input.load(Ordering::Relaxed),
            output_bytes: self.counts.output.load(Ordering::Relaxed),
        }));
    }
}

impl Drop for SessionReporter<'_> {
    fn drop(&mut self) {
        self.ended(Outcome::Broke);
        self.step(SessionStep::Closed);
    }
}
