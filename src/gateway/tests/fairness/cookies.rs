//! Sign-ins by one token, as many as the store has cookies.

use std::time::Duration;

use futures_util::SinkExt as _;

use super::*;

/// Signs in with `bearer`: the cookie.
async fn sign_in(server: &Server, bearer: (&str, &str)) -> Answer {
    server.http("POST /auth/session", &[bearer, ("Origin", ORIGIN), ("Content-Length", "0")]).await
}

fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_flood_of_sign_ins_signs_nobody_else_out() {
    let configure = |config: &mut Config| {
        config.max_cookies = 20;
        config.recheck_interval = Duration::from_millis(20);
    };
    let server = start(script(Mode::Open), configure).await;
    let neighbor = cookie_of(&sign_in(&server, NEIGHBOR).await);
    let neighbor = [("Cookie", neighbor.as_str()), ("Origin", ORIGIN)];
    let path = format!("/workspaces/{MINE}/terminal");
    let mut terminal = server.socket(&path, &neighbor).await.unwrap();
    let first = cookie_of(&sign_in(&server, ATTACKER).await);
    let first = [("Cookie", first.as_str()), ("Origin", ORIGIN)];
    let mut own = server.socket(&path, &first).await.unwrap();
    for _ in 0..50 {
        assert_eq!(sign_in(&server, ATTACKER).await.status, 200);
    }
    assert_eq!(server.http("GET /workspaces", &first).await.status, 401, "its own oldest made room");
    assert_eq!(server.http("GET /workspaces", &neighbor).await.status, 200);
    // Neither terminal ends, not even the one whose cookie was displaced.
    asked_again(&server).await;
    for socket in [&mut terminal, &mut own] {
        let before = server.script.seen().written.len();
        socket.send(Message::text("x")).await.unwrap();
        server.script.until("input", |seen| seen.written.len() > before).await;
    }
}

/// Waits until access to the open terminals was checked twice more.
async fn asked_again(server: &Server) {
    let answered = server.gateway.metrics().directory_queries.with_label_values(&["answered"]);
    let before = answered.get_sample_count();
    // Two tokens and one workspace in each round.
    eventually("the check of access", || answered.get_sample_count() >= before + 9).await;
}

#[tokio::test]
async fn sign_ins_count_against_their_token() {
    let server = start(script(Mode::Open), |config| config.token_rate_limit = 5).await;
    for _ in 0..5 {
        assert_eq!(sign_in(&server, ATTACKER).await.status, 200);
    }
    assert_eq!(sign_in(&server, ATTACKER).await.status, 429);
    assert_eq!(sign_in(&server, NEIGHBOR).await.status, 200);
}
