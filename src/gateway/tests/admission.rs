//! The order of credentials: a wrong one is not replaced by another.

use serde_json::json;

use super::memory::Memory;
use super::*;
use crate::gateway::control_plane::script::{Plane, Reply};

const ADMIN: &str = "admin-token-of-the-platform";
const SESSION: (&str, &str) = ("Cookie", "wos-session=1");
const PAGE: (&str, &str) = ("Origin", ORIGIN);

fn terminal() -> String {
    format!("/workspaces/{MINE}/terminal")
}

/// A gateway with an administrator's token and a control plane.
async fn start(reply: Reply) -> (Server, Plane) {
    let plane = Plane::start(reply).await;
    let configure = |config: &mut Config| {
        config.platform.admin_token = BearerToken::new(ADMIN).map(|token| token.digest());
        config.platform.control_plane = Some(plane.config("acme"));
    };
    let server = Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await;
    (server, plane)
}

/// Returns a ticket for the terminal, as our page obtains it.
async fn ticket(server: &Server) -> String {
    let headers = [("Authorization", "Bearer abc"), PAGE, ("Content-Length", "0")];
    let answer = server.http(&format!("POST {}/ticket", terminal()), &headers).await;
    format!("eicterm.v1, ticket.{}", answer.json()["ticket"].as_str().unwrap())
}

/// Returns the status of a terminal; 101 if it opens.
async fn status(server: &Server, headers: &[(&str, &str)]) -> u16 {
    server.socket(&terminal(), headers).await.map_or_else(|answer| answer.status, |_| 101)
}

