//! Room for connections: one that asks for nothing makes room for the one that comes next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Room for a number of connections. Cheap to clone.
///
/// A peer that only opens connections, or sends its requests byte by byte, keeps nobody out: once all room is taken,
/// whoever comes takes the place of the one that has been quiet for longest. One whose request is being answered is
/// not quiet; those are bounded in time.
#[derive(Clone, Debug)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    quiet: Arc<Quiet>,
}

#[derive(Debug, Default)]
struct Quiet {
    connections: Mutex<Connections>,
    /// One more is quiet.
    more: Notify,
}

#[derive(Debug, Default)]
struct Connections {
    /// The number that the next one is quiet under.
    next: u64,
    /// Since when is in the number: the first is the one that has been quiet for longest.
    since: BTreeMap<u64, CancellationToken>,
}

impl Quiet {
    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the one that has been quiet for longest give up its place; whether there was one.
    fn make_room(&self) -> bool {
        let first = self.connections().since.pop_first();
        first.is_some_and(|(_, evicted)| {
            evicted.cancel();
            true
        })
    }
}

impl Room {
    /// Room for `places` connections, at least one.
    pub(super) fn new(places: usize) -> Self {
        let places = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        Self { places, quiet: Arc::default() }
    }

    /// Closes the connection that has been quiet for longest; whether there was one.
    pub(super) fn evict(&self) -> bool {
        self.quiet.make_room()
    }

    /// A place for one that is quiet. When there is none, the one that has been quiet for longest gives up its own;
    /// when none is quiet, it waits. Cancel safe.
    pub(super) async fn place(&self) -> Place {
        let mut made = false;
        loop {
            let more = self.quiet.more.notified();
            made = made || (self.places.available_permits() == 0 && self.quiet.make_room());
            tokio::select! {
                Ok(permit) = Arc::clone(&self.places).acquire_owned() => {
                    let place = Place {
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

/// A connection's place, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    quiet: Arc<Quiet>,
    /// Under which number it is quiet, when it is.
    since: Mutex<Option<u64>>,
    evicted: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Waits until the place is wanted for somebody else.
    pub(super) fn evicted(&self) -> WaitForCancellationFuture<'_> {
        self.evicted.cancelled()
    }

    /// It asks for something: nobody else gets its place.
    pub(super) fn asks(&self) {
        if let Some(number) = self.since().take() {
            self.quiet.connections().since.remove(&number);
        }
    }

    /// It was answered, and is quiet from now on.
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

impl Drop for Place {
    fn drop(&mut self) {
        self.asks();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn taken(room: &Room) -> Place {
        room.place().now_or_never().expect("there is room")
    }

    #[tokio::test]
    async fn longest_idle_connection_is_evicted() {
        let room = Room::new(3);
        let (first, second, third) = (taken(&room), taken(&room), taken(&room));
        // The first asks and is answered, so that the second is the one that has been quiet for longest.
        first.asks();
        first.rests();
        let next = room.place();
        tokio::pin!(next);
        assert!(next.as_mut().now_or_never().is_none(), "the place is not free yet");
        assert!(second.evicted().now_or_never().is_some());
        assert!(first.evicted().now_or_never().is_none() && third.evicted().now_or_never().is_none());
        drop(second);
        let _next = next.await;
    }

    #[tokio::test]
    async fn busy_connections_are_not_evicted() {
        let room = Room::new(2);
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
        // One comes, one goes: the first is quiet now as well, and stays.
        first.rests();
        assert!(next.as_mut().now_or_never().is_none());
        assert!(first.evicted().now_or_never().is_none());
        drop(second);
        let _next = next.await;
    }

    #[tokio::test]
    async fn who_leaves_is_forgotten() {
        let room = Room::new(2);
        drop((taken(&room), taken(&room)));
        assert!(room.quiet.connections().since.is_empty());
        let (first, second) = (taken(&room), taken(&room));
        assert!(first.evicted().now_or_never().is_none() && second.evicted().now_or_never().is_none());
        assert_eq!(room.quiet.connections().since.len(), 2);
    }
}
