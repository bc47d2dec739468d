//! What a page of another origin may ask for (docs/canvas.md, section 1.3): a client that is not served
//! from here fetches its ticket from here.
//!
//! Origins that are not allowed do not come this far.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, RETRY_AFTER};
use axum::http::{HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::auth::X_WORKSPACE_ID;
use super::rate_limit::{LIMIT, REMAINING, RESET};
use super::{Origin, State};

/// How long a browser may go by what a preflight was answered.
const PREFLIGHT_TTL: Duration = Duration::from_secs(600);

/// Answers preflights, and has the browser show our answers to pages of allowed origins. Every answer says that it
/// varies by `Origin`.
pub(super) fn layer(state: &Arc<State>) -> CorsLayer {
    let state = Arc::clone(state);
    let is_allowed = move |origin: &HeaderValue, _: &_| {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Origin>().ok());
        origin.is_some_and(|origin| state.config().allowed_origins.contains(&origin))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_allowed))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([ORIGIN, CONTENT_TYPE, X_WORKSPACE_ID, AUTHORIZATION])
        .expose_headers([RETRY_AFTER, LIMIT, REMAINING, RESET])
        .max_age(PREFLIGHT_TTL)
}
