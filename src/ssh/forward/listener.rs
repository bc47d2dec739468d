//! Channels that the server opens to us: only those that were requested, and at most as many as are accepted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::sync::{MutexGuard, mpsc};

use super::address::ForwardAddress;
use super::stream::ForwardStream;
use crate::ssh::transport::Transport;

/// Connections of one listener that wait to be accepted; further ones are refused.
const ACCEPT_QUEUE: usize = 64;

/// A connection made at the server that waits for an answer; it is refused if it is dropped.
pub struct IncomingForward {
    channel: Channel<Msg>,
    answer: ChannelOpenHandle,
    transport: Arc<Transport>,
    from: String,
}

impl IncomingForward {
    pub(in crate::ssh) fn new(
        channel: Channel<Msg>,
        answer: ChannelOpenHandle,
        transport: Arc<Transport>,
        from: String,
    ) -> Self {
        Self { channel, answer, transport, from }
    }

    /// Returns the originator, as the server reports it.
    #[must_use]
    pub fn from(&self) -> &str {
        &self.from
    }

    /// Accepts the connection.
    pub async fn accept(self) -> ForwardStream {
        self.answer.accept().await;
        ForwardStream::start(self.channel, self.transport)
    }

    /// Refuses the connection because its target cannot be reached.
    pub async fn refuse(self) {
        self.answer.reject(ChannelOpenFailure::ConnectFailed).await;
    }
}

impl fmt::Debug for IncomingForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingForward").field("from", &self.from).finish_non_exhaustive()
    }
}

/// The connections that a server opens for one request to forward.
pub struct ForwardListener {
    incoming: mpsc::Receiver<IncomingForward>,
    registry: Arc<ForwardListeners>,
    id: u64,
    address: Option<ForwardAddress>,
}

impl ForwardListener {
    /// Returns the next connection; `None` when the SSH connection was closed. Cancel safe.
    pub async fn next(&mut self) -> Option<IncomingForward> {
        self.incoming.recv().await
    }

    /// Returns where the server listens, with the chosen port; `None` for an agent.
    #[must_use]
    pub fn address(&self) -> Option<&ForwardAddress> {
        self.address.as_ref()
    }

    /// Records the port that the server chose.
    pub(super) fn is_at_port(&mut self, chosen: u16) {
        if let Some(ForwardAddress::Tcp { port: port @ 0, .. }) = &mut self.address {
            *port = chosen;
        }
        let mut registrations = self.registry.registrations();
        if let Some(registration) = registrations.iter_mut().find(|registration| registration.id == self.id) {
            registration.address.clone_from(&self.address);
        }
    }
}

impl Drop for ForwardListener {
    fn drop(&mut self) {
        self.registry.registrations().retain(|registration| registration.id != self.id);
    }
}

impl fmt::Debug for ForwardListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardListener").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Where the connections to `address` go, or to the agent if it is `None`.
struct Registration {
    id: u64,
    address: Option<ForwardAddress>,
    incoming: mpsc::Sender<IncomingForward>,
}

/// The listeners of one connection.
#[derive(Default)]
pub(in crate::ssh) struct ForwardListeners {
    registrations: Mutex<Vec<Registration>>,
    next_id: AtomicU64,
    asking: tokio::sync::Mutex<()>,
}

