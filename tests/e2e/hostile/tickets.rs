//! Misused tickets and tokens.

use serde_json::Value;

use super::gateway;
use super::wire::{Wire, ask, get, request, upgrade};
use crate::lab::{GatewayProgram, OTHER_TOKEN, OTHER_WORKSPACE, PUBLIC_ORIGIN, TOKEN, WORKSPACE};

const OURS: (&str, &str) = ("Origin", PUBLIC_ORIGIN);

/// Requests a ticket to [`WORKSPACE`] from an allowed origin.
async fn ticket(gateway: &GatewayProgram) -> String {
    let bearer = format!("Bearer {TOKEN}");
    let path = format!("/workspaces/{WORKSPACE}/terminal/ticket");
    let answer = ask(gateway.addr(), 1, request("POST", &path, &[OURS, ("Authorization", &bearer)])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    body["ticket"].as_str().unwrap().to_owned()
}

/// Tries to open a terminal from 127.0.0.`from`; returns the status.
async fn tried(gateway: &GatewayProgram, from: u8, workspace: &str, headers: &[(&str, &str)]) -> u16 {
    ask(gateway.addr(), from, upgrade(workspace, headers)).await.status
}

fn offer(ticket: &str) -> String {
    format!("eicterm.v1, ticket.{ticket}")
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_is_single_use_and_scoped() {
    let gateway = gateway("").await;
    let protocol = "Sec-WebSocket-Protocol";
    // Used correctly, once; the ticket is not selected as the subprotocol.
    let good = offer(&ticket(&gateway).await);
    let mut wire = Wire::open(gateway.addr(), 10).await;
    wire.send(upgrade(WORKSPACE, &[OURS, (protocol, &good)])).await.unwrap();
    let answer = wire.answer().await.unwrap();
    assert_eq!(answer.status, 101, "{answer:?}");
    assert!(answer.head.contains("sec-websocket-protocol: eicterm.v1\r\n"), "{answer:?}");
    assert!(!answer.head.contains("ticket"), "{answer:?}");
    // Replayed, while the socket is open and afterwards.
    assert_eq!(tried(&gateway, 10, WORKSPACE, &[OURS, (protocol, &good)]).await, 401);
    drop(wire);
    assert_eq!(tried(&gateway, 10, WORKSPACE, &[OURS, (protocol, &good)]).await, 401);

    // Of ten concurrent uses of one ticket, one succeeds.
    let raced = offer(&ticket(&gateway).await);
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (addr, raced) = (gateway.addr(), raced.clone());
        racing.spawn(async move {
            let mut wire = Wire::open(addr, 11).await;
            wire.send(upgrade(WORKSPACE, &[OURS, (protocol, &raced)])).await.unwrap();
            (wire.answer().await.unwrap().status, wire)
        });
    }
    let raced = racing.join_all().await;
    assert_eq!(raced.iter().filter(|(status, _)| *status == 101).count(), 1);
    drop(raced);

    // Another workspace, another origin, no origin, or combined with a foreign cookie or token.
    let other = "http://other.example";
    for (from, workspace, headers, status) in [
        (12, OTHER_WORKSPACE, &[OURS][..], 401),
        (12, WORKSPACE, &[("Origin", other)], 403),
        (12, WORKSPACE, &[], 401),
        (12, WORKSPACE, &[OURS, ("Authorization", "Bearer wrong")], 401),
    ] {
        let spent = offer(&ticket(&gateway).await);
        let headers = [headers, &[(protocol, spent.as_str())]].concat();
        assert_eq!(tried(&gateway, from, workspace, &headers).await, status, "{workspace} {headers:?}");
    }
    gateway.is_idle();
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn misplaced_credentials_are_ignored() {
    let gateway = gateway("").await;
    let ticket = ticket(&gateway).await;
    let bearer = format!("Bearer {TOKEN}");
    let mut cases: Vec<Vec<u8>> = Vec::new();
    for query in [
        format!("ticket={ticket}"),
        format!("ticket=ticket.{ticket}"),
        format!("token={TOKEN}"),
        format!("access_token={TOKEN}"),
        format!("authorization=Bearer%20{TOKEN}"),
        format!("Authorization=Bearer+{TOKEN}"),
    ] {
        let text = String::from_utf8(upgrade(WORKSPACE, &[OURS])).unwrap();
        cases.push(text.replacen("/terminal", &format!("/terminal?{query}"), 1).into_bytes());
        cases.push(get(&format!("/workspaces?{query}"), &[]));
    }
    let as_cookie = format!("eice-session-80={TOKEN}; token={TOKEN}; ticket={ticket}");
    let as_bearer = format!("Bearer {ticket}");
    let as_protocol = format!("eicterm.v1, token.{TOKEN}, bearer.{TOKEN}, ticket.{TOKEN}");
    let userinfo = format!("http://x:{TOKEN}@acme.example/workspaces/{WORKSPACE}/terminal");
    for header in [
        ("Cookie", as_cookie.as_str()),
        ("Authorization", &as_bearer),
        ("Sec-WebSocket-Protocol", &as_protocol),
        ("X-Authorization", &bearer),
        ("Proxy-Authorization", &bearer),
        ("X-Api-Key", TOKEN),
        ("Authorization", &bearer.replace("Bearer ", "bearer ")),
        ("Authorization", &bearer.replace("Bearer ", "Basic ")),
        ("Authorization", &format!("Bearer {TOKEN} {TOKEN}")),
        ("Authorization", &bearer[..bearer.len() - 1]),
        ("Authorization", &format!("{bearer}x")),
    ] {
        cases.push(upgrade(WORKSPACE, &[OURS, header]));
    }
    // Two Authorization headers, one of them valid.
    cases.push(upgrade(WORKSPACE, &[OURS, ("Authorization", &bearer), ("Authorization", "Bearer x")]));
    cases.push(upgrade(WORKSPACE, &[("Authorization", "Bearer x"), ("Authorization", &bearer)]));
    let first = String::from_utf8(upgrade(WORKSPACE, &[OURS])).unwrap();
    cases.push(first.replacen(&format!("/workspaces/{WORKSPACE}/terminal"), &userinfo, 1).into_bytes());
    for (number, case) in cases.iter().enumerate() {
        let answer = ask(gateway.addr(), u8::try_from(20 + number).unwrap(), case).await;
        assert!(matches!(answer.status, 400 | 401 | 403), "{}: {answer:?}", String::from_utf8_lossy(case));
        assert!(!answer.body.contains(TOKEN) && !answer.body.contains(&ticket));
    }
    // The ticket is still valid: none of these attempts used it.
    assert_eq!(
        tried(&gateway, 1, WORKSPACE, &[OURS, ("Sec-WebSocket-Protocol", &offer(&ticket))]).await,
        101
    );
    let log = gateway.stop().await;
    assert!(!log.contains(TOKEN) && !log.contains(&ticket), "a credential is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_guesses_are_rate_limited() {
    let gateway = gateway("").await;
    let mut refused = 0;
    for guess in 0..60_u32 {
        let ticket = offer(&format!("{guess:064x}"));
        let bearer = format!("Bearer {guess:043}");
        let headers =
            [[OURS, ("Sec-WebSocket-Protocol", ticket.as_str())], [OURS, ("Authorization", &bearer)]];
        let status = tried(&gateway, 13, WORKSPACE, &headers[guess as usize % 2]).await;
        assert!(matches!(status, 401 | 429), "{status}");
        refused += u32::from(status == 429);
    }
    assert!(refused >= 30, "only {refused} of 60 guesses were throttled");
    // The valid token is accepted from that address and from another one.
    let bearer = format!("Bearer {TOKEN}");
    for from in [13, 14] {
        assert_eq!(tried(&gateway, from, WORKSPACE, &[OURS, ("Authorization", &bearer)]).await, 101);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn token_opens_only_its_workspace() {
    let gateway = gateway("").await;
    let bearer = format!("Bearer {OTHER_TOKEN}");
    let bearer = ("Authorization", bearer.as_str());
    assert_eq!(tried(&gateway, 15, OTHER_WORKSPACE, &[bearer]).await, 101);
    let refused = tried(&gateway, 15, WORKSPACE, &[bearer]).await;
    assert!(matches!(refused, 401 | 403 | 404), "{refused}");
    for method in ["POST", "GET", "PUT", "DELETE"] {
        for path in ["terminal/ticket", "terminal/diagnose", "terminal/sessions", "files", "files/x", ""] {
            let path = format!("/workspaces/{WORKSPACE}/{path}");
            let answer = ask(gateway.addr(), 15, request(method, &path, &[bearer])).await;
            assert!(matches!(answer.status, 400..=499), "{method} {path}: {answer:?}");
        }
    }
    gateway.stop().await;
}
