//! `-L`, `-R`, `-D` and `-A` of `eice ssh`: local and remote listeners, and the forwarded connections.

mod agent;
mod carry;
mod listen;
mod pool;
mod remote;
mod socks;
mod spec;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub(crate) use agent::Agent;
use listen::{Listener, Local};
use pool::{ConnectionPool, PooledConnection};
use socks::Request;
pub(crate) use spec::InvalidForward;
use spec::{DynamicForward, LocalForward, RemoteForward};

use super::failure::Failure;
use super::raw;
use super::ready::{Forward, ForwardKind};
use crate::connect::Connector;
use crate::model::{InstanceTarget, StageObserver, escape_control};
use crate::ssh::{ForwardAddress, ForwardError};

/// The most concurrent forwarded connections. Each may buffer about 3 MiB for a slow reader.
const MAX_CONNECTIONS: usize = 256;

/// How long a SOCKS client may take to send its request.
const SOCKS_TIMEOUT: Duration = Duration::from_secs(30);

/// The forwards of the command line.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Forwarding")]
pub(crate) struct ForwardArgs {
    /// Listen here; connect from the instance to HOST:HOSTPORT, or a socket's path; repeatable
    #[arg(short = 'L', value_name = "[BIND:]PORT:HOST:HOSTPORT")]
    local: Vec<LocalForward>,

    /// Listen on the instance; connect from here; port 0 lets sshd choose and prints it; repeatable
    #[arg(short = 'R', value_name = "[BIND:]PORT:HOST:HOSTPORT")]
    remote: Vec<RemoteForward>,

    /// SOCKS 4, 4a and 5 here; connects from the instance, which also resolves names; repeatable
    #[arg(short = 'D', value_name = "[BIND:]PORT")]
    dynamic: Vec<DynamicForward>,
}

/// The local listeners, before the connection is made.
#[derive(Default)]
pub(crate) struct Listeners {
    bound: Vec<(ListenerTarget, Vec<Listener>)>,
    remote: Vec<RemoteForward>,
    /// The forwards, for the output.
    announced: Vec<Forward>,
}

impl ForwardArgs {
    /// Parses one `-L`.
    ///
    /// # Errors
    /// When `spec` is invalid.
    pub(crate) fn local(spec: &str) -> Result<Self, InvalidForward> {
        Ok(Self { local: vec![spec.parse()?], ..Self::default() })
    }

    /// Opens the local listeners, so that an address in use is reported before any AWS call.
    ///
    /// # Errors
    /// When a port or a socket is in use or not permitted.
    pub(crate) async fn listen(&self) -> Result<Listeners, Failure> {
        let mut listeners = Listeners { remote: self.remote.clone(), ..Listeners::default() };
        let local = self.local.iter().cloned().map(ListenerTarget::Local);
        for target in local.chain(self.dynamic.iter().cloned().map(ListenerTarget::Dynamic)) {
            listeners.add(target).await?;
        }
        Ok(listeners)
    }

    /// Returns whether nothing is to be forwarded.
    pub(crate) fn is_empty(&self) -> bool {
        self.local.is_empty() && self.remote.is_empty() && self.dynamic.is_empty()
    }
}

impl Listeners {
    async fn add(&mut self, mut target: ListenerTarget) -> Result<(), Failure> {
        let bound = listen::bind(target.listen()).await?;
        let Some(at) = bound.first().map(Listener::address) else { return Ok(()) };
        let (kind, to) = match &target {
            ListenerTarget::Local(forward) => (ForwardKind::Local, Some(forward.to.to_string())),
            ListenerTarget::Dynamic(_) => (ForwardKind::Dynamic, None),
        };
        self.announced.push(Forward::new(kind, at.to_string(), to));
        if matches!(target.listen(), ForwardAddress::Tcp { port: 0, .. }) {
            print(&format!("{target} listens on {at}"));
            *target.listen_mut() = at;
        }
        self.bound.push((target, bound));
        Ok(())
    }
}

/// The target of the connections to a local listener.
#[derive(Clone, Debug)]
enum ListenerTarget {
    Local(LocalForward),
    Dynamic(DynamicForward),
}

