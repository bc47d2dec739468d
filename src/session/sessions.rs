//! All live sessions: opened, counted, drained.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use super::queue::InputQueue;
use super::{Config, Viewer, run};
use crate::terminal::{Connect, Target, TerminalRequest};

/// Opens sessions and counts them. Cheap to clone; the clones share everything.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    connect: Arc<dyn Connect>,
    live: watch::Sender<usize>,
    drain: CancellationToken,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("live", &self.live()).finish_non_exhaustive()
    }
}

/// What to open.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Where.
    pub target: Target,
    /// What it should look like to the process in it.
    pub terminal: TerminalRequest,
    /// What the log calls it: the workspace's id.
    pub label: String,
}

impl Request {
    /// A terminal of the default size in `target`.
    #[must_use]
    pub fn new(target: impl Into<Target>, label: impl Into<String>) -> Self {
        Self { target: target.into(), terminal: TerminalRequest::default(), label: label.into() }
    }
}

/// Why no session was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// As many are live as may be.
    #[error("{0} terminals are open, and no more may be")]
    Full(usize),
    /// This program is being stopped.
    #[error("no new terminals: the gateway is stopping")]
    Draining,
}

impl Sessions {
    /// Sessions whose hosts come from `connect`.
    #[must_use]
    pub fn new(config: Config, connect: Arc<dyn Connect>) -> Self {
        let (live, _) = watch::channel(0);
        Self { shared: Arc::new(Shared { config, connect, live, drain: CancellationToken::new() }) }
    }

    /// Keeps a place for a session that is about to be opened, so that a refusal is known before anything else
    /// happens.
    ///
    /// # Errors
    /// [`OpenError`] when no more sessions may be opened.
    pub fn reserve(&self) -> Result<Place, OpenError> {
        if self.is_draining() {
            return Err(OpenError::Draining);
        }
        let live = Live::count(&self.shared).ok_or(OpenError::Full(self.shared.config.max_sessions))?;
        Ok(Place(live))
    }

    /// Starts a session, connecting at once. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`OpenError`] when no more sessions may be opened.
    pub fn open(&self, request: Request) -> Result<Viewer, OpenError> {
        Ok(self.reserve()?.open(request))
    }

    /// How many sessions are live: connecting, open, or being closed.
    #[must_use]
    pub fn live(&self) -> usize {
        *self.shared.live.borrow()
    }

    /// Refuses new sessions and ends the live ones with [`End::Drained`](super::End::Drained).
    pub fn drain(&self) {
        self.shared.drain.cancel();
    }

    /// Whether [`Self::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.drain.is_cancelled()
    }

    /// Waits until no session is live. While new ones may be opened, that is true for a moment only.
    pub async fn idle(&self) {
        let mut live = self.shared.live.subscribe();
        // The sender is in `self`, so that this cannot fail.
        let _ = live.wait_for(|live| *live == 0).await;
    }
}

/// A place that is kept for one session, and counts as one already. Dropping it gives it back.
#[derive(Debug)]
pub struct Place(Live);

impl Place {
    /// Starts the session, connecting at once. Must be called in a tokio runtime.
    #[must_use = "dropping the viewer ends the session"]
    pub fn open(self, request: Request) -> Viewer {
        let Self(live) = self;
        let shared = Arc::clone(&live.0);
        let session = Uuid::new_v4();
        let (input, queue) = InputQueue::new(shared.config.input_queue);
        let (sender, events) = mpsc::channel(shared.config.output_queue.max(1));
        let span = tracing::info_span!("session", id = %session, workspace = %request.label);
        let task = async move {
            let run = run::Run { config: &shared.config, events: &sender, drain: &shared.drain };
            run.run(shared.connect.as_ref(), &request, queue).await;
            drop(live);
        };
        tokio::spawn(task.instrument(span));
        Viewer { session, input, events }
    }
}

/// One session in the count, for as long as it is held.
struct Live(Arc<Shared>);

impl Live {
    fn count(shared: &Arc<Shared>) -> Option<Self> {
        let max = shared.config.max_sessions;
        let counted = shared.live.send_if_modified(|live| {
            let room = *live < max;
            *live += usize::from(room);
            room
        });
        counted.then(|| Self(Arc::clone(shared)))
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.send_modify(|live| *live = live.saturating_sub(1));
    }
}
