//! The development mode (docs/canvas.md, section 1.5), which lets in who is at hand.

use super::*;
use crate::gateway::Environment;

const PAGE: (&str, &str) = ("Origin", ORIGIN);

async fn start(configure: impl FnOnce(&mut Config)) -> Server {
    let development = |config: &mut Config| {
        config.platform.environment = Environment::Development;
        configure(config);
    };
    Server::with(script(Mode::Open), directory(), development, |_| Router::new()).await
}

async fn status(server: &Server, headers: &[(&str, &str)]) -> u16 {
    let path = format!("/workspaces/{MINE}/terminal");
    server.socket(&path, headers).await.map_or_else(|answer| answer.status, |_| 101)
}

#[tokio::test]
async fn who_is_at_hand_gets_in_with_nothing() {
    let server = start(|_| {}).await;
    assert_eq!(status(&server, &[PAGE]).await, 101);
    assert_eq!(status(&server, &[]).await, 101);
    assert_eq!(server.http("GET /workspaces", &[]).await.status, 200);
    let _open = server.socket(&format!("/workspaces/{OTHERS}/terminal"), &[PAGE]).await.unwrap();
    let sessions = server.http(&format!("GET /workspaces/{OTHERS}/terminal/sessions"), &[]).await;
    assert_eq!(sessions.json()[0]["user"], "development");
}

#[tokio::test]
async fn admin_token_disables_development() {
    let admin = |config: &mut Config| {
        config.platform.admin_token = BearerToken::new("secret").map(|token| token.digest());
    };
    assert_eq!(status(&start(admin).await, &[PAGE]).await, 401);
    let production = |config: &mut Config| config.platform.environment = Environment::Production;
    assert_eq!(status(&start(production).await, &[PAGE]).await, 401);
    assert_eq!(status(&Server::start(script(Mode::Open)).await, &[PAGE]).await, 401, "it is off by default");
}

#[tokio::test]
async fn development_still_checks_credentials() {
    let server = start(|_| {}).await;
    assert_eq!(status(&server, &[("Origin", "https://evil.test")]).await, 403);
    assert_eq!(status(&server, &[("Host", "evil.test")]).await, 403);
    assert_eq!(status(&server, &[PAGE, ("Authorization", "Bearer no")]).await, 401);
    let guess = format!("ticket.{}", "0".repeat(64));
    assert_eq!(status(&server, &[PAGE, ("Sec-WebSocket-Protocol", &guess)]).await, 401);
    // A page of another site makes a browser ask without telling its origin.
    for (site, expected) in [("cross-site", 403), ("same-site", 401), ("same-origin", 200), ("none", 200)] {
        let answer = server.http("GET /workspaces", &[("Sec-Fetch-Site", site)]).await;
        assert_eq!(answer.status, expected, "{site}");
    }
}

#[tokio::test]
async fn proxied_peer_is_not_local() {
    let server = start(|_| {}).await;
    for name in ["X-Forwarded-For", "Forwarded"] {
        assert_eq!(status(&server, &[PAGE, (name, "127.0.0.1")]).await, 401, "{name}");
    }
    let behind = |at_hand| {
        move |config: &mut Config| {
            config.trusted_proxies = 1;
            config.platform.at_hand = at_hand;
        }
    };
    let server = start(behind(crate::gateway::TrustedNetwork::Loopback)).await;
    for (forwarded, expected) in
        [("203.0.113.9", 401), ("127.0.0.1, 203.0.113.9", 401), ("172.17.0.1", 401), ("127.0.0.1", 101)]
    {
        assert_eq!(status(&server, &[PAGE, ("X-Forwarded-For", forwarded)]).await, expected, "{forwarded}");
    }
    let server = start(behind(crate::gateway::TrustedNetwork::Private)).await;
    for (forwarded, expected) in [("203.0.113.9", 401), ("172.17.0.1", 101), ("127.0.0.1", 101)] {
        assert_eq!(status(&server, &[PAGE, ("X-Forwarded-For", forwarded)]).await, expected, "{forwarded}");
    }
}

#[tokio::test]
async fn nobody_is_limited_but_for_wrong_tokens() {
    let server = start(|config| (config.rate_limit, config.token_rate_limit) = (1, 1)).await;
    for headers in [&[][..], &[("Authorization", "Bearer abc")]].repeat(3) {
        let answer = server.http("GET /workspaces", headers).await;
        assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (200, "unlimited"));
        assert_eq!(answer.header("x-ratelimit-remaining"), "");
    }
}
