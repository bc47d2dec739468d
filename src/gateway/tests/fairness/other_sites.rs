//! What pages of other sites make a visitor's browser send.

use super::*;

const CROSS_SITE: (&str, &str) = ("Sec-Fetch-Site", "cross-site");

/// How a browser requests a subresource of that kind, or a document.
fn fetched<'a>(mode: &'a str, dest: &'a str) -> [(&'a str, &'a str); 3] {
    [CROSS_SITE, ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest)]
}

#[tokio::test]
async fn another_sites_page_uses_up_nothing() {
    let server = start(script(Mode::Open), |config| config.rate_limit = 5).await;
    for _ in 0..20 {
        for request in
            ["GET /", "GET /assets/index.js", "GET /workspaces", &format!("GET /workspaces/{MINE}")]
        {
            let answer = server.http(request, &fetched("no-cors", "image")).await;
            assert_eq!(answer.status, 403, "{request}");
            assert_eq!(answer.json()["error"], "requests of other sites' pages are not allowed");
        }
    }
    let same_origin = ("Sec-Fetch-Site", "same-origin");
    assert_eq!(server.http("GET /", &[("Sec-Fetch-Site", "none")]).await.status, 200);
    assert_eq!(server.http("GET /workspaces", &[same_origin]).await.status, 401);
    assert_eq!(server.http("GET /workspaces", &[same_origin, NEIGHBOR]).await.status, 200);
}

#[tokio::test]
async fn a_link_opens_the_page_and_nothing_else() {
    let server = start(script(Mode::Open), |_| {}).await;
    for (request, mode, dest, expected) in [
        ("GET /", "navigate", "document", 200),
        ("GET /?a=b", "navigate", "document", 200),
        ("GET /", "navigate", "iframe", 403),
        ("GET /", "no-cors", "document", 403),
        ("GET /", "navigate", "", 403),
        ("HEAD /", "navigate", "document", 403),
        ("POST /", "navigate", "document", 403),
        ("GET /", "cors", "script", 403),
        ("GET /workspaces", "navigate", "document", 403),
        ("GET /auth/session", "navigate", "document", 403),
    ] {
        let answer = server.http(request, &fetched(mode, dest)).await;
        assert_eq!(answer.status, expected, "{request} {mode} {dest}");
    }
    // With two values, or others than browsers send, it is another site's.
    let twice = [("Sec-Fetch-Site", "same-origin"), CROSS_SITE];
    assert_eq!(server.http("GET /workspaces", &[&twice[..], &[NEIGHBOR]].concat()).await.status, 403);
    // A page of an allowed origin on another site names its origin; one that is not allowed gets no file either.
    let allowed = [&fetched("cors", "empty")[..], &[NEIGHBOR, ("Origin", ORIGIN)]].concat();
    assert_eq!(server.http("GET /workspaces", &allowed).await.status, 200);
    let evil = [&fetched("cors", "script")[..], &[("Origin", "https://evil.test")]].concat();
    assert_eq!(server.http("GET /assets/index.js", &evil).await.status, 403);
    // Whether the gateway is there is for any page.
    assert_eq!(server.http("GET /health", &fetched("no-cors", "empty")).await.status, 200);
}

#[tokio::test]
async fn links_do_not_use_up_the_pages_own_budget() {
    let server = start(script(Mode::Open), |config| config.rate_limit = 3).await;
    let statuses = [200, 200, 200, 429];
    for expected in statuses {
        assert_eq!(server.http("GET /", &fetched("navigate", "document")).await.status, expected);
    }
    assert_eq!(server.http("GET /", &[("Sec-Fetch-Site", "none")]).await.status, 200);
}
