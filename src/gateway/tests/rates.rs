//! How often somebody may ask.

use serde_json::json;

use super::*;

const BEARER: (&str, &str) = ("Authorization", "Bearer abc");
const WRONG: (&str, &str) = ("Authorization", "Bearer no");

async fn start(configure: impl FnOnce(&mut Config)) -> Server {
    Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await
}

fn number(answer: &Answer, name: &str) -> u64 {
    answer.header(name).parse().unwrap_or_else(|_| panic!("{name} of {answer:?}"))
}

#[tokio::test]
async fn rate_headers_count_down() {
    let server = start(|config| config.rate_limit = 3).await;
    for (n, headers) in [&[][..], &[("Authorization", "Basic x")], &[WRONG]].into_iter().enumerate() {
        let answer = server.http("GET /workspaces", headers).await;
        assert_eq!(answer.status, 401);
        assert_eq!(number(&answer, "x-ratelimit-limit"), 3);
        assert_eq!(number(&answer, "x-ratelimit-remaining"), 2 - n as u64);
        assert!((1..=60).contains(&number(&answer, "x-ratelimit-reset")));
    }
    let path = format!("/workspaces/{MINE}/terminal");
    let answer = server.socket(&path, &[]).await.unwrap_err();
    assert_eq!((answer.status, number(&answer, "x-ratelimit-remaining")), (429, 0));
    let after = number(&answer, "retry-after");
    assert!((1..=60).contains(&after));
    assert_eq!(answer.json(), json!({"error": "rate limit exceeded", "retry_after": after}));
    // A method that the route does not have counts as well.
    assert_eq!(server.http("PATCH /workspaces", &[]).await.status, 429);
    assert_eq!(server.script.seen().connects, 0);
}

#[tokio::test]
async fn every_route_has_a_budget_of_its_own() {
    let server = start(|config| config.rate_limit = 2).await;
    let preflight = [("Origin", ORIGIN), ("Access-Control-Request-Method", "PUT")];
    let link =
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    let proxied = [("X-Forwarded-For", "192.0.2.1")];
    for (request, headers, status) in [
        ("GET /workspaces", &[][..], 401),
        ("GET /", &[], 200),
        ("GET /", &link, 200),
        ("GET /metrics", &[], 200),
        ("GET /ready", &proxied, 200),
        ("OPTIONS /workspaces", &preflight, 200),
    ] {
        for expected in [status, status, 429] {
            let answer = server.http(request, headers).await;
            assert_eq!(answer.status, expected, "{request} {headers:?}");
        }
    }
    // The probes share one budget, and report no numbers.
    for path in ["GET /health", "GET /ready"] {
        let answer = server.http(path, &[]).await;
        assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (429, ""), "{path}");
    }
    assert_eq!(server.http("GET /workspaces", &[BEARER]).await.status, 200);
}

#[tokio::test]
async fn refused_hosts_and_origins_use_up_no_budget() {
    let server = start(|config| config.rate_limit = 1).await;
    for _ in 0..3 {
        assert_eq!(server.http("GET /", &[("Host", "evil.test")]).await.status, 403);
        assert_eq!(server.http("GET /workspaces", &[("Origin", "https://evil.test")]).await.status, 403);
    }
    assert_eq!(server.http("GET /workspaces", &[]).await.status, 401);
    assert_eq!(server.http("GET /", &[]).await.status, 200);
}

#[tokio::test]
async fn token_has_its_own_rate() {
    let configure = |config: &mut Config| {
        config.token_rate_limit = 3;
        config.trusted_proxies = 1;
    };
    let server = start(configure).await;
    let from = |peer| [BEARER, ("X-Forwarded-For", peer)];
    assert_eq!(server.http("GET /workspaces", &from("192.0.2.1")).await.status, 200);
    // Signing in counts, and the page's cookie counts as the token that it was issued for.
    let signed_in =
        server.http("POST /auth/session", &[BEARER, ("Origin", ORIGIN), ("Content-Length", "0")]).await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap();
    let by_cookie = [("Cookie", cookie), ("Origin", ORIGIN), ("X-Forwarded-For", "192.0.2.2")];
    assert_eq!(server.http("GET /workspaces", &by_cookie).await.status, 200);
    for headers in [&from("192.0.2.3")[..], &by_cookie] {
        let answer = server.http("GET /workspaces", headers).await;
        assert_eq!((answer.status, number(&answer, "x-ratelimit-limit")), (429, 3), "{headers:?}");
        assert_eq!(number(&answer, "x-ratelimit-remaining"), 0);
    }
    let other = [("Authorization", "Bearer all"), ("X-Forwarded-For", "192.0.2.3")];
    assert_eq!(server.http("GET /workspaces", &other).await.status, 200);
}

#[tokio::test]
async fn proxied_peers_have_own_rates() {
    let configure = |config: &mut Config| {
        config.rate_limit = 1;
        config.max_wrong_tokens = 1;
        config.trusted_proxies = 2;
    };
    let server = start(configure).await;
    let ask = async |forwarded: &str| {
        server.http("GET /workspaces", &[("X-Forwarded-For", forwarded)]).await.status
    };
    assert_eq!(ask("192.0.2.1, 10.0.0.1").await, 401);
    assert_eq!(ask("192.0.2.2, 10.0.0.1").await, 401);
    assert_eq!(ask("192.0.2.1, 10.0.0.2").await, 429, "the same peer by another proxy");
    assert_eq!(ask("192.0.2.77, 192.0.2.2, 10.0.0.1").await, 429, "what it adds itself is not believed");
    assert_eq!(
        ask("192.0.2.3, garbage").await,
        401,
        "the outermost proxy saw whom the next names as it likes"
    );
    // Two lines are one list.
    let lines = [("X-Forwarded-For", "192.0.2.4"), ("X-Forwarded-For", "10.0.0.1")];
    assert_eq!(server.http("GET /workspaces", &lines).await.status, 401);
    assert_eq!(ask("192.0.2.4, 10.0.0.9").await, 429);
    // With nonsense, it is who is connected.
    assert_eq!(ask("nonsense, 10.0.0.1").await, 401);
    assert_eq!(ask("garbage, 10.0.0.1").await, 429);
}

#[tokio::test]
async fn wrong_tokens_count_per_proxied_peer() {
    let configure = |config: &mut Config| {
        config.max_wrong_tokens = 1;
        config.trusted_proxies = 1;
    };
    let server = start(configure).await;
    let wrong = async |peer: &str| {
        let headers = [("Authorization", "Bearer no"), ("X-Forwarded-For", peer)];
        server.http("GET /workspaces", &headers).await.status
    };
    assert_eq!(wrong("192.0.2.1").await, 401);
    assert_eq!(wrong("192.0.2.1").await, 429);
    assert_eq!(wrong("192.0.2.2").await, 401, "a neighbour behind the same proxy is not kept out");
}
