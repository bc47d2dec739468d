//! How many requests somebody may send: by peer, and by what they show
//! (docs/canvas.md, section 1.4).
//!
//! Counted is what passed the checks of `Host`, `Origin` and tenant: the answers to everything else cost no more
//! than the refusal would. `/health` and its like are exempt, since a load balancer polls them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::State;
use super::answer::{Refusal, whole_seconds};
use super::auth::peer_of;
use super::secret::Fingerprint;
use super::throttle::{Throttle, network};

/// What the limits are counted in.
const WINDOW: Duration = Duration::from_secs(60);

/// How many requests one may send in a window.
pub(super) const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
/// How many of them are left.
pub(super) const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// How many seconds of it are left.
pub(super) const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The requests of this window.
#[derive(Debug)]
pub(super) struct RateLimits {
    peers: Throttle<IpAddr>,
    credentials: Throttle<Fingerprint>,
}

/// What somebody may still send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    limit: u32,
    remaining: u32,
    /// How long the window lasts still.
    pub(super) reset: Duration,
}

impl Allowance {
    /// Writes it into `headers`, unless another one is there already.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        for (name, value) in [
            (LIMIT, u64::from(self.limit)),
            (REMAINING, u64::from(self.remaining)),
            (RESET, whole_seconds(self.reset)),
        ] {
            headers.entry(name).or_insert(HeaderValue::from(value));
        }
    }
}

impl RateLimits {
    pub(super) fn new() -> Self {
        Self { peers: Throttle::new(), credentials: Throttle::new() }
    }

    /// Counts a request of `peer`'s.
    fn take_of_peer(&self, peer: IpAddr, limit: u32, now: Instant) -> Result<Allowance, Allowance> {
        allowance(self.peers.add(network(peer), WINDOW, now), limit)
    }

    /// Counts a request by a credential.
    pub(super) fn take_of_credential(
        &self,
        credential: Fingerprint,
        limit: u32,
        now: Instant,
    ) -> Result<Allowance, Allowance> {
        allowance(self.credentials.add(credential, WINDOW, now), limit)
    }
}

/// What is left after `count`; an error when it is above the limit.
fn allowance(count: super::throttle::Count, limit: u32) -> Result<Allowance, Allowance> {
    let allowance = Allowance { limit, remaining: limit.saturating_sub(count.used), reset: count.left };
    if count.used <= limit { Ok(allowance) } else { Err(allowance) }
}

/// Middleware: refuses a peer that asks too often, and tells every other what it has left.
pub(super) async fn limit_peers(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let config = state.config();
    if config.platform.is_development() {
        let mut response = next.run(request).await;
        response.headers_mut().insert(LIMIT, HeaderValue::from_static("unlimited"));
        return response;
    }
    let peer = peer_of(request.extensions());
    match state.rates.take_of_peer(peer, config.rate_limit, Instant::now()) {
        Ok(allowance) => {
            let mut response = next.run(request).await;
            allowance.write(response.headers_mut());
            response
        }
        Err(allowance) => Refusal::TooManyRequests(allowance).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_its_share_of_a_window_and_is_told_what_is_left() {
        let rates = RateLimits::new();
        let now = Instant::now();
        let peer = "192.0.2.1".parse().unwrap();
        let take = |at| rates.take_of_peer(peer, 2, at);
        assert_eq!(take(now), Ok(Allowance { limit: 2, remaining: 1, reset: WINDOW }));
        assert_eq!(take(now), Ok(Allowance { limit: 2, remaining: 0, reset: WINDOW }));
        let later = now + Duration::from_secs(20);
        assert_eq!(take(later), Err(Allowance { limit: 2, remaining: 0, reset: Duration::from_secs(40) }));
        assert!(rates.take_of_peer("192.0.2.2".parse().unwrap(), 2, later).is_ok());
        assert!(take(now + WINDOW).is_ok());
    }
}
