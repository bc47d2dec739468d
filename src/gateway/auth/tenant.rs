//! Whether a request was meant for this tenant (docs/canvas.md, section 1.2).
//!
//! It routes: a request that went astray to another organisation's gateway gets 404, which tells nothing. It is no
//! credential, since whoever sends the request writes these headers.

use axum::http::header::REFERER;
use axum::http::{HeaderMap, HeaderName};

use super::headers::{only, origin};
use crate::gateway::answer::Refusal;
use crate::gateway::{Config, Origin};

const ORG_ID: HeaderName = HeaderName::from_static("x-molecule-org-id");
const REPLAY_SOURCE: HeaderName = HeaderName::from_static("fly-replay-src");

/// What comes before the organisation in `Fly-Replay-Src`.
const STATE: &str = "state=";

/// Refuses what names neither this tenant nor comes from one of its pages.
///
/// What is open to whoever asks, such as `/health`, does not come here: it is exempt by its exact path.
pub(super) fn check(config: &Config, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(ours) = config.platform.org_id.as_deref() else { return Ok(()) };
    let names_us = only(headers, &ORG_ID).is_some_and(|id| id == Ok(ours))
        || only(headers, &REPLAY_SOURCE)
            .and_then(Result::ok)
            .and_then(replayed_for)
            .is_some_and(|id| id == ours);
    let from_our_page = || {
        let referer = || only(headers, &REFERER).and_then(Result::ok).and_then(page_of);
        origin(headers).or_else(referer).is_some_and(|origin| config.allowed_origins.contains(&origin))
    };
    if names_us || from_our_page() { Ok(()) } else { Err(Refusal::WrongTenant) }
}

/// The organisation in `instance=…;region=…;t=…;state=<organisation>`, wherever in it.
fn replayed_for(source: &str) -> Option<&str> {
    source.split(';').find_map(|part| part.trim().strip_prefix(STATE))
}

/// The origin of the page at `url`.
fn page_of(url: &str) -> Option<Origin> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    format!("{scheme}://{host}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_organisation_is_found_wherever_it_stands() {
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
    fn a_page_is_of_the_origin_that_its_url_begins_with() {
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
