//! The viewer's half of a session.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::viewer_state::ViewerState;
use crate::model::{Exit, HostIds, Size, StageError, StageEvent};

pub use super::queue::{InputClosed, ViewerInput};

/// The viewer of a session. Dropping it ends the session: connecting is aborted, an open terminal is closed.
#[derive(Debug)]
pub struct Viewer {
    pub(super) session: Uuid,
    pub(super) input: ViewerInput,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) state: Arc<ViewerState>,
    pub(super) terminated: CancellationToken,
}

/// Requests of a viewer besides its input. Usable concurrently with [`Viewer::next`], cheap to clone.
#[derive(Clone, Debug)]
pub struct ViewerControl(Arc<ViewerState>);

impl ViewerControl {
    /// Resizes the terminal. Only the latest size counts, and it does not wait behind input.
    pub fn resize(&self, size: Size) {
        self.0.size.send_replace(Some(size));
    }

    /// Measures the round trip to the instance, unless a measurement is pending.
    pub fn measure(&self) {
        self.0.measure.notify_one();
    }

    /// Returns the last measured round trip.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        *self.0.round_trip.borrow()
    }

    /// Returns a watch on the bytes of input that the terminal accepted.
    #[must_use]
    pub fn taken(&self) -> watch::Receiver<u64> {
        self.0.taken.subscribe()
    }
}

impl Viewer {
    /// Returns the session's id.
    #[must_use]
    pub fn session(&self) -> Uuid {
        self.session
    }

    /// Returns the input queue. Usable concurrently with [`Self::next`]; it does not keep the session alive.
    #[must_use]
    pub fn input(&self) -> ViewerInput {
        self.input.clone()
    }

    /// Returns the handle for other requests.
    #[must_use]
    pub fn control(&self) -> ViewerControl {
        ViewerControl(Arc::clone(&self.state))
    }

    /// Resolves when the session is ended from outside: by a limit, a kill or shutdown. Its events can still be read.
    /// Usable concurrently with [`Self::next`].
    pub fn terminated(&self) -> impl Future<Output = ()> + Send + use<> {
        self.terminated.clone().cancelled_owned()
    }

    /// Skips other events and returns the end of the session; `None` if its task panicked.
    pub async fn end(&mut self) -> Option<End> {
        loop {
            match self.next().await {
                Some(Event::Closed(end)) => return Some(end),
                Some(_) => {}
                None => return None,
            }
        }
    }

    /// Returns the next event; `None` after [`Event::Closed`]. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

/// An event for the viewer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A stage of connecting; dropped if the event queue is full.
    Stage(StageEvent),
    /// The terminal is open.
    Opened(HostIds),
    /// Output, never empty, at most [`max_piece`](super::Config::max_piece) of them.
    Output(Bytes),
    /// The session will end. Dropped if the event queue is full.
    Warning {
        /// The limit.
        limit: Limit,
        /// The time left.
        left: Duration,
    },
    /// The session ended. The last event.
    Closed(End),
}

/// A limit of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Idle time.
    Idle,
    /// Total duration.
    Duration,
}

/// Why a session was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kill {
    /// An authorized user ended it.
    Request,
    /// The viewer may no longer open the workspace.
    Revoked,
}

/// How a session ended, for its viewer.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// The process in the terminal exited.
    Exit(Exit),
    /// A stage of connecting failed.
    Failed(StageError),
    /// The connection broke under the open terminal.
    Broken(io::Error),
    /// A limit was reached.
    Limit(Limit),
    /// It was killed.
    Killed(Kill),
    /// This program is shutting down.
    Drained,
}

impl End {
    /// Whether the session was ended from outside.
    pub(super) fn is_from_outside(&self) -> bool {
        matches!(self, Self::Limit(_) | Self::Killed(_) | Self::Drained)
    }

    /// Returns the end's stable name in JSON, metrics and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exit(_) => "exit",
            Self::Failed(_) => "failed",
            Self::Broken(_) => "broken",
            Self::Limit(Limit::Idle) => "idle",
            Self::Limit(Limit::Duration) => "max-duration",
            Self::Killed(Kill::Request) => "killed",
            Self::Killed(Kill::Revoked) => "revoked",
            Self::Drained => "drained",
        }
    }
}
