//! CORS for pages of other allowed origins: methods and headers are the platform's (docs/canvas.md, section 1.3).
//!
//! Requests of other origins are refused before this layer.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::auth::{X_MOLECULE_ORG_ID, X_WORKSPACE_ID};
use super::rate_limit::{LIMIT, REMAINING, RESET};
use super::{Origin, State};

/// Sent by the platform's Canvas with every request.
const X_MOLECULE_ORG_SLUG: HeaderName = HeaderName::from_static("x-molecule-org-slug");

/// Sent by the platform's Canvas to confirm a destructive request.
const X_CONFIRM_NAME: HeaderName = HeaderName::from_static("x-confirm-name");

/// How long a browser may cache the answer to a preflight.
const PREFLIGHT_TTL: Duration = Duration::from_secs(600);

/// Answers preflights, and lets pages of allowed origins read every response. Every response varies by `Origin`.
pub(super) fn layer(state: &Arc<State>) -> CorsLayer {
    let state = Arc::clone(state);
    let is_allowed = move |origin: &HeaderValue, _: &_| {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Origin>().ok());
        origin.is_some_and(|origin| state.config().allowed_origins.contains(&origin))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_allowed))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            ORIGIN,
            CONTENT_TYPE,
            X_WORKSPACE_ID,
            X_MOLECULE_ORG_ID,
            X_MOLECULE_ORG_SLUG,
            X_CONFIRM_NAME,
            AUTHORIZATION,
        ])
        .expose_headers([RETRY_AFTER, LIMIT, REMAINING, RESET])
        .max_age(PREFLIGHT_TTL)
}
