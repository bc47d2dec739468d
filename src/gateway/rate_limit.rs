//! Limits requests per minute: by credential for known users, by peer for everybody else (docs/canvas.md, section 1.4).
//!
//! A known user's requests count against the credential alone, so that others behind the same address cannot use up
//! their budget. Requests without a valid credential, the page's files, links from other sites, probes and
//! preflights each have a budget of their own per peer. What `Host`, `Origin` or the tenant refuses counts against
//! none: the refusal costs no more than a 429 would.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::{Request, State as Shared};
use axum::http::header::FORWARDED;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::State;
use super::auth::{X_FORWARDED_FOR, is_cross_site, peer_of};
use super::error::{ApiError, whole_seconds};
use super::secret::Fingerprint;
use super::shares::Permit;
use super::throttle::{Throttle, network};
use crate::workspace::Principal;

/// What the limits are counted in.
const WINDOW: Duration = Duration::from_secs(60);

/// How many requests of known users may be in progress, and of one user. They keep their connections from others
/// (`max_connections`), and a body that does not come keeps one until `request_timeout`.
const MAX_IN_PROGRESS: usize = 2048;
const MAX_IN_PROGRESS_PER_USER: usize = 128;

/// The budget of a window.
pub(super) const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
/// How many of them are left.
pub(super) const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// How many seconds of it are left.
pub(super) const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What a peer's requests without a known user are counted as: none of these uses up another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Budget {
    /// Requests without a valid credential.
    Anonymous,
    /// The page's files.
    Page,
    /// What a browser requests for a page of another site: links to the page, `/health`.
    OtherSite,
    /// `/health`, `/ready`, `/metrics`.
    Probe,
    /// CORS preflights.
    Preflight,
}

/// Whose requests are counted. Those that a proxy passes on do not use up what the proxy itself may send: a load
/// balancer's probes come from the same address as its clients' requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Client {
    budget: Budget,
    network: IpAddr,
    is_forwarded: bool,
}

impl Client {
    fn of(budget: Budget, headers: &HeaderMap, extensions: &Extensions) -> Self {
        let is_forwarded = [X_FORWARDED_FOR, FORWARDED].iter().any(|name| headers.contains_key(name));
        Self { budget, network: network(peer_of(extensions)), is_forwarded }
    }
}

/// The requests of this window.
#[derive(Debug)]
pub(super) struct RateLimits {
    peers: Throttle<Client>,
    credentials: Throttle<Fingerprint>,
}

