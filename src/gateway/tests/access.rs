//! Access, and the responses to everyone else.

use std::time::Duration;

use axum::routing::post;
use axum::{Extension, Router};
use serde_json::json;

use super::memory::Memory;
use super::*;

const BEARER: (&str, &str) = ("Authorization", "Bearer abc");

fn terminal_of(id: &str) -> String {
    format!("/workspaces/{id}/terminal")
}

/// Trades the token for a cookie: `name=value`.
async fn cookie(server: &Server) -> String {
    let answer = server.http("POST /auth/session", &[BEARER, ("Origin", ORIGIN)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

async fn refused(server: &Server, path: &str, headers: &[(&str, &str)], status: u16) -> Answer {
    let answer = match server.socket(path, headers).await {
        Ok(_) => panic!("{headers:?} opened {path}"),
        Err(answer) => answer,
    };
    assert_eq!(answer.status, status, "{path} {headers:?}: {answer:?}");
    answer
}

#[tokio::test]
async fn refusals_have_status_and_body() {
    let server = Server::start(script(Mode::Open)).await;
    let mine = terminal_of(MINE);
    let missing = json!({"error": "missing workspace auth token"});
    let invalid = json!({"error": "invalid workspace auth token"});
    let not_found = json!({"error": "workspace not found"});
    let origin = json!({"error": "origin not allowed"});
    let long = format!("Bearer {}", "x".repeat(10_000));
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a serde_json::Value);
    let all = ("Authorization", "Bearer all");
    let cases: [Case<'_>; 18] = [
        (&mine, &[], 401, &missing),
        (&mine, &[("Origin", ORIGIN)], 401, &missing),
        (&mine, &[("Authorization", "bearer abc")], 401, &missing),
        (&mine, &[("Authorization", "Basic abc")], 401, &missing),
        (&mine, &[("Authorization", "Bearer  ")], 401, &missing),
        (&mine, &[("Authorization", "Bearer abd")], 401, &invalid),
        (&mine, &[("Authorization", "Bearer a b")], 401, &invalid),
        (&mine, &[("Authorization", &long)], 401, &invalid),
        // What is not there and what is somebody else's are one to a token of a workspace.
        (&terminal_of(OTHERS), &[BEARER], 401, &invalid),
        (&terminal_of(NOWHERE), &[BEARER], 401, &invalid),
        (&terminal_of("acme"), &[BEARER], 401, &invalid),
        (&terminal_of(REMOVED), &[BEARER], 404, &not_found),
        (&terminal_of(REMOVED), &[all], 404, &not_found),
        (&terminal_of(NOWHERE), &[all], 404, &not_found),
        (&terminal_of("acme"), &[all], 404, &not_found),
        (&terminal_of("%ff"), &[all], 404, &not_found),
        (&mine, &[BEARER, ("Origin", "https://evil.test")], 403, &origin),
        (&mine, &[BEARER, ("Origin", "null")], 403, &origin),
    ];
    for (path, headers, status, body) in cases {
        let answer = refused(&server, path, headers, status).await;
        assert_eq!(answer.json(), *body, "{path} {headers:?}");
        assert_eq!(answer.header("content-type"), "application/json");
    }
    assert_eq!(server.script.seen().connects, 0);
    assert_eq!(server.gateway.sessions().live(), 0);
}

#[tokio::test]
async fn invalid_entry_is_not_an_outage() {
    let memory = Arc::new(Memory::default());
    let id = memory.workspace(None);
    memory.token("abc", &[id]);
    memory.spoil(id);
    let server = Server::with(script(Mode::Open), memory, |_| {}, |_| Router::new()).await;
    let body = json!({
        "error": "the platform's entry of this workspace is wrong: an operator has to mend it",
        "code": "workspace_unusable",
    });
    for route in routes_to(&id.to_string()) {
        let answer = server.http(&route, &[BEARER, ("Content-Length", "0")]).await;
        assert_eq!((answer.status, answer.json()), (500, body.clone()), "{route}");
        assert_eq!(answer.header("retry-after"), "", "{route}: trying again does not help");
    }
    assert_eq!(server.script.seen().connects, 0);
    let metrics = server.http("GET /metrics", &[]).await.body;
    assert!(metrics.contains("denials_total{reason=\"unusable-entry\"} 8\n"), "{metrics}");
    // An alert on outages stays silent.
    let outages = metrics.lines().filter(|line| line.contains("directory_query") && line.contains("failed"));
    assert!(outages.clone().all(|line| line.ends_with(" 0")), "{:?}", outages.collect::<Vec<_>>());
}

#[tokio::test]
async fn missing_token_needs_no_query() {
    let memory = Arc::new(Memory::default());
    let id = memory.workspace(None).to_string();
    let server = Server::with(script(Mode::Open), memory.clone(), |_| {}, |_| Router::new()).await;
    for headers in [&[][..], &[("Origin", ORIGIN)], &[("X-Workspace-ID", OTHERS)], &[("Cookie", "a=b")]] {
        for route in routes_to(&id) {
            assert_eq!(server.http(&route, headers).await.status, 401, "{route} {headers:?}");
        }
    }
    assert_eq!(memory.asked(), [""; 0]);
}

#[tokio::test]
async fn host_header_is_exact() {
    let origins: &[&str] = &["http://plain.test", "https://tls.test", "https://elsewhere.test"];
    let configure = |config: &mut Config| {
        *config = Config::new(origins.iter().map(|origin| origin.parse().unwrap()).collect());
        // A page of that one is let in, and this is no gateway of its name.
        config.allowed_hosts.retain(|host| host.to_string() != "elsewhere.test");
    };
    let server = Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await;
    for (host, status) in [
        ("plain.test", 200),
        ("plain.test:80", 200),
        ("PLAIN.test:80", 200),
        ("tls.test", 200),
        ("tls.test:443", 200),
        ("plain.test:443", 403),
        ("plain.test:8080", 403),
        ("plain.test:080", 403),
        ("plain.test:", 403),
        ("tls.test:80", 403),
        ("elsewhere.test", 403),
        ("elsewhere.test:443", 403),
        ("plain.test.evil.test:80", 403),
    ] {
        let answer = server.http("GET /workspaces", &[("Host", host), BEARER]).await;
        assert_eq!(answer.status, status, "{host}: {}", answer.body);
        // The same in the request line, whatever `Host` says.
        let absolute = format!("GET http://{host}/workspaces");
        let answer = server.http(&absolute, &[("Host", "plain.test"), BEARER]).await;
        assert!(answer.status == status || answer.status == 400, "{absolute}: {}", answer.body);
    }
}

#[tokio::test]
async fn bearer_needs_no_origin() {
    let server = Server::start(script(Mode::Open)).await;
    for headers in [&[BEARER][..], &[BEARER, ("Origin", ORIGIN)], &[("Authorization", "Bearer   abc ")]] {
        assert!(server.socket(&terminal_of(MINE), headers).await.is_ok(), "{headers:?}");
    }
}

#[tokio::test]
async fn cookie_opens_for_our_page_only() {
    let server = Server::start(script(Mode::Open)).await;
    let cookie = cookie(&server).await;
    let mine = terminal_of(MINE);
    // Without an origin, and across origins.
    refused(&server, &mine, &[("Cookie", &cookie)], 401).await;
    refused(&server, &mine, &[("Cookie", &cookie), ("Sec-Fetch-Site", "same-origin")], 401).await;
    refused(&server, &mine, &[("Cookie", &cookie), ("Origin", "https://evil.test")], 403).await;
    // A wrong bearer with a valid cookie is refused.
    let both = [("Cookie", cookie.as_str()), ("Origin", ORIGIN), ("Authorization", "Bearer no")];
    refused(&server, &mine, &both, 401).await;
    // An unknown cookie.
    let forged = format!("{}={}", cookie.split('=').next().unwrap(), "0".repeat(64));
    refused(&server, &mine, &[("Cookie", &forged), ("Origin", ORIGIN)], 401).await;
    assert_eq!(server.script.seen().connects, 0);

    assert!(server.socket(&mine, &[("Cookie", &cookie), ("Origin", ORIGIN)]).await.is_ok());
    refused(&server, &terminal_of(OTHERS), &[("Cookie", &cookie), ("Origin", ORIGIN)], 401).await;

    // A page's own GET carries no origin; the browser says the same in another header.
    let fetch = |site| [("Cookie", cookie.as_str()), ("Sec-Fetch-Site", site)];
    assert_eq!(server.http("GET /workspaces", &fetch("same-origin")).await.status, 200);
    for (site, status) in [("cross-site", 403), ("same-site", 401), ("none", 401), ("", 401)] {
        assert_eq!(server.http("GET /workspaces", &fetch(site)).await.status, status, "{site}");
    }
}

#[tokio::test]
async fn signing_out_ends_the_cookie() {
    let server = Server::start(script(Mode::Open)).await;
    let cookie = cookie(&server).await;
    let headers = [("Cookie", cookie.as_str()), ("Origin", ORIGIN)];
    assert_eq!(server.http("GET /workspaces", &headers).await.status, 200);
    let evil = [("Cookie", cookie.as_str()), ("Origin", "https://evil.test")];
    assert_eq!(server.http("DELETE /auth/session", &evil).await.status, 403);
    assert_eq!(server.http("GET /workspaces", &headers).await.status, 200);
    let answer = server.http("DELETE /auth/session", &headers).await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(server.http("GET /workspaces", &headers).await.status, 401);
}

#[tokio::test]
async fn cookie_is_hidden_from_scripts() {
    let server = Server::start(script(Mode::Open)).await;
    let answer = server.http("POST /auth/session", &[BEARER, ("Origin", ORIGIN)]).await;
    assert_eq!(answer.json()["name"], "ci");
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(!answer.body.contains("abc"));
    for headers in [&[("Origin", ORIGIN)][..], &[("Authorization", "Bearer no")]] {
        let answer = server.http("POST /auth/session", headers).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (401, ""));
    }
}

#[tokio::test]
async fn host_is_checked_everywhere_but_for_health() {
    let server = Server::start(script(Mode::Open)).await;
    for host in ["evil.test", "gateway.test", "gateway.test:80", "127.0.0.1", "gateway.test:8080:1", ""] {
        for path in ["GET /", "GET /workspaces", "POST /auth/session"] {
            let answer = server.http(path, &[("Host", host), BEARER]).await;
            assert_eq!(answer.status, 403, "{host} {path}");
            assert_eq!(answer.json(), json!({"error": "host not allowed"}));
        }
        let health = server.http("GET /health", &[("Host", host)]).await;
        assert_eq!((health.status, health.body.as_str()), (200, r#"{"status":"ok"}"#));
    }
    let twice = server.http("GET /workspaces", &[("Host", HOST), ("Host", "evil.test"), BEARER]).await;
    assert!(matches!(twice.status, 400 | 403), "{twice:?}");
    assert_eq!(server.http("GET http://evil.test/workspaces", &[BEARER]).await.status, 403);
    assert_eq!(server.http("GET /workspaces", &[("Host", "Gateway.TEST:8080"), BEARER]).await.status, 200);
}

#[tokio::test]
async fn foreign_page_gets_only_files() {
    let server = Server::start(script(Mode::Open)).await;
    let evil = ("Origin", "https://evil.test");
    let page = server.http("GET /", &[evil]).await;
    assert_eq!((page.status, page.header("cross-origin-resource-policy")), (200, "same-origin"));
    for request in ["GET /workspaces", "POST /auth/session", "DELETE /auth/session"] {
        let answer = server.http(request, &[evil, BEARER]).await;
        assert_eq!(
            (answer.status, answer.json()),
            (403, json!({"error": "origin not allowed"})),
            "{request}"
        );
    }
    assert_eq!(server.http("GET /", &[evil, ("Host", "evil.test")]).await.status, 403);
}

#[tokio::test]
async fn a_token_in_the_query_is_ignored() {
    let server = Server::start(script(Mode::Open)).await;
    for query in ["token=abc", "access_token=abc", "authorization=Bearer%20abc"] {
        refused(&server, &format!("{}?{query}", terminal_of(MINE)), &[("Origin", ORIGIN)], 401).await;
        assert_eq!(server.http(&format!("GET /workspaces?{query}"), &[]).await.status, 401);
    }
}

#[tokio::test]
async fn terminal_needs_an_upgrade() {
    let server = Server::start(script(Mode::Open)).await;
    let path = format!("GET {}", terminal_of(MINE));
    let answer = server.http(&path, &[BEARER]).await;
    assert_eq!((answer.status, answer.header("upgrade")), (426, "websocket"));
    assert!(answer.json()["error"].as_str().unwrap().contains("WebSocket"));
    assert_eq!(server.http(&path, &[]).await.status, 401, "an unknown caller learns nothing");
    // A handshake of another version.
    let headers = [
        BEARER,
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "8"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let answer = server.http(&path, &headers).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.json()["error"].is_string());
    assert_eq!(server.http(&format!("POST {}", terminal_of(MINE)), &[BEARER]).await.status, 405);
    assert_eq!(server.script.seen().connects, 0);
}

#[tokio::test]
async fn directory_outage_is_503() {
    let server = Server::with(script(Mode::Open), Arc::new(Down), |_| {}, |_| Router::new()).await;
    let body =
        json!({"error": "platform datastore unavailable — retry shortly", "code": "platform_unavailable"});
    let answer = refused(&server, &terminal_of(MINE), &[BEARER], 503).await;
    assert_eq!(answer.json(), body);
    assert!(!answer.body.contains("refused"), "the cause is for the log");
    for path in ["GET /workspaces", "POST /auth/session"] {
        assert_eq!(server.http(path, &[BEARER]).await.status, 503);
    }
    assert_eq!(server.http("GET /health", &[]).await.status, 200);

    let configure = |config: &mut Config| config.directory_timeout = Duration::from_millis(20);
    let server = Server::with(script(Mode::Open), Arc::new(Silent), configure, |_| Router::new()).await;
    assert_eq!(refused(&server, &terminal_of(MINE), &[BEARER], 503).await.json(), body);
}

#[tokio::test]
async fn wrong_tokens_are_limited_by_peer() {
    let configure = |config: &mut Config| config.max_wrong_tokens = 3;
    let server = Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await;
    let cookie = cookie(&server).await;
    for _ in 0..3 {
        refused(&server, &terminal_of(MINE), &[("Authorization", "Bearer no")], 401).await;
    }
    let answer = server.http("POST /auth/session", &[("Authorization", "Bearer no")]).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.json()["error"], "rate limit exceeded");
    let after: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&after) && answer.json()["retry_after"] == after);
    // Somebody who is in stays in.
    let headers = [("Cookie", cookie.as_str()), ("Origin", ORIGIN)];
    assert_eq!(server.http("GET /workspaces", &headers).await.status, 200);
}

