//! Channels that the server opens to us: only those that were requested, and at most as many as are accepted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::sync::{MutexGuard, mpsc};

use super::{ForwardAddress, ForwardStream};
use crate::ssh::link::Link;

/// Connections of one listener that wait to be accepted; further ones are refused.
const OFFER_QUEUE: usize = 64;

/// A connection made at the server that waits for an answer; it is refused if it is dropped.
pub struct Offer {
    channel: Channel<Msg>,
    answer: ChannelOpenHandle,
    link: Arc<Link>,
    from: String,
}

impl Offer {
    pub(in crate::ssh) fn new(
        channel: Channel<Msg>,
        answer: ChannelOpenHandle,
        link: Arc<Link>,
        from: String,
    ) -> Self {
        Self { channel, answer, link, from }
    }

    /// Returns the originator, as the server reports it.
    #[must_use]
    pub fn from(&self) -> &str {
        &self.from
    }

    /// Accepts the connection.
    pub async fn accept(self) -> ForwardStream {
        self.answer.accept().await;
        ForwardStream::start(self.channel, self.link)
    }

    /// Refuses the connection because its target cannot be reached.
    pub async fn refuse(self) {
        self.answer.reject(ChannelOpenFailure::ConnectFailed).await;
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer").field("from", &self.from).finish_non_exhaustive()
    }
}

/// The connections that a server opens for one request to forward.
pub struct Offering {
    offers: mpsc::Receiver<Offer>,
    registry: Arc<Offers>,
    id: u64,
    address: Option<ForwardAddress>,
}

impl Offering {
    /// Returns the next connection; `None` when the SSH connection was closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Offer> {
        self.offers.recv().await
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
        let mut takers = self.registry.takers();
        if let Some(taker) = takers.iter_mut().find(|taker| taker.id == self.id) {
            taker.address.clone_from(&self.address);
        }
    }
}

impl Drop for Offering {
    fn drop(&mut self) {
        self.registry.takers().retain(|taker| taker.id != self.id);
    }
}

impl fmt::Debug for Offering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offering").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Where the connections to `address` go, or to the agent if it is `None`.
struct Taker {
    id: u64,
    address: Option<ForwardAddress>,
    offers: mpsc::Sender<Offer>,
}

/// The listeners of one connection.
#[derive(Default)]
pub(in crate::ssh) struct Offers {
    takers: Mutex<Vec<Taker>>,
    next_id: AtomicU64,
    asking: tokio::sync::Mutex<()>,
}

impl Offers {
    /// Waits until no other request to listen is pending.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.asking.lock().await
    }

    pub(super) fn listen(self: &Arc<Self>, at: &ForwardAddress) -> Offering {
        self.take(Some(at.clone()))
    }

    pub(super) fn agent(self: &Arc<Self>) -> Offering {
        self.take(None)
    }

    fn take(self: &Arc<Self>, address: Option<ForwardAddress>) -> Offering {
        let (send, offers) = mpsc::channel(OFFER_QUEUE);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.takers().push(Taker { id, address: address.clone(), offers: send });
        Offering { offers, registry: Arc::clone(self), id, address }
    }

    /// Returns whether new sessions should request agent forwarding.
    pub(in crate::ssh) fn has_agent(&self) -> bool {
        self.takers().iter().any(|taker| taker.address.is_none())
    }

    /// Passes a connection to the agent on, or refuses it.
    pub(in crate::ssh) async fn offer_agent(&self, offer: Offer) {
        self.hand_over(offer, |takers| takers.iter().find(|taker| taker.address.is_none())).await;
    }

    /// Passes a connection to the listener at `at` on, or refuses it.
    pub(in crate::ssh) async fn offer(&self, at: &ForwardAddress, offer: Offer) {
        self.hand_over(offer, |takers| listener(takers, at)).await;
    }

    /// Passes a connection on without waiting: this runs in the connection's task.
    async fn hand_over(&self, offer: Offer, find: impl Fn(&[Taker]) -> Option<&Taker>) {
        let refused = {
            let takers = self.takers();
            let Some(taker) = find(&takers) else { return };
            taker.offers.try_send(offer)
        };
        if let Err(mpsc::error::TrySendError::Full(offer)) = refused {
            offer.answer.reject(ChannelOpenFailure::ResourceShortage).await;
        }
    }

    fn takers(&self) -> std::sync::MutexGuard<'_, Vec<Taker>> {
        self.takers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds the listener at `at`: by the requested address, else by the port if only one has it (servers may spell the
/// host differently), else the one whose port is not known yet.
fn listener<'a>(takers: &'a [Taker], at: &ForwardAddress) -> Option<&'a Taker> {
    let is_exact = |taker: &&Taker| taker.address.as_ref() == Some(at);
    if let Some(exact) = takers.iter().find(is_exact) {
        return Some(exact);
    }
    let ForwardAddress::Tcp { port, .. } = at else { return None };
    let with_port = |wanted: u16| {
        let mut found = takers.iter().filter(
            move |taker| matches!(&taker.address, Some(ForwardAddress::Tcp { port, .. }) if *port == wanted),
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
    fn offer_reaches_its_own_listener() {
        let offers = Arc::new(Offers::default());
        let found =
            |at: &ForwardAddress| listener(&offers.takers(), at).and_then(|taker| taker.address.clone());
        assert_eq!(found(&tcp("localhost", 80)), None);

        let _one = offers.listen(&tcp("localhost", 80));
        let _two = offers.listen(&tcp("10.0.0.1", 81));
        let _three = offers.listen(&tcp("", 81));
        let _socket = offers.listen(&ForwardAddress::Socket("/run/a".into()));
        assert_eq!(found(&tcp("localhost", 80)), Some(tcp("localhost", 80)));
        assert_eq!(found(&tcp("127.0.0.1", 80)), Some(tcp("localhost", 80)), "by its port");
        assert_eq!(found(&tcp("", 81)), Some(tcp("", 81)));
        assert_eq!(found(&tcp("0.0.0.0", 81)), None, "two have that port");
        assert_eq!(found(&tcp("localhost", 82)), None, "not requested");
        assert_eq!(found(&ForwardAddress::Socket("/run/b".into())), None);

        let mut chosen = offers.listen(&tcp("localhost", 0));
        assert_eq!(found(&tcp("localhost", 40_000)), Some(tcp("localhost", 0)));
        chosen.is_at_port(40_000);
        assert_eq!(chosen.address(), Some(&tcp("localhost", 40_000)));
        assert_eq!(found(&tcp("localhost", 40_000)), Some(tcp("localhost", 40_000)));
        assert_eq!(found(&tcp("localhost", 40_001)), None, "the port is known now");
        drop(offers.listen(&tcp("localhost", 40_000)));
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
        let offers = Arc::new(Offers::default());
        assert!(!offers.has_agent());
        let offering = offers.agent();
        assert!(offers.has_agent() && offering.address().is_none());
        drop(offering);
        assert!(!offers.has_agent());
    }
}
