//! Opens, lists, kills and drains sessions.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use super::queue::InputQueue;
use super::registry::Registry;
use super::reporter::SessionReporter;
use super::viewer_state::ViewerState;
use super::{Config, Kill, Observer, Owner, Summary, Viewer, run};
use crate::model::{Connect, Target, TerminalRequest};

/// Opens and tracks sessions. Cheap to clone; clones share their state.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
}

struct Shared {
    config: RwLock<Arc<Config>>,
    connect: Arc<dyn Connect>,
    registry: Registry,
    drain: CancellationToken,
}

impl Shared {
    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("live", &self.live()).finish_non_exhaustive()
    }
}

/// What to open.
#[derive(Clone)]
#[non_exhaustive]
pub struct Request {
    /// Where.
    pub target: Target,
    /// What it should look like to the process in it.
    pub terminal: TerminalRequest,
    /// Whether the terminal opens only after the viewer's first size; connecting does not wait for it. The default
    /// is no.
    pub waits_for_size: bool,
    /// The observer of the session. The default is none.
    pub observer: Option<Arc<dyn Observer>>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("target", &self.target)
            .field("terminal", &self.terminal)
            .field("waits_for_size", &self.waits_for_size)
            .finish_non_exhaustive()
    }
}

impl Request {
    /// A terminal of the default size in `target`.
    #[must_use]
    pub fn new(target: impl Into<Target>) -> Self {
        Self {
            target: target.into(),
            terminal: TerminalRequest::default(),
            waits_for_size: false,
            observer: None,
        }
    }

    /// Opens the terminal with the viewer's first size.
    #[must_use]
    pub fn waiting_for_size(mut self) -> Self {
        self.waits_for_size = true;
        self
    }

    /// Reports the session's steps to `observer`.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }
}

/// Why no session was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// As many are live as may be.
    #[error("{0} terminals are open, and no more may be")]
    Full(usize),
    /// As many are live in the workspace as may be.
    #[error("{0} terminals are open in this workspace, and no more may be")]
    WorkspaceFull(usize),
    /// As many of the user's are live as may be.
    #[error("{0} of your terminals are open, and no more may be")]
    UserFull(usize),
    /// This program is being stopped.
    #[error("no new terminals: the gateway is stopping")]
    Draining,
}

impl Sessions {
    /// Sessions whose hosts come from `connect`.
    #[must_use]
    pub fn new(config: Config, connect: Arc<dyn Connect>) -> Self {
        let registry = Registry::new();
        let config = RwLock::new(Arc::new(config));
        Self { shared: Arc::new(Shared { config, connect, registry, drain: CancellationToken::new() }) }
    }

    /// Goes on with `config` for sessions that are opened from now on.
    pub fn reconfigure(&self, config: Config) {
        *self.shared.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Reserves a session, so that a refusal is known before anything else happens.
    ///
    /// # Errors
    /// [`OpenError`] when no more sessions may be opened.
    pub fn reserve(&self, owner: Owner) -> Result<Reservation, OpenError> {
        if self.is_draining() {
            return Err(OpenError::Draining);
        }
        let label = owner.workspace.clone();
        let id = self.shared.registry.add(owner, &self.shared.config())?;
        Ok(Reservation { id, label, shared: Arc::clone(&self.shared) })
    }

    /// Starts a session, connecting at once. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`OpenError`] when no more sessions may be opened.
    pub fn open(&self, owner: Owner, request: Request) -> Result<Viewer, OpenError> {
        Ok(self.reserve(owner)?.open(request))
    }

    /// The live sessions, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Summary> {
        self.shared.registry.list()
    }

    /// Ends the session `id` and notifies its viewer; returns whether it existed.
    pub fn kill(&self, id: Uuid, why: Kill) -> bool {
        self.shared.registry.kill(id, why)
    }

    /// How many sessions are live: connecting, open, or being closed.
    #[must_use]
    pub fn live(&self) -> usize {
        *self.shared.registry.live.borrow()
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
        let mut live = self.shared.registry.live.subscribe();
        // The sender is in `self`, so that this cannot fail.
        let _ = live.wait_for(|live| *live == 0).await;
    }
}

/// A reservation for one session, which counts as live. Released on drop.
pub struct Reservation {
    id: Uuid,
    label: String,
    shared: Arc<Shared>,
}

impl Reservation {
    /// The id that the session will have.
    #[must_use]
    pub fn session(&self) -> Uuid {
        self.id
    }

    /// Starts the session, connecting at once. Must be called in a tokio runtime.
    #[must_use = "dropping the viewer ends the session"]
    pub fn open(self, request: Request) -> Viewer {
        let config = self.shared.config();
        let session = self.id;
        let (input, queue) = InputQueue::new(config.input_queue);
        let (sender, events) = mpsc::channel(config.output_queue.max(1));
        let state = Arc::new(ViewerState::new());
        let span = tracing::info_span!("session", id = %session, workspace = %self.label);
        let terminated = CancellationToken::new();
        let viewer =
            Viewer { session, input, events, state: Arc::clone(&state), terminated: terminated.clone() };
        let task = async move {
            let reservation = self;
            let shared = &reservation.shared;
            let (counts, killed) = shared.registry.of(session);
            let run = run::Run {
                config: &config,
                events: &sender,
                drain: &shared.drain,
                terminated: &terminated,
                state: &state,
                counts: &counts,
                reporter: SessionReporter::new(request.observer.as_deref(), &counts),
            };
            run.run(shared.connect.as_ref(), &request, queue, killed).await;
        };
        tokio::spawn(task.instrument(span));
        viewer
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation").field("session", &self.id).finish_non_exhaustive()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.registry.remove(self.id);
    }
}
