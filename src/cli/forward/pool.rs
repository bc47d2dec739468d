//! The pool of SSH connections for forwarded connections.
//!
//! They are separate from the terminal's connection: a stalled reader blocks its whole SSH connection (see
//! [`ForwardStream`]), which must not block a terminal. For the same reason there are several: a new forward uses
//! another SSH connection while one is blocked. Forwards on the blocked one wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::print;
use crate::cli::failure::Failure;
use crate::connect::{Connector, SshHost};
use crate::model::{Host, InstanceTarget, StageObserver};
use crate::ssh::{ForwardAddress, ForwardError, ForwardStream};

/// The most SSH connections for forwards, each a tunnel: an endpoint carries 20 in total.
pub(super) const MAX_CONNECTIONS: usize = 4;

/// The pause after a failed connection before the next attempt: a browser makes many requests at once.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Opens the connections and chooses among them.
pub(super) struct ConnectionPool {
    connector: Arc<Connector>,
    target: InstanceTarget,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: Vec<Arc<PooledConnection>>,
    failed: Option<(Instant, String)>,
}

/// One SSH connection.
pub(super) struct PooledConnection {
    pub(super) host: SshHost,
    open: AtomicUsize,
    is_reported: AtomicBool,
}

impl PooledConnection {
    fn is_free(&self) -> bool {
        !self.host.is_closed() && !self.host.is_stalled()
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// The right to use one connection for one forward.
pub(super) struct Lease(Arc<PooledConnection>);

impl Lease {
    pub(super) fn on(connection: &Arc<PooledConnection>) -> Self {
        connection.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connection))
    }

    pub(super) async fn forward(
        &self,
        to: &ForwardAddress,
        from: Option<std::net::SocketAddr>,
    ) -> Result<ForwardStream, ForwardError> {
        self.0.host.forward(to, from).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ConnectionPool {
    pub(super) fn new(connector: Arc<Connector>, target: InstanceTarget) -> Self {
        Self { connector, target, state: Mutex::default() }
    }

    /// Opens the first connection now and reports its stages to `observer`.
    pub(super) async fn first(&self, observer: &dyn StageObserver) -> Result<Arc<PooledConnection>, Failure> {
        let mut state = self.state.lock().await;
        self.dial(&mut state, observer).await
    }

    /// Leases a connection that is not blocked, and opens one if needed.
    ///
    /// # Errors
    /// When it cannot be opened, in one line.
    pub(super) async fn lease(&self) -> Result<Lease, String> {
        let mut state = self.state.lock().await;
        state.connections.retain(|connection| !connection.host.is_closed());
        let fewest = |all: &mut dyn Iterator<Item = &Arc<PooledConnection>>| {
            all.min_by_key(|connection| connection.open()).cloned()
        };
        if let Some(connection) =
            fewest(&mut state.connections.iter().filter(|connection| connection.is_free()))
        {
            return Ok(Lease::on(&connection));
        }
        for connection in &state.connections {
            if !connection.is_reported.swap(true, Ordering::Relaxed) {
                let others = connection.open().saturating_sub(1);
                print(&format!(
                    "a forwarded connection is not being read and holds up the others on its SSH connection \
                     ({others}); new ones go by another"
                ));
            }
        }
        if state.connections.len() >= MAX_CONNECTIONS
            && let Some(connection) = fewest(&mut state.connections.iter())
        {
            print(&format!(
                "all {MAX_CONNECTIONS} SSH connections for forwards are held up; a new one waits"
            ));
            return Ok(Lease::on(&connection));
        }
        if let Some((at, why)) = &state.failed
            && at.elapsed() < RETRY_AFTER
        {
            return Err(why.clone());
        }
        match self.dial(&mut state, &|_| {}).await {
            Ok(connection) => Ok(Lease::on(&connection)),
            Err(failure) => {
                let why = failure.render().trim_start_matches("eice: ").trim_end().replace("\n", ";");
                state.failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    async fn dial(
        &self,
        state: &mut State,
        observer: &dyn StageObserver,
    ) -> Result<Arc<PooledConnection>, Failure> {
        let host = self.connector.connect_ssh(&self.target, observer).await?;
        let connection = Arc::new(PooledConnection {
            host,
            open: AtomicUsize::new(0),
            is_reported: AtomicBool::new(false),
        });
        state.connections.push(Arc::clone(&connection));
        state.failed = None;
        Ok(connection)
    }

    /// Closes an unused connection if an earlier one can be used.
    pub(super) async fn tidy(&self) {
        let idle: Vec<_> = {
            let mut state = self.state.lock().await;
            let mut has_free = false;
            let mut is_idle = |connection: &mut Arc<PooledConnection>| {
                let is_idle = has_free && connection.open() == 0;
                has_free |= connection.is_free();
                is_idle
            };
            state.connections.extract_if(.., |connection| is_idle(connection)).collect()
        };
        for connection in idle {
            connection.host.close().await;
        }
    }

    /// Closes all connections.
    pub(super) async fn close(&self) {
        let connections = std::mem::take(&mut self.state.lock().await.connections);
        futures_util::future::join_all(connections.iter().map(|connection| connection.host.close())).await;
    }
}
