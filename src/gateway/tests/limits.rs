//! Each limit through a real socket: the warning before it, and its end.

use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::{Value, json};

use super::*;
use crate::session;

/// Short, because these tests wait for real.
const SHORT: Duration = Duration::from_millis(400);

async fn limited(configure: impl FnOnce(&mut session::Config)) -> Server {
    let script = script(Mode::Open);
    Server::with(script, directory(), |config| configure(&mut config.session), |_| Router::new()).await
}

/// A socket that speaks `eicterm.v1` and attached.
async fn eicterm(server: &Server) -> Socket {
    let path = format!("/workspaces/{MINE}/terminal");
    let headers = [("Authorization", "Bearer abc"), ("Sec-WebSocket-Protocol", "eicterm.v1")];
    let mut socket = server.socket(&path, &headers).await.unwrap();
    let attach = &b"\x10{\"cols\":80,\"rows\":24}"[..];
    socket.send(Message::Binary(attach.into())).await.unwrap();
    socket
}

/// The JSON messages of the kind `t` up to the close, and its code.
async fn messages(socket: &mut Socket, t: &str) -> (Vec<Value>, u16) {
    let mut found = Vec::new();
    loop {
        match next(socket).await {
            Some(Ok(Message::Text(text))) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                found.extend(Some(message).filter(|message| message["t"] == t));
            }
            Some(Ok(Message::Close(frame))) => return (found, frame.unwrap().code.into()),
            Some(Ok(_)) => {}
            other => panic!("{other:?} before the close"),
        }
    }
}

#[tokio::test]
async fn idle_terminal_closes_with_4408() {
    let server = limited(|config| {
        config.idle_timeout = Some(SHORT);
        config.idle_warning = SHORT / 2;
    })
    .await;
    let mut legacy = server.terminal().await;
    let (_, text, close) = read_to_close(&mut legacy).await;
    assert_eq!(
        text,
        "\r\nThis terminal is idle and will be closed in 1 s.\r\nThe terminal was idle for too long.\r\n"
    );
    assert_eq!(close, Some((4408, "idle".into())));

    let mut socket = eicterm(&server).await;
    let began = std::time::Instant::now();
    // The warning comes, typing answers it, and another one comes.
    while let Some(Ok(message)) = next(&mut socket).await {
        if matches!(&message, Message::Text(text) if text.contains("\"warn\"")) {
            break;
        }
    }
    socket.send(Message::Binary(b"\x00x".as_slice().into())).await.unwrap();
    let (warnings, code) = messages(&mut socket, "warn").await;
    assert_eq!((warnings.as_slice(), code), (&[json!({"t": "warn", "what": "idle", "secs": 1})][..], 4408));
    assert!(began.elapsed() >= SHORT * 3 / 2, "{:?}", began.elapsed());
    server.idle().await;
}

