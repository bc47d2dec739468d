//! Credentials and origin in a request's headers.

use axum::http::header::{AUTHORIZATION, ORIGIN, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method};

use crate::gateway::error::ApiError;
use crate::gateway::origin::Origin;
use crate::workspace::BearerToken;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// `Sec-Fetch-Site` of another site's page.
const CROSS_SITE: &str = "cross-site";

/// Returns the request's bearer token by the platform's rule: the exact prefix `Bearer `, then trimmed; empty means none.
pub(in crate::gateway) fn bearer(headers: &HeaderMap) -> Result<Option<BearerToken>, ApiError> {
    let Some(value) = only(headers, &AUTHORIZATION) else { return Ok(None) };
    let value = value.map_err(|()| ApiError::InvalidToken)?;
    match value.strip_prefix("Bearer ").map(str::trim) {
        None | Some("") => Ok(None),
        Some(token) => BearerToken::new(token).map(Some).ok_or(ApiError::InvalidToken),
    }
}

/// Returns the request's origin, which was checked before.
pub(in crate::gateway) fn origin(headers: &HeaderMap) -> Option<Origin> {
    only(headers, &ORIGIN)?.ok()?.parse().ok()
}

/// Returns whether our page sent this: by `Origin`, which was checked before, or by `Sec-Fetch-Site`, which no script can
/// set, for a page's own GETs, which have no `Origin`. A WebSocket always has `Origin`.
pub(super) fn come_from_our_page(parts: &Parts) -> bool {
    parts.headers.contains_key(ORIGIN)
        || (parts.method.is_safe()
            && !parts.headers.contains_key(UPGRADE)
            && site(&parts.headers) == Some("same-origin"))
}

/// Returns whether another site's page sent this without an origin.
pub(super) fn come_from_another_site(parts: &Parts) -> bool {
    !parts.headers.contains_key(ORIGIN)
        && site(&parts.headers).is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

/// Returns the relation of the sending page (W3C Fetch Metadata); an invalid value counts as another site.
fn site(headers: &HeaderMap) -> Option<&str> {
    only(headers, &SEC_FETCH_SITE).map(|site| site.unwrap_or(CROSS_SITE))
}

/// Returns whether another site's page sent this.
pub(in crate::gateway) fn is_cross_site(headers: &HeaderMap) -> bool {
    site(headers) == Some(CROSS_SITE)
}

/// Returns whether this is a top-level navigation: a link was followed.
pub(super) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::GET
        && only(headers, &SEC_FETCH_MODE) == Some(Ok("navigate"))
        && only(headers, &SEC_FETCH_DEST) == Some(Ok("document"))
}

/// Returns the header `name`, if present; an error if it is repeated or not text.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Result<&'a str, ()>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(match values.next() {
        None => first.to_str().map_err(|_| ()),
        Some(_) => Err(()),
    })
}
