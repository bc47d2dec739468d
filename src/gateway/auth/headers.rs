//! What a request's headers say of who sent it.

use axum::http::header::{AUTHORIZATION, ORIGIN, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method};

use crate::gateway::answer::Refusal;
use crate::gateway::origin::Origin;
use crate::workspace::BearerToken;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// What `Sec-Fetch-Site` says of a page of another site.
const CROSS_SITE: &str = "cross-site";

/// The request's bearer token, by the platform's rule: the prefix `Bearer ` exactly, then trimmed; nothing left
/// means that there is none.
pub(in crate::gateway) fn bearer(headers: &HeaderMap) -> Result<Option<BearerToken>, Refusal> {
    let Some(value) = only(headers, &AUTHORIZATION) else { return Ok(None) };
    let value = value.map_err(|()| Refusal::InvalidToken)?;
    match value.strip_prefix("Bearer ").map(str::trim) {
        None | Some("") => Ok(None),
        Some(token) => BearerToken::new(token).map(Some).ok_or(Refusal::InvalidToken),
    }
}

/// The origin that the request names; it was checked before.
pub(in crate::gateway) fn origin(headers: &HeaderMap) -> Option<Origin> {
    only(headers, &ORIGIN)?.ok()?.parse().ok()
}

/// Whether a page of ours made the browser send this. `Origin` says so, and was checked before; a browser leaves
/// it out of a page's own GETs, where `Sec-Fetch-Site`, which no script can set, says it. A WebSocket always
/// carries `Origin`.
pub(super) fn come_from_our_page(parts: &Parts) -> bool {
    parts.headers.contains_key(ORIGIN)
        || (parts.method.is_safe()
            && !parts.headers.contains_key(UPGRADE)
            && site(&parts.headers) == Some("same-origin"))
}

/// Whether another site's page made the browser send this, without saying which.
pub(super) fn come_from_another_site(parts: &Parts) -> bool {
    !parts.headers.contains_key(ORIGIN)
        && site(&parts.headers).is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

/// What a browser says of the page that made it send this (W3C Fetch Metadata); nonsense is another site.
fn site(headers: &HeaderMap) -> Option<&str> {
    only(headers, &SEC_FETCH_SITE).map(|site| site.unwrap_or(CROSS_SITE))
}

/// Whether a browser sent this for a page of another site.
pub(in crate::gateway) fn is_cross_site(headers: &HeaderMap) -> bool {
    site(headers) == Some(CROSS_SITE)
}

/// Whether a browser sent this because it opens a page in a tab of its own: a link was followed.
pub(super) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::GET
        && only(headers, &SEC_FETCH_MODE) == Some(Ok("navigate"))
        && only(headers, &SEC_FETCH_DEST) == Some(Ok("document"))
}

/// The header `name`: absent, or its text, or an error when it is there twice or is no text.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Result<&'a str, ()>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(match values.next() {
        None => first.to_str().map_err(|_| ()),
        Some(_) => Err(()),
    })
}