impl ListenerTarget {
    fn listen(&self) -> &ForwardAddress {
        match self {
            Self::Local(forward) => &forward.listen,
            Self::Dynamic(forward) => &forward.listen,
        }
    }

    fn listen_mut(&mut self) -> &mut ForwardAddress {
        match self {
            Self::Local(forward) => &mut forward.listen,
            Self::Dynamic(forward) => &mut forward.listen,
        }
    }
}

impl std::fmt::Display for ListenerTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(forward) => forward.fmt(f),
            Self::Dynamic(forward) => forward.fmt(f),
        }
    }
}

/// Running forwards. They end, with all connections, on drop.
pub(crate) struct Forwards {
    shared: Arc<Shared>,
    listening: JoinSet<()>,
    first: Option<Arc<PooledConnection>>,
    /// The forwards, for the output.
    pub(crate) announced: Vec<Forward>,
    _stop: DropGuard,
}

/// State shared by all forwarded connections.
struct Shared {
    pool: ConnectionPool,
    is_quiet: bool,
    slots: Semaphore,
    is_full: AtomicBool,
    open: Mutex<BTreeMap<u64, String>>,
    next: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Forwards {
    /// Starts forwarding by SSH connections to `target`, made by `connector`. One is made at once for remote listeners,
    /// or when `at_once`; otherwise with the first forwarded connection.
    ///
    /// # Errors When that connection fails, or the instance cannot listen.
    pub(crate) async fn start(
        listeners: Listeners,
        connector: Arc<Connector>,
        target: InstanceTarget,
        at_once: bool,
        is_quiet: bool,
        observer: &dyn StageObserver,
    ) -> Result<Self, Failure> {
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            pool: ConnectionPool::new(connector, target),
            is_quiet,
            slots: Semaphore::new(MAX_CONNECTIONS),
            is_full: AtomicBool::new(false),
            open: Mutex::default(),
            next: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        });
        let Listeners { bound, remote, mut announced } = listeners;
        let mut listening = JoinSet::new();
        let first = match at_once || !remote.is_empty() {
            true => Some(shared.pool.first(observer).await?),
            false => None,
        };
        if let Some(first) = &first {
            for forward in remote {
                let (forward, offering) = remote::listen(forward, first).await?;
                let to = Some(forward.to.to_string());
                announced.push(Forward::new(ForwardKind::Remote, forward.listen.to_string(), to));
                let shared = Arc::clone(&shared);
                listening.spawn(remote::serve(shared, Arc::clone(first), forward, offering));
            }
        }
        for (target, listeners) in bound {
            for listener in listeners {
                listening.spawn(serve(Arc::clone(&shared), target.clone(), listener));
            }
        }
        Ok(Self { shared, listening, first, announced, _stop: stop.drop_guard() })
    }

    /// Waits until the SSH connection that was made at once ends; returns the reason, if known.
    pub(crate) async fn lost(&self) -> Option<String> {
        match &self.first {
            Some(first) => first.host.closed().await,
            None => std::future::pending().await,
        }
    }

    /// Returns the number of open connections.
    pub(crate) fn open(&self) -> usize {
        self.shared.open().len()
    }

    /// Returns the listing for `~#`: the forwards and the open connections.
    pub(crate) fn listing(&self) -> Listing {
        let mut head = String::from("forwards:\n");
        for forward in &self.announced {
            head.push_str(&format!("  {forward}\n"));
        }
        Listing { head, shared: Some(Arc::clone(&self.shared)) }
    }

    /// Stops listening and waits for the open connections to end.
    pub(crate) async fn drain(&mut self) {
        self.listening.shutdown().await;
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Ends all forwards and waits, within a bound, until nothing local is left.
    pub(crate) async fn close(mut self) {
        self.shared.stop.cancel();
        self.drain().await;
        self.shared.pool.close().await;
    }
}

/// What `~#` prints.
#[derive(Clone, Default)]
pub(crate) struct Listing {
    head: String,
    shared: Option<Arc<Shared>>,
}

