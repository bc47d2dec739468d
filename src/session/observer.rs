//! Observes the life of a session, for metrics and audit records.

use std::time::Duration;

use super::End;
use crate::model::{HostIds, StageEvent};

/// Receives each step in the life of one session.
///
/// It is called on the session's task, so it must neither wait nor block. Its last steps are always [`SessionStep::Ended`] and
/// [`SessionStep::Closed`], once each and in this order, even if the task panics.
pub trait Observer: Send + Sync {
    /// Called for each step.
    fn on_step(&self, step: SessionStep<'_>);
}

/// A step in the life of a session.
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionStep<'a> {
    /// Connecting begins.
    Connecting,
    /// A stage started or ended.
    Stage(StageEvent),
    /// The host is connected; no terminal is open yet.
    Connected(&'a HostIds),
    /// The terminal is open, this long after connecting began.
    Opened(Duration),
    /// The first output, this long after connecting began.
    FirstOutput(Duration),
    /// Bytes of input.
    Input(usize),
    /// Bytes of output.
    Output(usize),
    /// A measured round trip to the host.
    RoundTrip(Duration),
    /// The session ended, and its resources are being closed.
    Ended(Record<'a>),
    /// All resources are closed, or dropped after a timeout.
    Closed,
}

/// A summary of an ended session.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Record<'a> {
    /// How it ended.
    pub outcome: Outcome<'a>,
    /// The ids of its connection, if there was one.
    pub ids: Option<&'a HostIds>,
    /// Its duration, including connecting.
    pub duration: Duration,
    /// Bytes of input.
    pub input_bytes: u64,
    /// Bytes of output.
    pub output_bytes: u64,
}

/// How a session ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// With an end that the viewer receives.
    End(&'a End),
    /// The viewer left.
    Left,
    /// The task was dropped or panicked: a bug.
    Broke,
}

impl Outcome<'_> {
    /// Returns the outcome's stable name in JSON, metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::End(end) => end.name(),
            Self::Left => "viewer-left",
            Self::Broke => "internal",
        }
    }
}
