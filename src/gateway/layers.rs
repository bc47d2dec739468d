//! What every answer has: security headers, a line in the access log; and the deadlines of requests.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::extract::{Request, State as Shared};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;

use super::access_log::RequestLog;
use super::auth::{Peer, X_FORWARDED_FOR, peer};
use super::error::{ApiError, DenyReason};
use super::{Config, State};

/// What the page may do: load its own files and speak to its own origin. Styles may be inline, because xterm.js
/// writes its own.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";

/// Headers that every answer has, unless its own say otherwise.
const HEADERS: [(HeaderName, &str); 7] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// How much of a path is logged, in characters.
const MAX_LOGGED_PATH: usize = 200;

/// How long requests of some routes may take, by the settings as they are when one comes.
#[derive(Clone)]
pub(super) struct Deadline {
    pub(super) state: Arc<State>,
    pub(super) of: fn(&Config) -> Duration,
}

/// Middleware: runs the request within its deadline.
pub(super) async fn in_time(Shared(deadline): Shared<Deadline>, request: Request, next: Next) -> Response {
    let limit = (deadline.of)(&deadline.state.config());
    let answer = tokio::time::timeout(limit, next.run(request)).await;
    answer.unwrap_or_else(|_| ApiError::Timeout.into_response())
}

/// Middleware: answers 500 when the request panics. Other requests and open terminals go on.
pub(super) async fn survive(request: Request, next: Next) -> Response {
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answer.unwrap_or_else(|_| {
        tracing::error!("a request panicked");
        ApiError::Panicked.into_response()
    })
}

/// Middleware: runs the request, adds the headers and logs it, without its query and headers.
pub(super) async fn finish(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (mut parts, body) = request.into_parts();
    let trusted_proxies = state.config().trusted_proxies;
    parts.extensions.insert(Peer::of(&parts, trusted_proxies));
    if trusted_proxies == 0 && parts.headers.contains_key(X_FORWARDED_FOR) {
        state.warn_of_proxy(peer(&parts));
    }
    let (peer, method) = (peer(&parts), parts.method.clone());
    let asked = RequestLog::of(&mut parts);
    let path: String = parts.uri.path().chars().take(MAX_LOGGED_PATH).flat_map(char::escape_debug).collect();
    let request = Request::from_parts(parts, body);

    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if state.config().secure_cookie {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    let took = began.elapsed();
    asked.answered(&state, &response, took);
    let is_refused =
        response.status().is_client_error() || response.extensions().get::<DenyReason>().is_some();
    let is_logged = !is_refused
        || state.refusals.admits(peer, |suppressed| {
            tracing::info!(target: "eice::gateway::access", suppressed, "refusals that were not logged");
        });
    if is_logged {
        let (status, ms) = (response.status().as_u16(), took.as_millis());
        tracing::info!(target: "eice::gateway::access", %peer, %method, path, status, ms);
    }
    response
}

impl State {
    /// Logs once that `X-Forwarded-For` came from `peer`, which is not trusted: every client behind it counts as one.
    fn warn_of_proxy(&self, peer: IpAddr) {
        if !self.warned_of_proxy.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "X-Forwarded-For is ignored and every client of that proxy counts as one peer: \
                 set [gateway] trusted_proxies if it is a proxy of yours"
            );
        }
    }
}
