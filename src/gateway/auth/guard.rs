//! Checks before authentication: `Host`, `Origin`, the tenant.

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::headers::{is_cross_site, is_navigation, only};
use crate::gateway::error::ApiError;
use crate::gateway::{Config, Host, Origin, State};

/// A path without a workspace id.
const NAMELESS: &str = "/workspaces//";

/// Middleware: checks `Host`, `Origin` and the tenant before anything else. Preflights are checked as well.
pub(in crate::gateway) async fn guard(
    Shared(state): Shared<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let checked = check(&state, &request, true);
    pass(checked, request, next).await
}

/// Middleware for the page's own files: the same without `Origin`. The files contain no user data, and a browser sends
/// the origin with a module script: a page that is refused must be able to say so.
pub(in crate::gateway) async fn guard_page(
    Shared(state): Shared<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let checked = check(&state, &request, false);
    pass(checked, request, next).await
}

async fn pass(checked: Result<(), ApiError>, request: Request, next: Next) -> Response {
    match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn check(state: &State, request: &Request, minds_origin: bool) -> Result<(), ApiError> {
    let config = &state.config();
    check_host(config, request)?;
    if minds_origin {
        check_origin(config, request.headers())?;
    }
    check_site(request, minds_origin)?;
    super::tenant::check(config, state.directory.platform_version(), request.headers())?;
    if request.uri().path().starts_with(NAMELESS) {
        return Err(ApiError::MissingId);
    }
    Ok(())
}

/// Refuses a browser's cross-site request without `Origin`: an image, a script, a frame. The gateway serves none of them,
/// and they would use up the visitor's budget. For the page's files, links pass and `Origin` is not considered.
fn check_site(request: &Request, minds_origin: bool) -> Result<(), ApiError> {
    let (method, headers) = (request.method(), request.headers());
    let is_let_in = if minds_origin { headers.contains_key(ORIGIN) } else { is_navigation(method, headers) };
    if is_cross_site(headers) && !is_let_in { Err(ApiError::CrossSite) } else { Ok(()) }
}

/// Against DNS rebinding: `Host` must be one of ours, once. HTTP/1.0 without it is refused as well.
fn check_host(config: &Config, request: &Request) -> Result<(), ApiError> {
    let allowed = |text: &str| text.parse().is_ok_and(|host| is_ours(config, &host));
    let host = only(request.headers(), &HOST).and_then(Result::ok).ok_or(ApiError::Host)?;
    let authority = request.uri().authority().is_none_or(|authority| allowed(authority.as_str()));
    if allowed(host) && authority { Ok(()) } else { Err(ApiError::Host) }
}

/// Returns whether `host` is on the list, or on it with the default port of an allowed origin's scheme.
fn is_ours(config: &Config, host: &Host) -> bool {
    let is_listed = |host: &Host| config.allowed_hosts.contains(host);
    let is_at_origin = |origin: &Origin| origin.is_at(host) && is_listed(origin.host());
    is_listed(host) || config.allowed_origins.iter().any(is_at_origin)
}

/// A request's origin, if any, must be one of ours exactly. It restricts and is never a credential.
fn check_origin(config: &Config, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(origin) = only(headers, &ORIGIN) else { return Ok(()) };
    let origin = origin.ok().and_then(|text| text.parse::<Origin>().ok());
    match origin {
        Some(origin) if config.allowed_origins.contains(&origin) => Ok(()),
        _ => Err(ApiError::Origin),
    }
}
