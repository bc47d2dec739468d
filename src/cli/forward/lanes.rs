//! The SSH connections that forwarded connections share.
//!
//! They are apart from the terminal's: a reader that stops holds its whole connection up (see
//! [`ForwardStream`]), and a terminal must not wait for it. For the same reason there are several: what comes while
//! one is held up goes by another. What is on that one already waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::tell;
use crate::cli::failure::Failure;
use crate::connect::{Connector, SshHost};
use crate::model::{Host, InstanceTarget, StageObserver};
use crate::ssh::{ForwardAddress, ForwardError, ForwardStream};

/// The most SSH connections for forwards at once, each a tunnel: an endpoint carries 20 in all.
pub(super) const MAX_LANES: usize = 4;

/// For so long after a connection could not be made no other is tried: a browser asks many times at once.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Makes the connections and chooses among them.
pub(super) struct Lanes {
    connector: Arc<Connector>,
    target: InstanceTarget,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lanes: Vec<Arc<Lane>>,
    failed: Option<(Instant, String)>,
}

/// One SSH connection.
pub(super) struct Lane {
    pub(super) host: SshHost,
    open: AtomicUsize,
    is_told: AtomicBool,
}

impl Lane {
    fn is_free(&self) -> bool {
        !self.host.is_closed() && !self.host.is_stalled()
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// A place on a lane.
pub(super) struct Seat(Arc<Lane>);

impl Seat {
    pub(super) fn on(lane: &Arc<Lane>) -> Self {
        lane.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(lane))
    }

    pub(super) async fn forward(
        &self,
        to: &ForwardAddress,
        from: Option<std::net::SocketAddr>,
    ) -> Result<ForwardStream, ForwardError> {
        self.0.host.forward(to, from).await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lanes {
    pub(super) fn new(connector: Arc<Connector>, target: InstanceTarget) -> Self {
        Self { connector, target, state: Mutex::default() }
    }

    /// Opens the first connection now, telling `observer` of its stages.
    pub(super) async fn first(&self, observer: &dyn StageObserver) -> Result<Arc<Lane>, Failure> {
        let mut state = self.state.lock().await;
        self.dial(&mut state, observer).await
    }

    /// A place on a connection that is not held up, which is made if need be.
    ///
    /// # Errors
    /// When it cannot be made; in one line.
    pub(super) async fn seat(&self) -> Result<Seat, String> {
        let mut state = self.state.lock().await;
        state.lanes.retain(|lane| !lane.host.is_closed());
        let fewest =
            |lanes: &mut dyn Iterator<Item = &Arc<Lane>>| lanes.min_by_key(|lane| lane.open()).cloned();
        if let Some(lane) = fewest(&mut state.lanes.iter().filter(|lane| lane.is_free())) {
            return Ok(Seat::on(&lane));
        }
        for lane in &state.lanes {
            if !lane.is_told.swap(true, Ordering::Relaxed) {
                let others = lane.open().saturating_sub(1);
                tell(&format!(
                    "a forwarded connection is not being read and holds up the others on its SSH connection \
                     ({others}); new ones go by another"
                ));
            }
        }
        if state.lanes.len() >= MAX_LANES
            && let Some(lane) = fewest(&mut state.lanes.iter())
        {
            tell(&format!("all {MAX_LANES} SSH connections for forwards are held up; a new one waits"));
            return Ok(Seat::on(&lane));
        }
        if let Some((at, why)) = &state.failed
            && at.elapsed() < RETRY_AFTER
        {
            return Err(why.clone());
        }
        match self.dial(&mut state, &|_| {}).await {
            Ok(lane) => Ok(Seat::on(&lane)),
            Err(failure) => {
                let why = failure.render().trim_start_matches("eice: ").trim_end().replace("\n", ";");
                state.failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    async fn dial(&self, state: &mut State, observer: &dyn StageObserver) -> Result<Arc<Lane>, Failure> {
        let host = self.connector.connect_ssh(&self.target, observer).await?;
        let lane = Arc::new(Lane { host, open: AtomicUsize::new(0), is_told: AtomicBool::new(false) });
        state.lanes.push(Arc::clone(&lane));
        state.failed = None;
        Ok(lane)
    }

    /// Closes what nothing is on and nobody needs: a connection before it is free to be used.
    pub(super) async fn tidy(&self) {
        let idle: Vec<_> = {
            let mut state = self.state.lock().await;
            let mut has_free = false;
            let mut is_idle = |lane: &mut Arc<Lane>| {
                let is_idle = has_free && lane.open() == 0;
                has_free |= lane.is_free();
                is_idle
            };
            state.lanes.extract_if(.., |lane| is_idle(lane)).collect()
        };
        for lane in idle {
            lane.host.close().await;
        }
    }

    /// Says goodbye to all of them.
    pub(super) async fn close(&self) {
        let lanes = std::mem::take(&mut self.state.lock().await.lanes);
        futures_util::future::join_all(lanes.iter().map(|lane| lane.host.close())).await;
    }
}
