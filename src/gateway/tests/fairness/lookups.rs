//! Wrong tokens from the address that others share.

use super::*;
use crate::gateway::control_plane::script::{Plane, Reply};
use crate::gateway::tests::memory::Memory;

#[tokio::test]
async fn wrong_tokens_lock_out_no_right_one() {
    let server =
        start(script(Mode::Open), |config| (config.rate_limit, config.max_wrong_tokens) = (10, 3)).await;
    for n in 0..30 {
        let bearer = format!("Bearer wrong-{n}");
        let answer = server.http("GET /workspaces", &[("Authorization", &bearer)]).await;
        assert_eq!(answer.status, if n < 3 { 401 } else { 429 }, "{n}");
    }
    for _ in 0..20 {
        assert_eq!(server.http("GET /workspaces", &[NEIGHBOR]).await.status, 200);
    }
    let path = format!("/workspaces/{MINE}/terminal");
    assert!(server.socket(&path, &[NEIGHBOR]).await.is_ok());
    assert_eq!(server.http("GET /", &[]).await.status, 200);
}

#[tokio::test]
async fn a_wrong_token_is_looked_up_once() {
    let memory = Arc::new(Memory::default());
    memory.token("right", &[]);
    let server = Server::with(script(Mode::Open), memory.clone(), |_| {}, |_| Router::new()).await;
    for _ in 0..10 {
        let answer = server.http("GET /workspaces", &[("Authorization", "Bearer wrong")]).await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(memory.asked(), ["authenticate"]);
    assert_eq!(server.http("GET /workspaces", &[("Authorization", "Bearer right")]).await.status, 200);
    // What the directory has may be other tokens after a reload.
    memory.token("wrong", &[]);
    server.gateway.reconfigure(Config::new(vec![ORIGIN.parse().unwrap()]));
    assert_eq!(server.http("GET /workspaces", &[("Authorization", "Bearer wrong")]).await.status, 200);
}

#[tokio::test]
async fn forged_sessions_leave_the_plane() {
    let plane = Plane::start(Reply::member("u_1")).await;
    let configure = |config: &mut Config| config.platform.control_plane = Some(plane.config("acme"));
    let server = start(script(Mode::Open), configure).await;
    let member = [("Cookie", "wos-session=1"), ("Origin", ORIGIN)];
    assert_eq!(server.http("GET /workspaces", &member).await.status, 200);
    plane.reply(Reply::Hangs);
    let mut waiting = Vec::new();
    for n in 0..40 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "GET /workspaces HTTP/1.1\r\nHost: {HOST}\r\nOrigin: {ORIGIN}\r\nCookie: wos-session=x{n}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    eventually("the sessions", || server.gateway.state.session_lookups.pending() == 40).await;
    let asked =
        |cookie: &str| plane.seen().iter().filter(|question| question.cookie.starts_with(cookie)).count();
    eventually("the questions", || asked("wos-session=x") >= 16).await;
    // A member is asked for anew, past those.
    server.gateway.state.members.forget();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "GET /workspaces HTTP/1.1\r\nHost: {HOST}\r\nOrigin: {ORIGIN}\r\nCookie: wos-session=1\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    eventually("the member's question", || asked("wos-session=1") == 2).await;
    plane.reply(Reply::member("u_1"));
    assert_eq!(status(stream).await, 200);
    drop(waiting);
}

#[tokio::test]
async fn an_unconfigured_proxy_is_warned_of_once() {
    let log = crate::gateway::tests::secrets::Log::default();
    let _guard = log.capture();
    let server = start(script(Mode::Open), |_| {}).await;
    for peer in ["192.0.2.1", "192.0.2.2"] {
        server.http("GET /", &[("X-Forwarded-For", peer)]).await;
    }
    assert_eq!(log.text().matches("trusted_proxies if it is").count(), 1);
    let log = crate::gateway::tests::secrets::Log::default();
    let _guard = log.capture();
    let server = start(script(Mode::Open), |config| config.trusted_proxies = 1).await;
    server.http("GET /", &[("X-Forwarded-For", "192.0.2.1")]).await;
    assert!(!log.text().contains("trusted_proxies if it is"));
}

#[tokio::test]
async fn refusals_are_sampled_and_others_are_logged() {
    let log = crate::gateway::tests::secrets::Log::default();
    let _guard = log.capture();
    let server = start(script(Mode::Open), |config| config.trusted_proxies = 1).await;
    for _ in 0..200 {
        let answer = server.http("GET /", &[("Host", "evil.test"), ("X-Forwarded-For", "192.0.2.1")]).await;
        assert_eq!(answer.status, 403);
    }
    server.http("GET /workspaces", &[("X-Forwarded-For", "192.0.2.2")]).await;
    server.http("GET /workspaces", &[NEIGHBOR, ("X-Forwarded-For", "192.0.2.2")]).await;
    let text = log.text();
    let lines = |peer: &str| {
        text.lines().filter(|line| line.contains("gateway::access") && line.contains(peer)).count()
    };
    // Twenty in each 10 s.
    assert!((20..=60).contains(&lines("192.0.2.1")), "{text}");
    assert_eq!(lines("192.0.2.2"), 2, "{text}");
}
