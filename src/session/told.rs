//! Tells a session's observer of its steps, the last ones whatever happens.

use std::sync::atomic::Ordering;
use std::sync::{OnceLock, atomic::AtomicBool};
use std::time::{Duration, Instant};

use super::registry::Counts;
use super::{Observer, Outcome, Record, Step};
use crate::model::HostIds;

/// One session's observer, and what the record of the session is made of. Dropping it tells the last steps that were
/// not told: a task that is dropped or panics has an end as well.
pub(super) struct Told<'a> {
    observer: Option<&'a dyn Observer>,
    counts: &'a Counts,
    began: Instant,
    ids: OnceLock<HostIds>,
    has_spoken: AtomicBool,
    has_ended: AtomicBool,
}

impl<'a> Told<'a> {
    /// The session begins now.
    pub(super) fn new(observer: Option<&'a dyn Observer>, counts: &'a Counts) -> Self {
        let told = Self {
            observer,
            counts,
            began: Instant::now(),
            ids: OnceLock::new(),
            has_spoken: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        };
        told.step(Step::Connecting);
        told
    }

    pub(super) fn step(&self, step: Step<'_>) {
        if let Some(observer) = self.observer {
            observer.on_step(step);
        }
    }

    /// How long the session has lasted.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn connected(&self, ids: HostIds) {
        self.step(Step::Connected(self.ids.get_or_init(|| ids)));
    }

    /// `length` bytes were typed.
    pub(super) fn input(&self, length: usize) {
        self.counts.input.fetch_add(length as u64, Ordering::Relaxed);
        self.step(Step::Input(length));
    }

    /// The terminal said `length` bytes.
    pub(super) fn output(&self, length: usize) {
        self.counts.output.fetch_add(length as u64, Ordering::Relaxed);
        if !self.has_spoken.swap(true, Ordering::Relaxed) {
            self.step(Step::FirstOutput(self.elapsed()));
        }
        self.step(Step::Output(length));
    }

    /// The session ended with `outcome`.
    pub(super) fn ended(&self, outcome: Outcome<'_>) {
        if self.has_ended.swap(true, Ordering::Relaxed) {
            return;
        }
        self.step(Step::Ended(Record {
            outcome,
            ids: self.ids.get(),
            duration: self.elapsed(),
            input_bytes: self.counts.input.load(Ordering::Relaxed),
            output_bytes: self.counts.output.load(Ordering::Relaxed),
        }));
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.ended(Outcome::Broke);
        self.step(Step::Closed);
    }
}
