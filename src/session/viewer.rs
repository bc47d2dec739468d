//! The viewer's half of a session.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::wishes::Wishes;
use crate::model::{Exit, HostIds, Size, StageError, StageEvent};

pub use super::queue::{InputClosed, ViewerInput};

/// One viewer of a session. Dropping it ends the session: an attempt to connect is abandoned, an open terminal is
/// closed.
#[derive(Debug)]
pub struct Viewer {
    pub(super) session: Uuid,
    pub(super) input: ViewerInput,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) wishes: Arc<Wishes>,
    pub(super) cut_short: CancellationToken,
}

/// What a viewer asks for besides its input; usable beside [`Viewer::next`], cheap to clone.
#[derive(Clone, Debug)]
pub struct ViewerControl(Arc<Wishes>);

impl ViewerControl {
    /// Tells the terminal its new size. Only the latest counts, and none waits behind input.
    pub fn resize(&self, size: Size) {
        self.0.size.send_replace(Some(size));
    }

    /// Has the way to the instance and back measured, unless that is under way.
    pub fn measure(&self) {
        self.0.measure.notify_one();
    }

    /// What the last measurement came to; `None` where there was none.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        *self.0.round_trip.borrow()
    }

    /// How many bytes of input were handed to the terminal so far; changes can be waited for.
    #[must_use]
    pub fn taken(&self) -> watch::Receiver<u64> {
        self.0.taken.subscribe()
    }
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

    /// What can be asked for besides.
    #[must_use]
    pub fn control(&self) -> ViewerControl {
        ViewerControl(Arc::clone(&self.wishes))
    }

    /// Waits until something ends the session that is neither its terminal nor connecting: a limit, somebody, or the end
    /// of this program. Its events are still there to be read. Usable beside [`Self::next`].
    pub fn cut_short(&self) -> impl Future<Output = ()> + Send + use<> {
        self.cut_short.clone().cancelled_owned()
    }

    /// Passes over all other news to how the session ended; `None` when its task broke off.
    pub async fn end(&mut self) -> Option<End> {
        loop {
            match self.next().await {
                Some(Event::Closed(end)) => return Some(end),
                Some(_) => {}
                None => return None,
            }
        }
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
    /// The session will end when this much time is over. Left out when the viewer is far behind.
    Warning {
        /// By which limit.
        limit: Limit,
        /// How much time is left.
        left: Duration,
    },
    /// The session ended. The last event.
    Closed(End),
}

/// A limit of a session's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Without activity.
    Idle,
    /// At all.
    Duration,
}

/// Why somebody else ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kill {
    /// Somebody who may ended it by hand.
    Request,
    /// Its viewer may not open the workspace any more.
    Revoked,
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
    /// It came to one of its limits.
    Limit(Limit),
    /// Somebody else ended it.
    Killed(Kill),
    /// This program is being stopped.
    Drained,
}

impl End {
    /// Whether it is neither the terminal's nor that of connecting.
    pub(super) fn is_from_outside(&self) -> bool {
        matches!(self, Self::Limit(_) | Self::Killed(_) | Self::Drained)
    }

    /// The end's stable name, as it stands in JSON, metrics and logs.
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
