//! How many wrong tokens a peer may send.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many peers are remembered. When more send wrong tokens, the longest remembered is forgotten.
const MAX_PEERS: usize = 10_000;

/// Counts wrong tokens by peer, each in a window that begins with its first.
#[derive(Debug)]
pub(super) struct Throttle {
    max: u32,
    window: Duration,
    peers: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    wrong: u32,
}

impl Throttle {
    pub(super) fn new(max: u32, window: Duration) -> Self {
        Self { max, window, peers: Mutex::default() }
    }

    /// How long `peer` must wait until its next token is looked at; `None` when it need not.
    pub(super) fn blocked(&self, peer: IpAddr, now: Instant) -> Option<Duration> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let window = peers.get(&network(peer))?;
        let left = self.window.checked_sub(now.saturating_duration_since(window.began))?;
        (window.wrong >= self.max && !left.is_zero()).then_some(left)
    }

    /// Notes that `peer` sent a wrong token.
    pub(super) fn note_wrong(&self, peer: IpAddr, now: Instant) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = network(peer);
        if !peers.contains_key(&peer) && peers.len() >= MAX_PEERS {
            peers.retain(|_, window| now.saturating_duration_since(window.began) < self.window);
            if peers.len() >= MAX_PEERS
                && let Some(oldest) =
                    peers.iter().min_by_key(|(_, window)| window.began).map(|(peer, _)| *peer)
            {
                peers.remove(&oldest);
            }
        }
        let window = peers.entry(peer).or_insert(Window { began: now, wrong: 0 });
        if now.saturating_duration_since(window.began) >= self.window {
            *window = Window { began: now, wrong: 0 };
        }
        window.wrong = window.wrong.saturating_add(1);
    }
}

/// What counts as one peer: an IPv4 address, or the /64 that one IPv6 customer has at the least.
fn network(peer: IpAddr) -> IpAddr {
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

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_is_blocked_after_its_share_and_until_the_window_ends() {
        let throttle = Throttle::new(3, Duration::from_secs(60));
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(throttle.blocked(ip("192.0.2.1"), now), None);
            throttle.note_wrong(ip("192.0.2.1"), now);
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(throttle.blocked(ip("192.0.2.1"), later), Some(Duration::from_secs(40)));
        assert_eq!(throttle.blocked(ip("::ffff:192.0.2.1"), later), Some(Duration::from_secs(40)));
        assert_eq!(throttle.blocked(ip("192.0.2.2"), later), None);
        let after = now + Duration::from_secs(60);
        assert_eq!(throttle.blocked(ip("192.0.2.1"), after), None);
        throttle.note_wrong(ip("192.0.2.1"), after);
        assert_eq!(throttle.blocked(ip("192.0.2.1"), after), None, "a new window");
    }

    #[test]
    fn one_ipv6_network_is_one_peer() {
        let throttle = Throttle::new(1, Duration::from_secs(60));
        let now = Instant::now();
        throttle.note_wrong(ip("2001:db8::1"), now);
        assert!(throttle.blocked(ip("2001:db8::ffff:2"), now).is_some());
        assert!(throttle.blocked(ip("2001:db8:0:1::1"), now).is_none());
    }

    #[test]
    fn the_map_is_bounded() {
        let throttle = Throttle::new(1, Duration::from_secs(60));
        let now = Instant::now();
        for n in 0..u32::try_from(MAX_PEERS).unwrap() + 100 {
            throttle.note_wrong(IpAddr::V4(n.into()), now + Duration::from_nanos(n.into()));
        }
        assert_eq!(throttle.peers.lock().unwrap().len(), MAX_PEERS);
        assert_eq!(throttle.blocked(IpAddr::V4(0.into()), now), None, "the oldest was forgotten");
    }
}
