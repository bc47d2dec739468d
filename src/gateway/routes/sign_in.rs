//! Sign-in with a bearer token, and sign-out.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Json;
use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::gateway::State;
use crate::gateway::auth::bearer;
use crate::gateway::error::ApiError;
use crate::gateway::secret::Fingerprint;

/// `POST /auth/session`: exchanges a bearer token for a cookie that no script can read.
pub(in crate::gateway) async fn sign_in(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let token = bearer(&parts.headers)?.ok_or(ApiError::MissingToken)?;
    let principal = state.authenticate_bearer(&token, &parts).await?;
    let now = Instant::now();
    let before = state.cookies.find(&parts.headers, now);
    // The cookie that it replaces becomes invalid.
    state.cookies.revoke(&parts.headers, now);
    let ttl = state.cookies.ttl(principal.valid_for(SystemTime::now()));
    let cookie = state.cookies.issue(token, ttl, now).map(|(cookie, header)| {
        if let Some(before) = before.filter(|before| before.token.digest() == cookie.token.digest()) {
            state.grants.renew(&before, &cookie);
        }
        header
    });
    let body = json!({"name": principal.name, "expires_in": ttl.as_secs()});
    let mut response = Json(body).into_response();
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}

/// `GET /auth/session`: who the caller is, and whether the browser is signed in with that credential already. With it a
/// page asks before a link replaces somebody's session.
pub(in crate::gateway) async fn identity(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let principal = state.authenticate(&parts).await?;
    let cookie = state.cookies.find(&parts.headers, Instant::now());
    let signed_in = match (bearer(&parts.headers)?, cookie) {
        (Some(token), Some(cookie)) => token.digest() == cookie.token.digest(),
        (Some(_), None) => false,
        (None, Some(_)) => true,
        // The control plane's session, or nothing at all.
        (None, None) => !state.config().platform.is_development(),
    };
    Ok(Json(json!({"name": principal.name, "signed_in": signed_in})).into_response())
}

/// `DELETE /auth/session`: makes the cookie invalid, here and in the browser.
pub(in crate::gateway) async fn sign_out(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let now = Instant::now();
    if let Some(cookie) = state.cookies.find(request.headers(), now) {
        // Sign-out is never refused, but counted.
        let _ = state.charge_credential(request.extensions(), Fingerprint::of_token(&cookie.token));
    }
    let cookie = state.cookies.revoke(request.headers(), now);
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    response
}