/// The rest of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    limit: u32,
    remaining: u32,
    /// The rest of the window.
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

    /// Counts a request of `client`.
    fn take_of_client(&self, client: Client, limit: u32, now: Instant) -> Result<Allowance, Allowance> {
        allowance(self.peers.add(client, WINDOW, now), limit)
    }

    /// Counts a request by a credential.
    fn take_of_credential(
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

/// What a request was counted against, and its user's permit, which it holds until its response is made. An extension
/// of the request, set once its user is known or is not.
#[derive(Clone, Debug, Default)]
struct Charge(Arc<Charged>);

#[derive(Debug, Default)]
struct Charged {
    allowance: OnceLock<Allowance>,
    permit: OnceLock<Permit<String>>,
}

impl State {
    /// Counts a request against its credential, and as one of the user's that are in progress.
    pub(super) fn charge_user(
        &self,
        extensions: &Extensions,
        principal: &Principal,
        credential: Option<Fingerprint>,
    ) -> Result<(), ApiError> {
        if let Some(credential) = credential {
            self.charge_credential(extensions, credential)?;
        }
        if let Some(Charge(charged)) = extensions.get() {
            let share = (principal.name.clone(), MAX_IN_PROGRESS_PER_USER);
            let permit = self.in_progress.take(MAX_IN_PROGRESS, [share]);
            let busy = |_| ApiError::Busy("too many of your requests are in progress");
            let _ = charged.permit.set(permit.map_err(busy)?);
        }
        Ok(())
    }

    /// Counts a request against `credential`.
    pub(super) fn charge_credential(
        &self,
        extensions: &Extensions,
        credential: Fingerprint,
    ) -> Result<(), ApiError> {
        let config = self.config();
        if config.platform.is_development() {
            return Ok(());
        }
        let taken = self.rates.take_of_credential(credential, config.token_rate_limit, Instant::now());
        let allowance = taken.map_err(ApiError::TooManyRequests)?;
        if let Some(Charge(charged)) = extensions.get() {
            let _ = charged.allowance.set(allowance);
        }
        Ok(())
    }

    /// Counts a request without a valid credential against its peer; returns the error for it, which is a 429 beyond
    /// the budget.
    pub(super) fn charge_peer(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        refusal: ApiError,
    ) -> ApiError {
        let config = self.config();
        if config.platform.is_development() {
            return refusal;
        }
        let client = Client::of(Budget::Anonymous, headers, extensions);
        match self.rates.take_of_client(client, config.rate_limit, Instant::now()) {
            Ok(allowance) => {
                if let Some(Charge(charged)) = extensions.get() {
                    let _ = charged.allowance.set(allowance);
                }
                refusal
            }
            Err(allowance) => ApiError::TooManyRequests(allowance),
        }
    }
}

/// Middleware for routes that find out who asks: reports what is left of the budget that the request counted against.
/// One that no handler counted, such as one with a method that the route does not have, counts against the peer.
pub(super) async fn limit(Shared(state): Shared<Arc<State>>, mut request: Request, next: Next) -> Response {
    let config = state.config();
    let charge = Charge::default();
    request.extensions_mut().insert(charge.clone());
    if config.platform.is_development() {
        return unlimited(next.run(request).await);
    }
    let client = Client::of(Budget::Anonymous, request.headers(), request.extensions());
    let mut response = next.run(request).await;
    // A 429 already says whose limit it is.
    if response.headers().contains_key(LIMIT) {
        return response;
    }
    let allowance = match charge.0.allowance.get() {
        Some(allowance) => *allowance,
        None => match state.rates.take_of_client(client, config.rate_limit, Instant::now()) {
            Ok(allowance) => allowance,
            Err(allowance) => return ApiError::TooManyRequests(allowance).into_response(),
        },
    };
    allowance.write(response.headers_mut());
    response
}

/// Middleware for the page's files.
pub(super) async fn limit_page(state: Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let budget = if is_cross_site(request.headers()) { Budget::OtherSite } else { Budget::Page };
    limit_to(budget, state, request, next).await
}

/// Middleware for routes that anybody may call: probes and metrics. Reports no numbers.
pub(super) async fn limit_probes(state: Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let budget = if is_cross_site(request.headers()) { Budget::OtherSite } else { Budget::Probe };
    let mut response = limit_to(budget, state, request, next).await;
    for name in [LIMIT, REMAINING, RESET] {
        response.headers_mut().remove(name);
    }
    response
}

/// Middleware in front of CORS, which answers preflights itself.
pub(super) async fn limit_preflights(state: Shared<Arc<State>>, request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return limit_to(Budget::Preflight, state, request, next).await;
    }
    next.run(request).await
}

async fn limit_to(
    budget: Budget,
    Shared(state): Shared<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let config = state.config();
    if config.platform.is_development() {
        return unlimited(next.run(request).await);
    }
    let client = Client::of(budget, request.headers(), request.extensions());
    match state.rates.take_of_client(client, config.rate_limit, Instant::now()) {
        Ok(allowance) => {
            let mut response = next.run(request).await;
            allowance.write(response.headers_mut());
            response
        }
        Err(allowance) => ApiError::TooManyRequests(allowance).into_response(),
    }
}

fn unlimited(mut response: Response) -> Response {
    response.headers_mut().insert(LIMIT, HeaderValue::from_static("unlimited"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(budget: Budget, peer: &str, is_forwarded: bool) -> Client {
        Client { budget, network: peer.parse().unwrap(), is_forwarded }
    }

    #[test]
    fn a_peer_has_a_share_of_a_window() {
        let rates = RateLimits::new();
        let now = Instant::now();
        let mine = client(Budget::Anonymous, "192.0.2.1", false);
        let take = |at| rates.take_of_client(mine, 2, at);
        assert_eq!(take(now), Ok(Allowance { limit: 2, remaining: 1, reset: WINDOW }));
        assert_eq!(take(now), Ok(Allowance { limit: 2, remaining: 0, reset: WINDOW }));
        let later = now + Duration::from_secs(20);
        assert_eq!(take(later), Err(Allowance { limit: 2, remaining: 0, reset: Duration::from_secs(40) }));
        for other in [
            client(Budget::Anonymous, "192.0.2.2", false),
            client(Budget::Page, "192.0.2.1", false),
            client(Budget::Anonymous, "192.0.2.1", true),
        ] {
            assert!(rates.take_of_client(other, 2, later).is_ok(), "{other:?}");
        }
        assert!(take(now + WINDOW).is_ok());
    }
}
