//! Bounds the lookups of credentials that are not known to be good.
//!
//! A valid credential is always looked up: nothing that others send refuses it. What a client may make up at will is
//! looked up a few at a time, and not again for a moment once it was wrong, so that the database and the control plane
//! keep capacity for known users.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::bounded::Bounded;
use super::error::ApiError;
use super::secret::Fingerprint;
use super::shares::Shares;
use super::throttle::network;
use crate::workspace::Principal;

/// How many good credentials are remembered, and as many wrong ones; then the one nearest to its end is forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// How long a credential is known to be good after its last use. It is still looked up, without waiting in the queue.
const GOOD_TTL: Duration = Duration::from_secs(3600);

/// How many lookups of unknown credentials may wait or be active, and how many of those of one peer.
const MAX_PENDING: usize = 1024;
const MAX_PENDING_PER_PEER: usize = 128;

/// The lookups of one kind of credential.
#[derive(Debug)]
pub(super) struct Lookups {
    good: Mutex<Bounded<Fingerprint, ()>>,
    wrong: Mutex<Bounded<Fingerprint, ()>>,
    wrong_ttl: Duration,
    pending: Shares<IpAddr>,
    active: Semaphore,
}

impl Lookups {
    /// Looks up at most `max_active` unknown credentials at once, and a wrong one only once in `wrong_ttl`.
    pub(super) fn new(max_active: usize, wrong_ttl: Duration) -> Self {
        Self {
            good: Mutex::new(Bounded::new(MAX_REMEMBERED)),
            wrong: Mutex::new(Bounded::new(MAX_REMEMBERED)),
            wrong_ttl,
            pending: Shares::default(),
            active: Semaphore::new(max_active),
        }
    }

    /// Returns the answer of `lookup` for `credential`, which `peer` sent.
    pub(super) async fn run(
        &self,
        credential: Fingerprint,
        peer: IpAddr,
        lookup: impl Future<Output = Result<Option<Principal>, ApiError>>,
    ) -> Result<Option<Principal>, ApiError> {
        if lock(&self.wrong).get(&credential, Instant::now()).is_some() {
            return Ok(None);
        }
        let _turn = if self.is_good(credential) {
            None
        } else {
            let busy = || ApiError::Busy("too many unknown credentials are being looked up");
            let pending = self.pending.take(MAX_PENDING, [(network(peer), MAX_PENDING_PER_PEER)]);
            let pending = pending.map_err(|_| busy())?;
            Some((self.active.acquire().await.map_err(|_| busy())?, pending))
        };
        let answer = lookup.await;
        let now = Instant::now();
        match &answer {
            Ok(Some(_)) => lock(&self.good).insert(credential, (), now + GOOD_TTL),
            Ok(None) => {
                lock(&self.good).remove(&credential, now);
                lock(&self.wrong).insert(credential, (), now + self.wrong_ttl);
            }
            // An outage says nothing about the credential.
            Err(_) => {}
        }
        answer
    }

    /// Whether `credential` was good when it was looked up last, not long ago.
    pub(super) fn is_good(&self, credential: Fingerprint) -> bool {
        lock(&self.good).get(&credential, Instant::now()).is_some()
    }

    /// Forgets which credentials were wrong: what they are looked up in has changed.
    pub(super) fn forget(&self) {
        lock(&self.wrong).clear();
    }

    /// How many lookups of unknown credentials wait or are active.
    #[cfg(test)]
    pub(super) fn pending(&self) -> usize {
        self.pending.taken()
    }
}

fn lock(table: &Mutex<Bounded<Fingerprint, ()>>) -> std::sync::MutexGuard<'_, Bounded<Fingerprint, ()>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt as _;

    use super::*;
    use crate::workspace::Access;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn fingerprint(n: usize) -> Fingerprint {
        Fingerprint::of(&[&n.to_be_bytes()])
    }

    fn good() -> Result<Option<Principal>, ApiError> {
        Ok(Some(Principal::new("ann", Access::All)))
    }

    #[tokio::test]
    async fn known_credentials_pass_a_full_queue() {
        let lookups = Lookups::new(2, Duration::from_secs(5));
        assert!(lookups.run(fingerprint(0), PEER, ready(good())).await.unwrap().is_some());
        let mut stuck = Vec::new();
        for n in 1..=MAX_PENDING_PER_PEER {
            let mut lookup = Box::pin(lookups.run(fingerprint(n), PEER, pending()));
            assert!(lookup.as_mut().now_or_never().is_none());
            stuck.push(lookup);
        }
        let refused = lookups.run(fingerprint(999), PEER, ready(good())).now_or_never();
        assert!(matches!(refused, Some(Err(ApiError::Busy(_)))), "the peer's share is used");
        let known = lookups.run(fingerprint(0), PEER, ready(good())).now_or_never();
        assert!(matches!(known, Some(Ok(Some(_)))));
        // Another peer's waits for its turn, and gets it.
        let mut other = Box::pin(lookups.run(fingerprint(999), OTHER, ready(good())));
        assert!(other.as_mut().now_or_never().is_none());
        drop(stuck);
        assert!(other.await.unwrap().is_some());
        assert_eq!(lookups.pending(), 0);
    }

    #[tokio::test]
    async fn wrong_credentials_are_not_looked_up_again() {
        let lookups = Lookups::new(2, Duration::from_secs(600));
        assert!(lookups.run(fingerprint(1), PEER, ready(Ok(None))).await.unwrap().is_none());
        let again = lookups.run(fingerprint(1), PEER, async { panic!("looked up") }).await;
        assert!(again.unwrap().is_none());
        lookups.forget();
        assert!(lookups.run(fingerprint(1), PEER, ready(good())).await.unwrap().is_some());
        assert!(lookups.is_good(fingerprint(1)));
        // One that is taken back is known no more.
        assert!(lookups.run(fingerprint(1), PEER, ready(Ok(None))).await.unwrap().is_none());
        assert!(!lookups.is_good(fingerprint(1)));
        for n in 0..MAX_REMEMBERED + 10 {
            let _ = lookups.run(fingerprint(n + 2), PEER, ready(Ok(None))).await;
        }
        assert_eq!(lock(&lookups.wrong).len(), MAX_REMEMBERED);
    }
}