#[tokio::test]
async fn workspaces_need_access() {
    let server = Server::start(script(Mode::Open)).await;
    let list = server.http("GET /workspaces", &[BEARER]).await;
    let mine = json!({
        "id": MINE, "name": "mine", "status": "online", "instance": "i-1", "container": "ws-mine",
    });
    assert_eq!(list.json(), json!([mine]));
    assert_eq!(list.header("cache-control"), "no-store");
    let shown = server.http(&format!("GET /workspaces/{MINE}"), &[BEARER]).await;
    assert_eq!(shown.json(), mine);
    for (id, status) in [(OTHERS, 401), (NOWHERE, 401), ("acme", 401), ("%2e%2e", 401), (REMOVED, 404)] {
        assert_eq!(server.http(&format!("GET /workspaces/{id}"), &[BEARER]).await.status, status, "{id}");
    }
    assert_eq!(server.http(&format!("GET /workspaces/{MINE}"), &[]).await.status, 401);
    assert_eq!(server.http("GET /workspaces", &[]).await.status, 401);
}

#[tokio::test]
async fn public_status_is_configurable() {
    let configure = |config: &mut Config| config.public_status = true;
    let server = Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await;
    let shown = server.http(&format!("GET /workspaces/{MINE}"), &[]).await;
    assert_eq!(shown.json(), json!({"id": MINE, "status": "online"}));
    assert_eq!(server.http("GET /workspaces/acme", &[]).await.status, 404);
    assert_eq!(
        server.http(&format!("GET /workspaces/{MINE}"), &[("Authorization", "Bearer no")]).await.status,
        401
    );
    assert_eq!(server.http("GET /workspaces", &[]).await.status, 401);
    refused(&server, &terminal_of(MINE), &[], 401).await;
}

