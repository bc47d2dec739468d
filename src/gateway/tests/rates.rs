//! How often somebody may ask.

use serde_json::json;

use super::*;

const BEARER: (&str, &str) = ("Authorization", "Bearer abc");

async fn start(configure: impl FnOnce(&mut Config)) -> Server {
    Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await
}

fn number(answer: &Answer, name: &str) -> u64 {
    answer.header(name).parse().unwrap_or_else(|_| panic!("{name} of {answer:?}"))
}

#[tokio::test]
async fn a_peer_is_told_what_it_has_left_and_refused_above_it() {
    let server = start(|config| config.rate_limit = 3).await;
    for (n, headers) in [&[BEARER][..], &[], &[("Authorization", "Bearer no")]].into_iter().enumerate() {
        let answer = server.http("GET /workspaces", headers).await;
        assert_ne!(answer.status, 429);
        assert_eq!(number(&answer, "x-ratelimit-limit"), 3);
        assert_eq!(number(&answer, "x-ratelimit-remaining"), 2 - n as u64);
        assert!((1..=60).contains(&number(&answer, "x-ratelimit-reset")));
    }
    let path = format!("/workspaces/{MINE}/terminal");
    let answer = server.socket(&path, &[BEARER]).await.unwrap_err();
    assert_eq!((answer.status, number(&answer, "x-ratelimit-remaining")), (429, 0));
    let after = number(&answer, "retry-after");
    assert!((1..=60).contains(&after));
    assert_eq!(answer.json(), json!({"error": "rate limit exceeded", "retry_after": after}));
    assert_eq!(server.http("GET /", &[]).await.status, 429, "the page counts as well");
    assert_eq!(server.script.seen().connects, 0);
    // Whoever watches over the gateway is not kept out, and is told no numbers.
    for path in ["GET /health", "GET /ready"] {
        let answer = server.http(path, &[]).await;
        assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (200, ""), "{path}");
    }
}

#[tokio::test]
async fn what_is_refused_by_host_or_origin_takes_nobodys_allowance() {
    let server = start(|config| config.rate_limit = 1).await;
    for _ in 0..3 {
        assert_eq!(server.http("GET /", &[("Host", "evil.test")]).await.status, 403);
        assert_eq!(server.http("GET /workspaces", &[("Origin", "https://evil.test")]).await.status, 403);
    }
    assert_eq!(server.http("GET /workspaces", &[BEARER]).await.status, 200);
}

#[tokio::test]
async fn a_token_has_an_allowance_of_its_own_wherever_it_is_used() {
    let configure = |config: &mut Config| {
        config.token_rate_limit = 2;
        config.trusted_proxies = 1;
    };
    let server = start(configure).await;
    let from = |peer| [BEARER, ("X-Forwarded-For", peer)];
    assert_eq!(server.http("GET /workspaces", &from("192.0.2.1")).await.status, 200);
    // The page's cookie counts as the token that it stands for.
    let signed_in =
        server.http("POST /auth/session", &[BEARER, ("Origin", ORIGIN), ("Content-Length", "0")]).await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap();
    let by_cookie = [("Cookie", cookie), ("Origin", ORIGIN), ("X-Forwarded-For", "192.0.2.2")];
    assert_eq!(server.http("GET /workspaces", &by_cookie).await.status, 200);
    for headers in [&from("192.0.2.3")[..], &by_cookie] {
        let answer = server.http("GET /workspaces", headers).await;
        assert_eq!((answer.status, number(&answer, "x-ratelimit-limit")), (429, 2), "{headers:?}");
        assert_eq!(number(&answer, "x-ratelimit-remaining"), 0);
    }
    let other = [("Authorization", "Bearer all"), ("X-Forwarded-For", "192.0.2.3")];
    assert_eq!(server.http("GET /workspaces", &other).await.status, 200);
}

#[tokio::test]
async fn behind_trusted_proxies_each_peer_has_its_own_allowance() {
    let configure = |config: &mut Config| {
        config.rate_limit = 1;
        config.max_wrong_tokens = 1;
        config.trusted_proxies = 2;
    };
    let server = start(configure).await;
    let ask = async |forwarded: &str| {
        server.http("GET /workspaces", &[BEARER, ("X-Forwarded-For", forwarded)]).await.status
    };
    assert_eq!(ask("192.0.2.1, 10.0.0.1").await, 200);
    assert_eq!(ask("192.0.2.2, 10.0.0.1").await, 200);
    assert_eq!(ask("192.0.2.1, 10.0.0.2").await, 429, "the same peer by another proxy");
    assert_eq!(ask("192.0.2.77, 192.0.2.2, 10.0.0.1").await, 429, "what it adds itself is not believed");
    assert_eq!(
        ask("192.0.2.3, garbage").await,
        200,
        "the outermost proxy saw whom the next names as it likes"
    );
    // Two lines are one list.
    let lines = [BEARER, ("X-Forwarded-For", "192.0.2.4"), ("X-Forwarded-For", "10.0.0.1")];
    assert_eq!(server.http("GET /workspaces", &lines).await.status, 200);
    assert_eq!(ask("192.0.2.4, 10.0.0.9").await, 429);
    // Without the header, or with nonsense, it is who is connected.
    assert_eq!(ask("").await, 200);
    assert_eq!(ask("nonsense, 10.0.0.1").await, 429);
}

#[tokio::test]
async fn wrong_tokens_are_counted_by_the_peer_behind_the_proxies() {
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
