//! The viewer's half of a session.

use std::io;

use bytes::Bytes;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::terminal::{Exit, HostIds, StageError, StageEvent};

pub use super::queue::{InputClosed, ViewerInput};

/// One viewer of a session. Dropping it ends the session: an attempt to connect is abandoned, an open terminal is
/// closed.
#[derive(Debug)]
pub struct Viewer {
    pub(super) session: Uuid,
    pub(super) input: ViewerInput,
    pub(super) events: mpsc::Receiver<Event>,
}

impl Viewer {
    /// The session's id, as it stands in the logs.
    #[must_use]
    pub fn session(&self) -> Uuid {
        self.session
    }

    /// Where input goes; usable beside [`Self::next`]. It does not keep the session alive.
    #[must_use]
    pub fn input(&self) -> ViewerInput {
        self.input.clone()
    }

    /// The next news; `None` after [`Event::Closed`]. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

/// What a viewer is told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// News of a stage while connecting; left out when the viewer is far behind.
    Stage(StageEvent),
    /// The terminal is open.
    Opened(HostIds),
    /// Bytes of the terminal, never empty, at most [`max_piece`](super::Config::max_piece) of them.
    Output(Bytes),
    /// The session ended. The last event.
    Closed(End),
}

/// How a session ended for a viewer that is still there.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// The process in the terminal did.
    Exit(Exit),
    /// A stage of connecting failed.
    Failed(StageError),
    /// The connection broke under the open terminal.
    Broken(io::Error),
    /// This program is being stopped.
    Drained,
}