#[tokio::test]
async fn merged_routes_are_protected() {
    let more = |gateway: &Gateway| {
        let create = |Extension(principal): Extension<Principal>, body: String| async move {
            format!("{} made {body}", principal.name)
        };
        gateway.protect(Router::new().route("/workspaces", post(create)))
    };
    let server = Server::with(script(Mode::Open), directory(), |config| config.max_body = 10, more).await;
    assert_eq!(server.http("POST /workspaces", &[BEARER]).await.body, "ci made ");
    assert_eq!(server.http("POST /workspaces", &[]).await.status, 401);
    let evil = [BEARER, ("Origin", "https://evil.test")];
    assert_eq!(server.http("POST /workspaces", &evil).await.status, 403);
    assert_eq!(server.http("POST /workspaces", &[BEARER, ("Host", "evil.test")]).await.status, 403);
    assert_eq!(server.http("GET /workspaces", &[BEARER]).await.status, 200);
    let headers = [BEARER, ("Content-Length", "11")];
    let large = server.http_with_body("POST /workspaces", &headers, "12345678901").await;
    assert_eq!(large.status, 413);
    assert_eq!(large.header("x-frame-options"), "DENY");
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let server = Server::start(script(Mode::Open)).await;
    let id = terminal_of(MINE);
    for path in ["GET /", "GET /health", "GET /workspaces", "GET /nothing", &format!("GET {id}"), "PUT /"] {
        let answer = server.http(path, &[]).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(answer.header("permissions-policy").contains("camera=()"));
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("connect-src 'self'") && policy.contains("frame-ancestors 'none'"));
        assert!(policy.contains("script-src 'self';"), "{policy}");
        let sharing = if path == "GET /health" { "cross-origin" } else { "same-origin" };
        assert_eq!(answer.header("cross-origin-resource-policy"), sharing, "{path}");
    }
}

#[tokio::test]
async fn the_page_is_served_and_never_cached() {
    let server = Server::start(script(Mode::Open)).await;
    let page = server.http("GET /", &[]).await;
    assert_eq!((page.status, page.header("cache-control")), (200, "no-store"));
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.body.to_lowercase().contains("<!doctype html"));
    for path in ["GET /../../Cargo.toml", "GET /..%2f..%2fCargo.toml", "GET /nothing.js", "GET //etc/passwd"]
    {
        assert_eq!(server.http(path, &[]).await.status, 404, "{path}");
    }
    assert_eq!(server.http("POST /", &[]).await.status, 405);
}
