//! Connection limit with idle eviction: when full, the longest-idle connection is closed for a new one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Limits the number of connections. Cheap to clone.
///
/// A peer that only opens connections, or sends its requests byte by byte, cannot exclude others: at the limit, a new
/// connection evicts the longest-idle one. A connection whose request is being handled is busy; handling is bounded in
/// time.
#[derive(Clone, Debug)]
pub(super) struct ConnectionLimit {
    places: Arc<Semaphore>,
    quiet: Arc<Quiet>,
}

#[derive(Debug, Default)]
struct Quiet {
    connections: Mutex<Connections>,
    /// A connection became idle.
    more: Notify,
}

#[derive(Debug, Default)]
struct Connections {
    /// The next key of `idle`.
    next: u64,
    /// Keys grow with time: the first is the longest-idle connection.
    since: BTreeMap<u64, CancellationToken>,
}

impl Quiet {
    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Evicts the longest-idle connection. Returns whether there was one.
    fn make_room(&self) -> bool {
        let first = self.connections().since.pop_first();
        first.is_some_and(|(_, evicted)| {
            evicted.cancel();
            true
        })
    }
}

impl ConnectionLimit {
    /// Returns a limit of `places` connections, at least one.
    pub(super) fn new(places: usize) -> Self {
        let places = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        Self { places, quiet: Arc::default() }
    }

    /// Closes the longest-idle connection. Returns whether there was one.
    pub(super) fn evict(&self) -> bool {
        self.quiet.make_room()
    }

    /// Acquires a slot for an idle connection. At the limit, evicts the longest-idle connection, or waits if all are busy.
    /// Cancel safe.
    pub(super) async fn place(&self) -> Slot {
        let mut made = false;
        loop {
            let more = self.quiet.more.notified();
            made = made || (self.places.available_permits() == 0 && self.quiet.make_room());
            tokio::select! {
                Ok(permit) = Arc::clone(&self.places).acquire_owned() => {
                    let place = Slot {
                        quiet: Arc::clone(&self.quiet),
                        since: Mutex::default(),
                        evicted: CancellationToken::new(),
                        _permit: permit,
                    };
                    place.rests();
                    return place;
                }
                () = more, if !made => {}
            }
        }
    }
}

/// A connection's slot, released on drop.
#[derive(Debug)]
pub(super) struct Slot {
    quiet: Arc<Quiet>,
    /// The key in `idle`, while idle.
    since: Mutex<Option<u64>>,
    evicted: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    /// Resolves when the connection is evicted.
    pub(super) fn evicted(&self) -> WaitForCancellationFuture<'_> {
        self.evicted.cancelled()
    }

    /// Marks the connection as busy: it is not evicted.
    pub(super) fn asks(&self) {
        if let Some(number) = self.since().take() {
            self.quiet.connections().since.remove(&number);
        }
    }

    /// Marks the connection as idle from now on.
    pub(super) fn rests(&self) {
        let mut since = self.since();
        let mut connections = self.quiet.connections();
        if let Some(number) = since.take() {
            connections.since.remove(&number);
        }
        let number = connections.next;
        connections.next += 1;
        connections.since.insert(number, self.evicted.clone());
        *since = Some(number);
        drop(connections);
        self.quiet.more.notify_one();
    }

    fn since(&self) -> MutexGuard<'_, Option<u64>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.asks();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn taken(room: &ConnectionLimit) -> Slot {
        room.place().now_or_never().expect("there is room")
    }

    #[tokio::test]
    async fn longest_idle_connection_is_evicted() {
        let room = ConnectionLimit::new(3);
        let (first, second, third) = (taken(&room), taken(&room), taken(&room));
        // The first makes a request, so that the second is the longest-idle one.
        first.asks();
        first.rests();
        let next = room.place();
        tokio::pin!(next);
        assert!(next.as_mut().now_or_never().is_none(), "the slot is still taken");
        assert!(second.evicted().now_or_never().is_some());
        assert!(first.evicted().now_or_never().is_none() && third.evicted().now_or_never().is_none());
        drop(second);
        let _next = next.await;
    }

    #[tokio::test]
    async fn busy_connections_are_not_evicted() {
        let room = ConnectionLimit::new(2);
        let (first, second) = (taken(&room), taken(&room));
        first.asks();
        second.asks();
        let next = room.place();
        tokio::pin!(next);
        assert!(next.as_mut().now_or_never().is_none());
        assert!(first.evicted().now_or_never().is_none() && second.evicted().now_or_never().is_none());
        second.rests();
        assert!(next.as_mut().now_or_never().is_none());
        assert!(second.evicted().now_or_never().is_some(), "it rested, and somebody waits");
        // One eviction per new connection: the first is idle now as well, and stays.
        first.rests();
        assert!(next.as_mut().now_or_never().is_none());
        assert!(first.evicted().now_or_never().is_none());
        drop(second);
        let _next = next.await;
    }

    #[tokio::test]
    async fn who_leaves_is_forgotten() {
        let room = ConnectionLimit::new(2);
        drop((taken(&room), taken(&room)));
        assert!(room.quiet.connections().since.is_empty());
        let (first, second) = (taken(&room), taken(&room));
        assert!(first.evicted().now_or_never().is_none() && second.evicted().now_or_never().is_none());
        assert_eq!(room.quiet.connections().since.len(), 2);
    }
}
