//! Who is told of a session's life: metrics and audit records are made of it.

use std::time::Duration;

use super::End;
use crate::model::{HostIds, StageEvent};

/// Is told of each step in the life of one session.
///
/// It is called on the session's task, so it must neither wait nor block. Whatever happens to that task, its last
/// steps are [`Step::Ended`] and [`Step::Closed`], once each and in this order.
pub trait Observer: Send + Sync {
    /// The session came this far.
    fn on_step(&self, step: Step<'_>);
}

/// A step in the life of a session.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step<'a> {
    /// Connecting begins.
    Connecting,
    /// News of a stage of it.
    Stage(StageEvent),
    /// There is a connection to the host; it has no terminal yet.
    Connected(&'a HostIds),
    /// The terminal is open, this long after connecting began.
    Opened(Duration),
    /// The terminal said its first byte, this long after connecting began.
    FirstOutput(Duration),
    /// This many bytes were typed.
    Input(usize),
    /// The terminal said this many bytes.
    Output(usize),
    /// The way to the host and back took this long.
    RoundTrip(Duration),
    /// The session ended; what it has open is being closed.
    Ended(Record<'a>),
    /// Nothing of it is open any more, or what would not close in time was dropped.
    Closed,
}

/// What a session came to.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Record<'a> {
    /// How it ended.
    pub outcome: Outcome<'a>,
    /// The ids of its connection; `None` where there was none.
    pub ids: Option<&'a HostIds>,
    /// How long it lasted, connecting included.
    pub duration: Duration,
    /// How many bytes were typed.
    pub input_bytes: u64,
    /// How many bytes the terminal said.
    pub output_bytes: u64,
}

/// How a session ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// In a way that the viewer is told.
    End(&'a End),
    /// Its viewer left.
    Left,
    /// Its task broke off: a fault of this program.
    Broke,
}

impl Outcome<'_> {
    /// The outcome's stable name, as it stands in JSON, metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::End(end) => end.name(),
            Self::Left => "viewer-left",
            Self::Broke => "internal",
        }
    }
}
