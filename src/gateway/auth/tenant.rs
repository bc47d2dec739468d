//! Refuses requests that are not meant for this tenant (docs/canvas.md, section 1.2).
//!
//! This is routing and no credential: the client writes these headers. A request for another organization gets a 404
//! without a body; one without any tenant header gets a 400 that names the header.

use axum::http::header::REFERER;
use axum::http::{HeaderMap, HeaderName};

use super::headers::{only, origin};
use crate::gateway::error::ApiError;
use crate::gateway::{Config, Origin};
use crate::workspace::PlatformVersion;

/// The organization that a request is for.
pub(in crate::gateway) const X_MOLECULE_ORG_ID: HeaderName = HeaderName::from_static("x-molecule-org-id");
const REPLAY_SOURCE: HeaderName = HeaderName::from_static("fly-replay-src");

/// Precedes the organization in `Fly-Replay-Src`.
const STATE: &str = "state=";

/// Refuses a request that neither names this tenant nor comes from one of its pages. `platform` decides how a request
/// without any tenant header is refused.
///
/// Public routes such as `/health` are exempt by their exact paths and do not reach this check.
pub(super) fn check(config: &Config, platform: PlatformVersion, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(ours) = config.platform.org_id.as_deref() else { return Ok(()) };
    let names_us = only(headers, &X_MOLECULE_ORG_ID).is_some_and(|id| id == Ok(ours))
        || only(headers, &REPLAY_SOURCE)
            .and_then(Result::ok)
            .and_then(replayed_for)
            .is_some_and(|id| id == ours);
    let from_our_page = || {
        let referer = || only(headers, &REFERER).and_then(Result::ok).and_then(page_of);
        origin(headers).or_else(referer).is_some_and(|origin| config.allowed_origins.contains(&origin))
    };
    if names_us || from_our_page() {
        return Ok(());
    }
    let names_none = [X_MOLECULE_ORG_ID, REPLAY_SOURCE].iter().all(|name| is_empty(headers, name));
    match platform {
        PlatformVersion::April2026 => Err(ApiError::WrongTenant),
        _ if names_none => Err(ApiError::MissingTenant),
        _ => Err(ApiError::WrongTenant),
    }
}

/// Returns whether the header `name` is absent, or present once without a value.
fn is_empty(headers: &HeaderMap, name: &HeaderName) -> bool {
    only(headers, name).is_none_or(|value| value == Ok(""))
}

/// Returns the organization in `instance=…;region=…;t=…;state=<organization>`; its position is free.
fn replayed_for(source: &str) -> Option<&str> {
    source.split(';').find_map(|part| part.trim().strip_prefix(STATE))
}

/// Returns the origin of the page at `url`.
fn page_of(url: &str) -> Option<Origin> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    format!("{scheme}://{host}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organization_is_found_in_each_header() {
        for (source, expected) in [
            ("instance=x;region=ord;state=abc-123", Some("abc-123")),
            ("state=abc-123;instance=x", Some("abc-123")),
            ("   state=abc-123  ", Some("abc-123")),
            ("instance=x;region=ord", None),
            ("", None),
            ("garbage", None),
            ("xstate=abc-123", None),
        ] {
            assert_eq!(replayed_for(source), expected, "{source:?}");
        }
    }

    #[test]
    fn page_origin_is_the_start_of_its_url() {
        let origin = |text: &str| Some(text.parse::<Origin>().unwrap());
        for url in ["https://acme.example/", "https://acme.example", "https://acme.example:443/a?b#c"] {
            assert_eq!(page_of(url), origin("https://acme.example"), "{url}");
        }
        for url in ["acme.example/", "https://acme.example@evil.test/", "about:blank", "", "file:///etc"] {
            assert_ne!(page_of(url), origin("https://acme.example"), "{url}");
        }
        assert_eq!(page_of("https://evil.test/https://acme.example/"), origin("https://evil.test"));
        assert_eq!(page_of("https://acme.example.evil.test/"), origin("https://acme.example.evil.test"));
    }
}