/// Returns whether a terminal with constant output and no input outlives its idle limit.
async fn outlives(output_is_activity: bool) -> bool {
    let server = limited(|config| {
        config.idle_timeout = Some(SHORT);
        config.idle_warning = Duration::ZERO;
        config.output_is_activity = output_is_activity;
        config.max_duration = Some(SHORT * 3);
        config.max_duration_warning = Duration::ZERO;
    })
    .await;
    let mut socket = server.terminal().await;
    let mut every = tokio::time::interval(SHORT / 8);
    let said = async {
        loop {
            every.tick().await;
            server.script.say(b".");
        }
    };
    let (_, _, close) = tokio::select! {
        closed = read_to_close(&mut socket) => closed,
        () = said => unreachable!(),
    };
    match close.unwrap().0 {
        4408 => false,
        4410 => true,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn output_as_activity_is_configurable() {
    assert!(outlives(true).await, "a build that runs is not idle");
    assert!(!outlives(false).await, "only typing counts");
}

#[tokio::test]
async fn max_duration_closes_with_4410() {
    let server = limited(|config| {
        config.max_duration = Some(SHORT);
        config.max_duration_warning = SHORT / 2;
    })
    .await;
    let mut legacy = server.terminal().await;
    let (_, text, close) = read_to_close(&mut legacy).await;
    assert_eq!(
        text,
        "\r\nThis terminal will be closed in 1 s: it has been open for long.\r\n\
         The terminal has been open for as long as one may be.\r\n"
    );
    assert_eq!(close, Some((4410, "maximum duration".into())));
    let (warnings, code) = messages(&mut eicterm(&server).await, "warn").await;
    assert_eq!((warnings[0]["what"].as_str(), code), (Some("max"), 4410));
    server.idle().await;
}

#[tokio::test]
async fn no_limit_sends_no_warning() {
    let server = limited(|config| {
        config.idle_timeout = Some(SHORT / 2);
        config.idle_warning = Duration::ZERO;
    })
    .await;
    let (_, text, _) = read_to_close(&mut server.terminal().await).await;
    assert_eq!(text, "The terminal was idle for too long.\r\n");
}

#[tokio::test]
async fn shares_are_enforced_with_429() {
    for (configure, error, reason) in [
        (
            (|config: &mut session::Config| config.max_per_workspace = 1) as fn(&mut session::Config),
            "1 terminals are open in this workspace, and no more may be",
            "workspace-full",
        ),
        (|config| config.max_per_user = 1, "1 of your terminals are open, and no more may be", "user-full"),
    ] {
        let server = limited(configure).await;
        let first = server.terminal().await;
        let path = format!("/workspaces/{MINE}/terminal");
        let Err(answer) = server.socket(&path, &[("Authorization", "Bearer abc")]).await else {
            panic!("it opened");
        };
        assert_eq!((answer.status, answer.header("retry-after")), (429, "2"));
        let body = json!({"error": error, "code": "too_many_terminals", "retry_after": 2});
        assert_eq!(answer.json(), body);
        let counted = server.http("GET /metrics", &[]).await.body;
        assert!(counted.contains(&format!("denials_total{{reason=\"{reason}\"}} 1")), "{counted}");
        // The share is free again when the first one ends.
        drop(first);
        server.idle().await;
        drop(server.terminal().await);
    }
}

#[tokio::test]
async fn oversized_message_closes_with_1009() {
    let small = |config: &mut Config| config.max_message = 1000;
    let server = Server::with(script(Mode::Open), directory(), small, |_| Router::new()).await;
    let mut socket = server.terminal().await;
    socket.send(Message::binary(vec![b'x'; 1000])).await.unwrap();
    server.script.until("the largest", |seen| seen.written.len() == 1000).await;
    socket.send(Message::binary(vec![b'x'; 1001])).await.unwrap();
    assert_eq!(read_to_close(&mut socket).await.2.unwrap().0, 1009);

    // Also for fragments of an endless message, and by the declared length of a frame, before it is read.
    for frames in [
        &[&[0x02, 0x80 | 126, 3, 0xe8, 0, 0, 0, 0][..], &[b'x'; 1000], &[0x00, 0x81, 0, 0, 0, 0, b'x']]
            .concat()[..],
        &[0x82, 0x80 | 127, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let mut socket = server.terminal().await;
        socket.get_mut().write_all(frames).await.unwrap();
        assert_eq!(read_to_close(&mut socket).await.2.unwrap().0, 1009);
    }
    server.idle().await;
}

#[tokio::test]
async fn new_limits_apply_to_new_terminals() {
    let server = Server::start(script(Mode::Open)).await;
    let mut before = server.terminal().await;
    let mut config = Config::new(vec![ORIGIN.parse().unwrap()]);
    config.session.idle_timeout = Some(SHORT);
    config.session.max_per_user = 2;
    config.ticket_ttl = Duration::from_secs(7);
    config.cookie_ttl = Duration::from_secs(77);
    server.gateway.reconfigure(config);
    let mut after = server.terminal().await;
    assert_eq!(read_to_close(&mut after).await.2.unwrap().0, 4408);
    before.send(Message::text("x")).await.unwrap();
    server.script.until("the one before", |seen| seen.written == b"x").await;
    let bearer = [("Authorization", "Bearer abc"), ("Content-Length", "0")];
    let ticket = server.http(&format!("POST /workspaces/{MINE}/terminal/ticket"), &bearer).await;
    assert_eq!(ticket.json()["expires_in"], 7);
    let cookie = server.http("POST /auth/session", &bearer).await;
    assert!(cookie.header("set-cookie").ends_with("; Max-Age=77"), "{cookie:?}");
}