#[tokio::test]
async fn a_forged_origin_opens_nothing() {
    let plane = Plane::start(Reply::stranger()).await;
    let configure = |config: &mut Config| config.platform.control_plane = Some(plane.config("acme"));
    let more = |gateway: &Gateway| {
        gateway.protect(Router::new().route("/workspaces", axum::routing::post(|| async { "made" })))
    };
    let server = Server::with(script(Mode::Open), directory(), configure, more).await;
    let mut requests = routes_to(MINE);
    requests.extend(
        ["GET /workspaces", "POST /workspaces", "GET /terminal/sessions", "POST /auth/session"]
            .map(str::to_owned),
    );
    // What opens the platform's own terminal without a credential: the page's origin, its Referer and the edge's headers.
    let referer = format!("{ORIGIN}/workspaces/{MINE}");
    let forged = [
        PAGE,
        ("Referer", referer.as_str()),
        ("X-Molecule-Org-Id", "7d9c3b5e-0f7a-4c55-9a06-4e6f0a1d2c3b"),
        ("Fly-Replay-Src", "state=7d9c3b5e-0f7a-4c55-9a06-4e6f0a1d2c3b"),
        ("X-Workspace-ID", MINE),
        ("Sec-Fetch-Site", "same-origin"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Host", HOST),
    ];
    let missing = json!({"error": "missing workspace auth token"});
    for count in 1..=forged.len() {
        let answer = server.socket(&terminal(), &forged[..count]).await.unwrap_err();
        assert_eq!((answer.status, answer.json()), (401, missing.clone()), "{:?}", &forged[..count]);
    }
    for request in &requests {
        let headers = [&forged[..], &[("Content-Length", "0")]].concat();
        let answer = server.http(request, &headers).await;
        assert_eq!((answer.status, answer.json()), (401, missing.clone()), "{request}");
        // Nor with unknown cookies.
        let headers = [&headers[..], &[SESSION]].concat();
        assert_eq!(server.http(request, &headers).await.status, 401, "{request}");
    }
    // An origin that is not exactly ours is refused with any credential.
    let bearer = ("Authorization", "Bearer abc");
    for origin in [
        "http://gateway.test",
        "https://gateway.test:8080",
        "http://gateway.test:8081",
        "http://gateway.test:8080.evil.test",
        "http://gateway.test:8080@evil.test",
        "http://evil.test/http://gateway.test:8080",
        "http://xgateway.test:8080",
        "http://localhost:3000",
        "null",
        "file://",
    ] {
        assert_eq!(status(&server, &[bearer, ("Origin", origin)]).await, 403, "{origin}");
        for request in &requests {
            let answer = server.http(request, &[bearer, ("Origin", origin), ("Content-Length", "0")]).await;
            assert_eq!(answer.status, 403, "{origin} {request}");
            assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
        }
    }
    let seen = server.script.seen();
    assert_eq!((seen.connects, seen.diagnoses), (0, 0));
}

#[tokio::test]
async fn admin_token_needs_no_directory() {
    let configure = |config: &mut Config| {
        config.platform.admin_token = BearerToken::new(ADMIN).map(|token| token.digest())
    };
    let memory = Arc::new(Memory::default());
    let id = memory.workspace(None);
    let server = Server::with(script(Mode::Open), memory.clone(), configure, |_| Router::new()).await;
    let bearer = format!("Bearer {ADMIN}");
    let admin = ("Authorization", bearer.as_str());
    assert!(server.socket(&format!("/workspaces/{id}/terminal"), &[admin]).await.is_ok());
    assert_eq!(memory.asked(), ["find"]);
    // It can be exchanged for a cookie like any other.
    let answer = server.http("POST /auth/session", &[admin, PAGE, ("Content-Length", "0")]).await;
    assert_eq!((answer.status, answer.json()["name"].as_str()), (200, Some("admin-token")));
    for wrong in
        ["", "admin-token-of-the-platforn", "admin-token-of-the-platform2", "ADMIN-TOKEN-OF-THE-PLATFORM"]
    {
        let bearer = format!("Bearer {wrong}");
        let answer = server.http("GET /workspaces", &[("Authorization", &bearer)]).await;
        assert_eq!(answer.status, 401, "{wrong}");
    }
}

#[tokio::test]
async fn empty_admin_token_opens_nothing() {
    let server = Server::start(script(Mode::Open)).await;
    for bearer in ["Bearer", "Bearer ", "Bearer \t"] {
        assert_eq!(status(&server, &[("Authorization", bearer)]).await, 401, "{bearer:?}");
    }
}

#[tokio::test]
async fn wrong_bearer_decides_alone() {
    let (server, plane) = start(Reply::member("u_1")).await;
    let wrong = ("Authorization", "Bearer no");
    let cookie = {
        let headers = [("Authorization", "Bearer abc"), PAGE, ("Content-Length", "0")];
        let answer = server.http("POST /auth/session", &headers).await;
        format!("wos-session=1; {}", answer.header("set-cookie").split(';').next().unwrap())
    };
    let offers = ticket(&server).await;
    let all = [wrong, PAGE, ("Cookie", cookie.as_str()), ("Sec-WebSocket-Protocol", offers.as_str())];
    let answer = server.socket(&terminal(), &all).await.unwrap_err();
    assert_eq!((answer.status, answer.json()), (401, json!({"error": "invalid workspace auth token"})));
    assert!(plane.seen().is_empty());
    // The ticket was spent on it.
    assert_eq!(status(&server, &[PAGE, ("Sec-WebSocket-Protocol", &offers)]).await, 401);
}

#[tokio::test]
async fn ticket_is_spent_by_any_login() {
    let (server, _plane) = start(Reply::member("u_1")).await;
    for credential in [("Authorization", "Bearer abc"), SESSION] {
        let offers = ticket(&server).await;
        let offer = ("Sec-WebSocket-Protocol", offers.as_str());
        assert_eq!(status(&server, &[PAGE, offer, credential]).await, 101, "{credential:?}");
        assert_eq!(status(&server, &[PAGE, offer]).await, 401, "{credential:?}");
    }
}

#[tokio::test]
async fn ticket_follows_its_issuers_credential() {
    let memory = Arc::new(Memory::default());
    let id = memory.workspace(None);
    memory.token("of-it", &[id]);
    let server = Server::with(script(Mode::Open), memory.clone(), |_| {}, |_| Router::new()).await;
    let path = format!("/workspaces/{id}/terminal");
    let headers = [("Authorization", "Bearer of-it"), PAGE, ("Content-Length", "0")];
    let answer = server.http(&format!("POST {path}/ticket"), &headers).await;
    let offers = format!("eicterm.v1, ticket.{}", answer.json()["ticket"].as_str().unwrap());
    memory.revoke("of-it");
    let answer = server.socket(&path, &[PAGE, ("Sec-WebSocket-Protocol", &offers)]).await.unwrap_err();
    assert_eq!((answer.status, answer.json()), (401, json!({"error": "invalid workspace auth token"})));
}

#[tokio::test]
async fn guessed_tickets_count_as_wrong_tokens() {
    let configure = |config: &mut Config| config.max_wrong_tokens = 3;
    let server = Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await;
    let guess = format!("ticket.{}", "0".repeat(64));
    for _ in 0..3 {
        assert_eq!(status(&server, &[PAGE, ("Sec-WebSocket-Protocol", &guess)]).await, 401);
    }
    assert_eq!(status(&server, &[PAGE, ("Sec-WebSocket-Protocol", &guess)]).await, 429);
}

#[tokio::test]
async fn missing_workspace_id_is_reported_first() {
    let server = Server::start(script(Mode::Open)).await;
    let missing = json!({"error": "missing workspace ID"});
    for request in routes_to("") {
        if request.ends_with("/workspaces/") {
            continue;
        }
        for headers in [&[][..], &[("Authorization", "Bearer abc")]] {
            let answer = server.http(&request, headers).await;
            assert_eq!((answer.status, answer.json()), (401, missing.clone()), "{request}");
        }
        let evil = [("Origin", "https://evil.test")];
        assert_eq!(server.http(&request, &evil).await.status, 403, "{request}");
    }
}
