//! Members of the organisation, let in by the cookies of their browser, which the control plane knows.

use serde_json::json;

use super::memory::Memory;
use super::*;
use crate::gateway::control_plane::script::{Plane, Reply};

const SESSION: (&str, &str) = ("Cookie", "wos-session=1; theme=dark");
const PAGE: (&str, &str) = ("Origin", ORIGIN);

fn terminal() -> String {
    format!("/workspaces/{MINE}/terminal")
}

async fn start(reply: Reply) -> (Server, Plane) {
    let plane = Plane::start(reply).await;
    let configure = |config: &mut Config| config.platform.control_plane = Some(plane.config("acme"));
    let server = Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await;
    (server, plane)
}

#[tokio::test]
async fn member_opens_every_workspace() {
    let (server, plane) = start(Reply::member("u_1")).await;
    let _mine = server.socket(&terminal(), &[SESSION, PAGE]).await.unwrap();
    let _others = server.socket(&format!("/workspaces/{OTHERS}/terminal"), &[SESSION, PAGE]).await.unwrap();
    let sessions = server.http("GET /terminal/sessions", &[SESSION, PAGE]).await;
    assert_eq!(sessions.json()[0]["user"], "member:u_1");
    assert_eq!(
        server.http("GET /workspaces", &[SESSION, ("Sec-Fetch-Site", "same-origin")]).await.status,
        200
    );
    let gone = server.socket(&format!("/workspaces/{NOWHERE}/terminal"), &[SESSION, PAGE]).await;
    assert_eq!(gone.unwrap_err().status, 404);
    assert_eq!(plane.seen().len(), 1, "it was asked once");
    assert_eq!(plane.seen()[0].cookie, SESSION.1);
}

#[tokio::test]
async fn a_session_counts_from_an_allowed_page_only() {
    let (server, plane) = start(Reply::member("u_1")).await;
    for (headers, status) in [
        (&[SESSION][..], 401),
        (&[SESSION, ("Sec-Fetch-Site", "same-origin")], 401),
        (&[SESSION, ("Referer", "http://gateway.test:8080/")], 401),
        (&[SESSION, ("Origin", "https://evil.test")], 403),
        (&[SESSION, ("Origin", "null")], 403),
    ] {
        let answer = server.socket(&terminal(), headers).await.unwrap_err();
        assert_eq!(answer.status, status, "{headers:?}");
    }
    for (site, status) in [("cross-site", 403), ("same-site", 401), ("none", 401)] {
        let answer = server.http("GET /workspaces", &[SESSION, ("Sec-Fetch-Site", site)]).await;
        assert_eq!(answer.status, status, "{site}");
    }
    assert!(plane.seen().is_empty(), "cookies that do not count were passed on");
}

#[tokio::test]
async fn non_member_gets_missing_token() {
    let (server, _plane) = start(Reply::stranger()).await;
    let answer = server.socket(&terminal(), &[SESSION, PAGE]).await.unwrap_err();
    assert_eq!((answer.status, answer.json()), (401, json!({"error": "missing workspace auth token"})));
}

#[tokio::test]
async fn no_control_plane_ignores_cookies() {
    let server = Server::start(script(Mode::Open)).await;
    assert_eq!(server.socket(&terminal(), &[SESSION, PAGE]).await.unwrap_err().status, 401);
}

#[tokio::test]
async fn an_outage_is_503_and_ends_with_the_outage() {
    let (server, plane) = start(Reply::Says(502, String::new())).await;
    for _ in 0..2 {
        let answer = server.socket(&terminal(), &[SESSION, PAGE]).await.unwrap_err();
        assert_eq!(answer.status, 503);
        let body = json!({"error": "control plane unavailable — retry shortly", "code": "control_plane_unavailable"});
        assert_eq!(answer.json(), body);
        assert!(!answer.header("retry-after").is_empty());
    }
    // Other ways in are open all the while: a bearer, the page's cookie, a ticket.
    let bearer = ("Authorization", "Bearer abc");
    let signed_in = server.http("POST /auth/session", &[bearer, PAGE, ("Content-Length", "0")]).await;
    let both = format!("{}; {}", SESSION.1, signed_in.header("set-cookie").split(';').next().unwrap());
    assert!(server.socket(&terminal(), &[("Cookie", &both), PAGE]).await.is_ok());
    let ask = format!("POST {}/ticket", terminal());
    let issued = server.http(&ask, &[bearer, PAGE, ("Content-Length", "0")]).await;
    let offers = format!("eicterm.v1, ticket.{}", issued.json()["ticket"].as_str().unwrap());
    assert!(server.socket(&terminal(), &[SESSION, PAGE, ("Sec-WebSocket-Protocol", &offers)]).await.is_ok());

    plane.reply(Reply::member("u_1"));
    assert!(server.socket(&terminal(), &[SESSION, PAGE]).await.is_ok());
}

#[tokio::test]
async fn page_cookie_is_not_forwarded() {
    let (server, plane) = start(Reply::stranger()).await;
    let signed_in = server
        .http("POST /auth/session", &[("Authorization", "Bearer abc"), PAGE, ("Content-Length", "0")])
        .await;
    let ours = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let both = format!("a=1; {ours}; b=2");
    assert!(server.socket(&terminal(), &[("Cookie", &both), PAGE]).await.is_ok());
    assert!(server.socket(&terminal(), &[("Cookie", &ours), PAGE]).await.is_ok());
    let cookies: Vec<_> = plane.seen().into_iter().map(|question| question.cookie).collect();
    assert_eq!(cookies, ["a=1; b=2"]);
}

#[tokio::test]
async fn member_claims_are_limited() {
    let plane = Plane::start(Reply::member("u_1")).await;
    let memory = Arc::new(Memory::default());
    let root = memory.workspace(None);
    let (left, right) = (memory.workspace(Some(root)), memory.workspace(Some(root)));
    let far = memory.workspace(Some(right));
    let configure = |config: &mut Config| config.platform.control_plane = Some(plane.config("acme"));
    let server = Server::with(script(Mode::Open), memory, configure, |_| Router::new()).await;
    let path = format!("/workspaces/{left}/terminal");
    for (caller, status) in [(right, 101), (root, 101), (far, 403)] {
        let caller = caller.to_string();
        let answer = server.socket(&path, &[SESSION, PAGE, ("X-Workspace-ID", &caller)]).await;
        assert_eq!(answer.map_or_else(|answer| answer.status, |_| 101), status);
    }
}