impl ForwardListeners {
    /// Waits until no other request to listen is pending.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.asking.lock().await
    }

    pub(super) fn listen(self: &Arc<Self>, at: &ForwardAddress) -> ForwardListener {
        self.take(Some(at.clone()))
    }

    pub(super) fn agent(self: &Arc<Self>) -> ForwardListener {
        self.take(None)
    }

    fn take(self: &Arc<Self>, address: Option<ForwardAddress>) -> ForwardListener {
        let (send, incoming) = mpsc::channel(ACCEPT_QUEUE);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.registrations().push(Registration { id, address: address.clone(), incoming: send });
        ForwardListener { incoming, registry: Arc::clone(self), id, address }
    }

    /// Returns whether new sessions should request agent forwarding.
    pub(in crate::ssh) fn has_agent(&self) -> bool {
        self.registrations().iter().any(|registration| registration.address.is_none())
    }

    /// Passes a connection to the agent on, or refuses it.
    pub(in crate::ssh) async fn deliver_to_agent(&self, incoming: IncomingForward) {
        self.pass_on(incoming, |registrations| {
            registrations.iter().find(|registration| registration.address.is_none())
        })
        .await;
    }

    /// Passes a connection to the listener at `at` on, or refuses it.
    pub(in crate::ssh) async fn deliver(&self, at: &ForwardAddress, incoming: IncomingForward) {
        self.pass_on(incoming, |registrations| listener(registrations, at)).await;
    }

    /// Passes a connection on without waiting: this runs in the connection's task.
    async fn pass_on(
        &self,
        incoming: IncomingForward,
        find: impl Fn(&[Registration]) -> Option<&Registration>,
    ) {
        let refused = {
            let registrations = self.registrations();
            let Some(registration) = find(&registrations) else { return };
            registration.incoming.try_send(incoming)
        };
        if let Err(mpsc::error::TrySendError::Full(incoming)) = refused {
            incoming.answer.reject(ChannelOpenFailure::ResourceShortage).await;
        }
    }

    fn registrations(&self) -> std::sync::MutexGuard<'_, Vec<Registration>> {
        self.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds the listener at `at`: by the requested address, else by the port if only one has it (servers may spell the
/// host differently), else the one whose port is not known yet.
fn listener<'a>(registrations: &'a [Registration], at: &ForwardAddress) -> Option<&'a Registration> {
    let is_exact = |registration: &&Registration| registration.address.as_ref() == Some(at);
    if let Some(exact) = registrations.iter().find(is_exact) {
        return Some(exact);
    }
    let ForwardAddress::Tcp { port, .. } = at else { return None };
    let with_port = |wanted: u16| {
        let mut found = registrations.iter().filter(
            move |registration| matches!(&registration.address, Some(ForwardAddress::Tcp { port, .. }) if *port == wanted),
        );
        found.next().filter(|_| found.next().is_none())
    };
    with_port(*port).or_else(|| with_port(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> ForwardAddress {
        ForwardAddress::Tcp { host: host.into(), port }
    }

    #[test]
    fn incoming_reaches_its_own_listener() {
        let listeners = Arc::new(ForwardListeners::default());
        let found = |at: &ForwardAddress| {
            listener(&listeners.registrations(), at).and_then(|registration| registration.address.clone())
        };
        assert_eq!(found(&tcp("localhost", 80)), None);

        let _one = listeners.listen(&tcp("localhost", 80));
        let _two = listeners.listen(&tcp("10.0.0.1", 81));
        let _three = listeners.listen(&tcp("", 81));
        let _socket = listeners.listen(&ForwardAddress::Socket("/run/a".into()));
        assert_eq!(found(&tcp("localhost", 80)), Some(tcp("localhost", 80)));
        assert_eq!(found(&tcp("127.0.0.1", 80)), Some(tcp("localhost", 80)), "by its port");
        assert_eq!(found(&tcp("", 81)), Some(tcp("", 81)));
        assert_eq!(found(&tcp("0.0.0.0", 81)), None, "two have that port");
        assert_eq!(found(&tcp("localhost", 82)), None, "not requested");
        assert_eq!(found(&ForwardAddress::Socket("/run/b".into())), None);

        let mut chosen = listeners.listen(&tcp("localhost", 0));
        assert_eq!(found(&tcp("localhost", 40_000)), Some(tcp("localhost", 0)));
        chosen.is_at_port(40_000);
        assert_eq!(chosen.address(), Some(&tcp("localhost", 40_000)));
        assert_eq!(found(&tcp("localhost", 40_000)), Some(tcp("localhost", 40_000)));
        assert_eq!(found(&tcp("localhost", 40_001)), None, "the port is known now");
        drop(listeners.listen(&tcp("localhost", 40_000)));
        assert_eq!(
            found(&tcp("localhost", 40_000)),
            Some(tcp("localhost", 40_000)),
            "the other one was dropped"
        );
        drop(chosen);
        assert_eq!(found(&tcp("localhost", 40_000)), None);
    }

    #[test]
    fn agent_is_offered_until_dropped() {
        let listeners = Arc::new(ForwardListeners::default());
        assert!(!listeners.has_agent());
        let agent = listeners.agent();
        assert!(listeners.has_agent() && agent.address().is_none());
        drop(agent);
        assert!(!listeners.has_agent());
    }
}
