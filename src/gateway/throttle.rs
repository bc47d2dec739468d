//! Counts events per key in fixed windows.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::bounded::Bounded;

/// The most keys; beyond it the oldest is evicted.
const MAX_KEYS: usize = 10_000;

/// Counts by key, each in a window that begins with its first.
#[derive(Debug)]
pub(super) struct Throttle<K> {
    counts: Mutex<Bounded<K, u32>>,
}

/// A count, and the time that is left of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) used: u32,
    pub(super) left: Duration,
}

impl<K: Copy + Ord + Hash> Throttle<K> {
    pub(super) fn new() -> Self {
        Self { counts: Mutex::new(Bounded::new(MAX_KEYS)) }
    }

    /// Counts one more of `key`'s, in a window of `window` unless one has begun.
    pub(super) fn add(&self, key: K, window: Duration, now: Instant) -> Count {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, used)) = counts.entry(&key, now) {
            *used = used.saturating_add(1);
            return Count { used: *used, left: until.saturating_duration_since(now) };
        }
        if let Some(until) = now.checked_add(window) {
            counts.insert(key, 1, until);
        }
        Count { used: 1, left: window }
    }
}

/// What counts as one peer: an IPv4 address, or the /64 that one IPv6 customer has at the least.
pub(super) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn a_key_is_counted_in_windows() {
        let throttle = Throttle::new();
        let now = Instant::now();
        for used in 1..=3 {
            assert_eq!(throttle.add('a', WINDOW, now), Count { used, left: WINDOW });
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(throttle.add('a', WINDOW, later), Count { used: 4, left: Duration::from_secs(40) });
        assert_eq!(throttle.add('b', WINDOW, later).used, 1);
        assert_eq!(throttle.add('a', WINDOW, now + WINDOW).used, 1, "a new window");
    }

    #[test]
    fn one_ipv6_network_is_one_peer() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[test]
    fn table_is_bounded() {
        let throttle = Throttle::new();
        let now = Instant::now();
        for n in 0..MAX_KEYS + 100 {
            throttle.add(n, WINDOW, now + Duration::from_nanos(n as u64));
        }
        assert_eq!(throttle.counts.lock().unwrap().len(), MAX_KEYS);
        let later = now + Duration::from_secs(1);
        assert_eq!(throttle.add(MAX_KEYS, WINDOW, later).used, 2);
        assert_eq!(throttle.add(0, WINDOW, later).used, 1);
    }
}