impl Listing {
    /// Returns the current lines.
    pub(crate) fn lines(&self) -> String {
        let Some(shared) = &self.shared else { return "nothing is forwarded\n".into() };
        let mut text = self.head.clone();
        let open = shared.open();
        text.push_str(&format!("open connections: {}\n", open.len()));
        for connection in open.values() {
            text.push_str(&format!("  {connection}\n"));
        }
        text
    }
}

/// Accepts the connections of a local listener.
async fn serve(shared: Arc<Shared>, target: ListenerTarget, listener: Listener) {
    loop {
        let (local, peer) = listener.accept().await;
        let (one, target) = (Arc::clone(&shared), target.clone());
        shared.spawn(async move { one.connection(local, peer, &target).await });
    }
}

impl Shared {
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Serves one connection of a local listener. Its errors are printed and end nothing else.
    async fn connection(&self, mut local: Local, peer: Option<SocketAddr>, target: &ListenerTarget) {
        let Some(_open) =
            self.enter(peer.map_or_else(|| target.to_string(), |peer| format!("{target}, from {peer}")))
        else {
            return;
        };
        let request = match target {
            ListenerTarget::Local(_) => None,
            ListenerTarget::Dynamic(_) => {
                match tokio::time::timeout(SOCKS_TIMEOUT, Request::read(&mut local)).await {
                    Ok(Ok(request)) => Some(request),
                    Ok(Err(socks::SocksError::Io(_))) => return,
                    Ok(Err(error)) => return self.complain(&format!("{target}: {error}")),
                    Err(_) => {
                        return self
                            .complain(&format!("{target}: a client did not say where it wants to go"));
                    }
                }
            }
        };
        let to = match (target, &request) {
            (_, Some(request)) => &request.to,
            (ListenerTarget::Local(forward), None) => &forward.to,
            (ListenerTarget::Dynamic(_), None) => return,
        };
        let lease = match self.pool.lease().await {
            Ok(lease) => lease,
            Err(why) => return self.complain(&format!("{target}: no connection to the instance: {why}")),
        };
        let opened = lease.forward(to, peer).await;
        if let Some(request) = &request
            && request.answer(&mut local, opened.as_ref().map(|_| ())).await.is_err()
        {
            return;
        }
        match opened {
            Ok(far) => {
                if let Err(error) = carry::carry(local, far).await {
                    tracing::debug!(%target, %to, %error, "a forwarded connection broke");
                }
            }
            Err(error) => self.complain(&format!("{target}: {}", refusal(to, &error))),
        }
        drop(lease);
        self.pool.tidy().await;
    }

    /// Registers an open connection, unless there are too many.
    fn enter(&self, what: String) -> Option<Entry<'_>> {
        let Ok(permit) = self.slots.try_acquire() else {
            if !self.is_full.swap(true, Ordering::Relaxed) {
                self.complain(&format!(
                    "{MAX_CONNECTIONS} forwarded connections are open; further ones are closed at once"
                ));
            }
            return None;
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.open().insert(id, what);
        Some(Entry { shared: self, id, _permit: permit })
    }

    fn open(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complain(&self, text: &str) {
        if !self.is_quiet {
            print(text);
        }
    }
}

/// An open connection, removed from the listing on drop.
struct Entry<'a> {
    shared: &'a Shared,
    id: u64,
    _permit: tokio::sync::SemaphorePermit<'a>,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.shared.open().remove(&self.id);
        self.shared.is_full.store(false, Ordering::Relaxed);
    }
}

/// Returns why the instance does not connect to `to`, with a hint.
fn refusal(to: &ForwardAddress, error: &ForwardError) -> String {
    match error {
        ForwardError::Prohibited => format!(
            "{to}: {error}: AllowTcpForwarding, AllowStreamLocalForwarding or PermitOpen in its sshd_config"
        ),
        ForwardError::Unreachable => format!("{to}: {error}: nothing listens there, or the name is unknown"),
        _ => format!("{to}: {error}"),
    }
}

/// Prints a line on stderr, in whatever mode the terminal is.
fn print(text: &str) {
    super::say(&format!("eice: {}{}", escape_control(text), raw::line_end()));
}
