//! `-L`, `-R` and `-D` of `eice ssh`, and its agent: listeners here and on the instance, and what is carried between
//! them.

mod agent;
mod carry;
mod lanes;
mod listen;
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
use lanes::{Lane, Lanes};
use listen::{Listener, Local};
use socks::Request;
pub(crate) use spec::InvalidForward;
use spec::{DynamicForward, LocalForward, RemoteForward};

use super::failure::Failure;
use super::raw;
use super::ready::{Forward, ForwardKind};
use crate::connect::Connector;
use crate::model::{InstanceTarget, StageObserver, escape_control};
use crate::ssh::{ForwardAddress, ForwardError};

/// The most forwarded connections at once. Each may hold about 3 MiB that its reader has not taken.
const MAX_CONNECTIONS: usize = 256;

/// How long a SOCKS client may take to say where it wants to go.
const SOCKS_TIMEOUT: Duration = Duration::from_secs(30);

/// What is forwarded.
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

/// The listeners of this side, before there is a connection.
#[derive(Default)]
pub(crate) struct Listeners {
    bound: Vec<(Way, Vec<Listener>)>,
    remote: Vec<RemoteForward>,
    /// What listens where.
    told: Vec<Forward>,
}

impl ForwardArgs {
    /// One `-L`.
    ///
    /// # Errors
    /// What is wrong with `spec`.
    pub(crate) fn local(spec: &str) -> Result<Self, InvalidForward> {
        Ok(Self { local: vec![spec.parse()?], ..Self::default() })
    }

    /// Listens wherever that is asked for here: what cannot be is known before anything is asked of AWS.
    ///
    /// # Errors
    /// When a port or a socket is in use, or not ours to take.
    pub(crate) async fn listen(&self) -> Result<Listeners, Failure> {
        let mut listeners = Listeners { remote: self.remote.clone(), ..Listeners::default() };
        let local = self.local.iter().cloned().map(Way::Local);
        for way in local.chain(self.dynamic.iter().cloned().map(Way::Dynamic)) {
            listeners.add(way).await?;
        }
        Ok(listeners)
    }

    /// Whether anything is to be forwarded.
    pub(crate) fn is_empty(&self) -> bool {
        self.local.is_empty() && self.remote.is_empty() && self.dynamic.is_empty()
    }
}

impl Listeners {
    async fn add(&mut self, mut way: Way) -> Result<(), Failure> {
        let bound = listen::bind(way.listen()).await?;
        let Some(at) = bound.first().map(Listener::address) else { return Ok(()) };
        let (kind, to) = match &way {
            Way::Local(forward) => (ForwardKind::Local, Some(forward.to.to_string())),
            Way::Dynamic(_) => (ForwardKind::Dynamic, None),
        };
        self.told.push(Forward::new(kind, at.to_string(), to));
        if matches!(way.listen(), ForwardAddress::Tcp { port: 0, .. }) {
            tell(&format!("{way} listens on {at}"));
            *way.listen_mut() = at;
        }
        self.bound.push((way, bound));
        Ok(())
    }
}

/// Where the connections to a local listener go.
#[derive(Clone, Debug)]
enum Way {
    Local(LocalForward),
    Dynamic(DynamicForward),
}

impl Way {
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

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(forward) => forward.fmt(f),
            Self::Dynamic(forward) => forward.fmt(f),
        }
    }
}

/// Forwarding under way. Dropped, it ends with all its connections.
pub(crate) struct Forwards {
    shared: Arc<Shared>,
    listening: JoinSet<()>,
    first: Option<Arc<Lane>>,
    /// What listens where.
    pub(crate) told: Vec<Forward>,
    _stop: DropGuard,
}

