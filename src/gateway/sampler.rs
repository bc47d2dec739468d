//! Bounds how many lines of one kind are logged, with a share for each peer and a count of what was left out.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::rate::Rate;
use super::throttle::{Throttle, network};

/// How often the count of suppressed lines is logged while there are any.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// How many lines a second are logged of all peers, with twice that in a burst.
const MAX_PER_SECOND: u32 = 20;

/// How many lines are logged of one peer in [`REPORT_INTERVAL`].
const MAX_PER_PEER: u32 = 20;

/// Decides which lines are logged. Cheap to clone; the clones share the counts.
#[derive(Clone, Debug)]
pub(super) struct Sampler(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    peers: Throttle<IpAddr>,
    all: Mutex<Rate>,
    suppressed: AtomicU64,
    /// Whether a task will report.
    is_reporting: AtomicBool,
}

impl Sampler {
    pub(super) fn new() -> Self {
        Self(Arc::new(Counts {
            peers: Throttle::new(),
            all: Mutex::new(Rate::new(MAX_PER_SECOND)),
            suppressed: AtomicU64::new(0),
            is_reporting: AtomicBool::new(false),
        }))
    }

    /// Whether a line about `peer` is logged now. Of those that are not, `report` gets the count a while later. Must be
    /// called in a tokio runtime.
    pub(super) fn admits(&self, peer: IpAddr, report: fn(u64)) -> bool {
        let counts = &self.0;
        let of_peer = counts.peers.add(network(peer), REPORT_INTERVAL, Instant::now());
        // The peer's share first: what is beyond it takes nothing of the others'.
        if of_peer.used <= MAX_PER_PEER && counts.all.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return true;
        }
        counts.suppressed.fetch_add(1, Ordering::Relaxed);
        if !counts.is_reporting.swap(true, Ordering::Relaxed) {
            let sampler = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(REPORT_INTERVAL).await;
                sampler.report(report);
            });
        }
        false
    }

    fn report(&self, report: fn(u64)) {
        self.0.is_reporting.store(false, Ordering::Relaxed);
        report(self.0.suppressed.swap(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    static REPORTED: AtomicU64 = AtomicU64::new(0);

    #[tokio::test]
    async fn a_flood_is_counted_and_others_are_logged() {
        let sampler = Sampler::new();
        let admits = |peer| sampler.admits(peer, |_| {});
        assert_eq!((0..1000).filter(|_| admits(PEER)).count(), MAX_PER_PEER as usize);
        assert!(admits(OTHER));
        assert!(sampler.0.is_reporting.load(Ordering::Relaxed), "a task will report");
        sampler.report(|count| REPORTED.store(count, Ordering::Relaxed));
        assert_eq!(REPORTED.load(Ordering::Relaxed), 1000 - u64::from(MAX_PER_PEER));
    }
}