/// What all forwarded connections know.
struct Shared {
    lanes: Lanes,
    is_quiet: bool,
    slots: Semaphore,
    is_full: AtomicBool,
    open: Mutex<BTreeMap<u64, String>>,
    next: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Forwards {
    /// Starts to forward by SSH connections to `target` that `connector` makes. One is made at once where the instance
    /// listens, or when `at_once`; else with the first forwarded connection.
    ///
    /// # Errors
    /// When that connection cannot be made, or the instance does not listen.
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
            lanes: Lanes::new(connector, target),
            is_quiet,
            slots: Semaphore::new(MAX_CONNECTIONS),
            is_full: AtomicBool::new(false),
            open: Mutex::default(),
            next: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        });
        let Listeners { bound, remote, mut told } = listeners;
        let mut listening = JoinSet::new();
        let first = match at_once || !remote.is_empty() {
            true => Some(shared.lanes.first(observer).await?),
            false => None,
        };
        if let Some(first) = &first {
            for forward in remote {
                let (forward, offering) = remote::listen(forward, first).await?;
                let to = Some(forward.to.to_string());
                told.push(Forward::new(ForwardKind::Remote, forward.listen.to_string(), to));
                let shared = Arc::clone(&shared);
                listening.spawn(remote::serve(shared, Arc::clone(first), forward, offering));
            }
        }
        for (way, listeners) in bound {
            for listener in listeners {
                listening.spawn(serve(Arc::clone(&shared), way.clone(), listener));
            }
        }
        Ok(Self { shared, listening, first, told, _stop: stop.drop_guard() })
    }

    /// Waits until the SSH connection that was made at once is gone, and says why where that is known.
    pub(crate) async fn lost(&self) -> Option<String> {
        match &self.first {
            Some(first) => first.host.closed().await,
            None => std::future::pending().await,
        }
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.shared.open().len()
    }

    /// What listens and what is open, a line each: for `~#`.
    pub(crate) fn listing(&self) -> Listing {
        let mut head = String::from("forwards:\n");
        for forward in &self.told {
            head.push_str(&format!("  {forward}\n"));
        }
        Listing { head, shared: Some(Arc::clone(&self.shared)) }
    }

    /// Listens no longer, and waits until the connections that are open have ended.
    pub(crate) async fn drain(&mut self) {
        self.listening.shutdown().await;
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Ends it all and waits, within a bound, until nothing of it is left here.
    pub(crate) async fn close(mut self) {
        self.shared.stop.cancel();
        self.drain().await;
        self.shared.lanes.close().await;
    }
}

/// What `~#` prints.
#[derive(Clone, Default)]
pub(crate) struct Listing {
    head: String,
    shared: Option<Arc<Shared>>,
}

impl Listing {
    /// The lines as they are now.
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

/// Takes the connections to a local listener.
async fn serve(shared: Arc<Shared>, way: Way, listener: Listener) {
    loop {
        let (local, peer) = listener.accept().await;
        let (one, way) = (Arc::clone(&shared), way.clone());
        shared.spawn(async move { one.connection(local, peer, &way).await });
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

    /// One connection to a local listener. What goes wrong with it is told and ends nothing else.
    async fn connection(&self, mut local: Local, peer: Option<SocketAddr>, way: &Way) {
        let Some(_open) =
            self.enter(peer.map_or_else(|| way.to_string(), |peer| format!("{way}, from {peer}")))
        else {
            return;
        };
        let request = match way {
            Way::Local(_) => None,
            Way::Dynamic(_) => match tokio::time::timeout(SOCKS_TIMEOUT, Request::read(&mut local)).await {
                Ok(Ok(request)) => Some(request),
                Ok(Err(socks::SocksError::Io(_))) => return,
                Ok(Err(error)) => return self.complain(&format!("{way}: {error}")),
                Err(_) => return self.complain(&format!("{way}: a client did not say where it wants to go")),
            },
        };
        let to = match (way, &request) {
            (_, Some(request)) => &request.to,
            (Way::Local(forward), None) => &forward.to,
            (Way::Dynamic(_), None) => return,
        };
        let seat = match self.lanes.seat().await {
            Ok(seat) => seat,
            Err(why) => return self.complain(&format!("{way}: no connection to the instance: {why}")),
        };
        let opened = seat.forward(to, peer).await;
        if let Some(request) = &request
            && request.answer(&mut local, opened.as_ref().map(|_| ())).await.is_err()
        {
            return;
        }
        match opened {
            Ok(far) => {
                if let Err(error) = carry::carry(local, far).await {
                    tracing::debug!(%way, %to, %error, "a forwarded connection broke");
                }
            }
            Err(error) => self.complain(&format!("{way}: {}", refusal(to, &error))),
        }
        drop(seat);
        self.lanes.tidy().await;
    }

    /// A place among the open connections, unless there are too many.
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
            tell(text);
        }
    }
}

/// An open connection, in the listing for as long as it is.
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

/// Why the instance does not connect to `to`, and what to look at.
fn refusal(to: &ForwardAddress, error: &ForwardError) -> String {
    match error {
        ForwardError::Prohibited => format!(
            "{to}: {error}: AllowTcpForwarding, AllowStreamLocalForwarding or PermitOpen in its sshd_config"
        ),
        ForwardError::Unreachable => format!("{to}: {error}: nobody listens there, or the name is not known"),
        _ => format!("{to}: {error}"),
    }
}

/// Tells a line on stderr, whatever mode the terminal is in.
fn tell(text: &str) {
    super::say(&format!("eice: {}{}", escape_control(text), raw::line_end()));
}
