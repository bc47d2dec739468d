//! `eicterm.v1` over real sockets: the golden conversation, and violations.

use bytes::Bytes;
use futures_util::SinkExt as _;
use serde_json::{Value, json};

use super::*;
use crate::gateway::eicterm::{INPUT_WINDOW, MAX_FRAME, WINDOW};
use crate::model::{Fault, Size, Stage, StageError};

const PROTOCOL: (&str, &str) = ("Sec-WebSocket-Protocol", "eicterm.v1");

async fn open(server: &Server) -> Socket {
    let path = format!("/workspaces/{MINE}/terminal");
    let headers = [("Origin", ORIGIN), ("Authorization", "Bearer abc"), PROTOCOL];
    server.socket(&path, &headers).await.unwrap()
}

/// Returns a socket attached at 80x24, after its `hello`.
async fn attached(server: &Server) -> Socket {
    let mut socket = open(server).await;
    send(&mut socket, b"\x10{\"cols\":80,\"rows\":24}").await;
    assert_eq!(said(&mut socket).await["t"], "hello");
    socket
}

async fn send(socket: &mut Socket, data: &[u8]) {
    socket.send(Message::Binary(Bytes::copy_from_slice(data))).await.unwrap();
}

/// Reads the gateway's next JSON message.
async fn said(socket: &mut Socket) -> Value {
    loop {
        match next(socket).await {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Ping(_))) => {}
            other => panic!("{other:?} instead of a message"),
        }
    }
}

/// Reads up to the next JSON message of the type `t`.
async fn said_of(socket: &mut Socket, t: &str) -> Value {
    loop {
        let message = said(socket).await;
        if message["t"] == t {
            return message;
        }
    }
}

/// Reads to the close: the last `error`'s code, and the close code.
async fn refused(socket: &mut Socket) -> (Option<String>, Option<u16>) {
    let (_, text, close) = read_to_close(socket).await;
    let error = text.rfind("{\"t\":\"error\"").map(|at| serde_json::from_str::<Value>(&text[at..]).unwrap());
    (error.map(|error| error["code"].as_str().unwrap().to_owned()), close.map(|(code, _)| code))
}

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// Returns whether `seen` matches `expected`, in which `"*"` matches anything.
fn is_like(expected: &Value, seen: &Value) -> bool {
    match (expected, seen) {
        (Value::String(star), _) if star == "*" => true,
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|seen| is_like(value, seen)))
        }
        (a, b) => a == b,
    }
}

#[tokio::test]
async fn golden_conversation() {
    let server = Server::start(script(Mode::Open)).await;
    let mut socket = open(&server).await;
    let steps: Vec<Value> =
        serde_json::from_str(include_str!("../../../fixtures/eicterm/transcript.json")).unwrap();
    for step in &steps {
        if let Some(text) = step["client"]["text"].as_str() {
            socket.send(Message::Text(text.into())).await.unwrap();
        } else if let Some(data) = step["client"]["binary"].as_str() {
            send(&mut socket, &hex(data)).await;
        } else if step["gateway"]["json"].is_object() {
            let seen = said(&mut socket).await;
            assert!(is_like(&step["gateway"]["json"], &seen), "{step} is not {seen}");
        } else if let Some(data) = step["gateway"]["binary"].as_str() {
            let seen = next(&mut socket).await;
            assert!(matches!(&seen, Some(Ok(Message::Binary(b))) if **b == hex(data)), "{step}: {seen:?}");
        } else if let Some(host) = step["host"].as_object() {
            play(&server, host).await;
        } else {
            let close = read_to_close(&mut socket).await.2.unwrap();
            assert_eq!(json!([close.0, close.1]), step["close"]);
        }
    }
    server.idle().await;
}

async fn play(server: &Server, host: &serde_json::Map<String, Value>) {
    let size = |value: &Value| {
        let side = |n: usize| u16::try_from(value[n].as_u64().unwrap()).unwrap();
        Size::new(side(0), side(1)).unwrap()
    };
    for (what, value) in host {
        match what.as_str() {
            "says" => server.script.say(&hex(value.as_str().unwrap())),
            "exits" => server.script.exit(u32::try_from(value.as_u64().unwrap()).unwrap()),
            "took" => {
                let bytes = hex(value.as_str().unwrap());
                server.script.until("input", |seen| seen.written == bytes).await;
            }
            "sized" => {
                let size = size(value);
                let is_sized = |seen: &crate::session::script::Seen| {
                    seen.requests.first().is_some_and(|request| request.size == size)
                };
                server.script.until("the size", is_sized).await;
            }
            "resized" => {
                let size = size(value);
                server.script.until("the size", |seen| seen.sizes.last() == Some(&size)).await;
            }
            "ended" => server.script.until("the end of input", |seen| seen.input_ended).await,
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn protocol_is_selected_only_when_offered() {
    let server = Server::start(script(Mode::Open)).await;
    let path = format!("/workspaces/{MINE}/terminal");
    let bearer = ("Authorization", "Bearer abc");
    let offers = ("Sec-WebSocket-Protocol", "other.v1, eicterm.v1");
    let mut socket = server.socket(&path, &[bearer, offers]).await.unwrap();
    send(&mut socket, b"\x10{\"cols\":80,\"rows\":24}").await;
    assert_eq!(said(&mut socket).await["t"], "hello");
}

#[tokio::test]
async fn dialing_starts_before_attach() {
    let server = Server::start(script(Mode::Open)).await;
    let mut socket = open(&server).await;
    server.script.until("the connection", |seen| seen.connects == 1).await;
    assert!(server.script.seen().requests.is_empty());
    send(&mut socket, b"\x10{\"cols\":200,\"rows\":50}").await;
    server.script.until("the terminal", |seen| !seen.requests.is_empty()).await;
    assert_eq!(server.script.seen().requests[0].size, Size::new(200, 50).unwrap());
}

#[tokio::test]
async fn violations_close_with_4400() {
    let server = Server::start(script(Mode::Open)).await;
    let attach = &b"\x10{\"cols\":80,\"rows\":24}"[..];
    let too_long = vec![0; MAX_FRAME + 2];
    for first in [&b"\x00ls\r"[..], b"\x03\0\0\0\0\0\0\0\x07", b"", b"\x10{}", &[1, 0, 80, 0, 24]] {
        let mut socket = open(&server).await;
        send(&mut socket, first).await;
        let expected = (Some("protocol".to_owned()), Some(4400));
        assert_eq!(refused(&mut socket).await, expected, "{first:?} first");
    }
    for then in [attach, &[4, 9], &[0x7f], &[1, 0, 80], &[2, 0, 0, 0, 0, 0, 0, 0, 1], b"\x10{}"] {
        let mut socket = attached(&server).await;
        send(&mut socket, then).await;
        assert_eq!(refused(&mut socket).await, (Some("protocol".into()), Some(4400)), "{then:?}");
    }
    let mut socket = attached(&server).await;
    send(&mut socket, &too_long).await;
    assert_eq!(refused(&mut socket).await, (Some("protocol".into()), Some(1009)));
    let mut socket = attached(&server).await;
    send(&mut socket, &[5]).await;
    send(&mut socket, b"\x00x").await;
    assert_eq!(refused(&mut socket).await.1, Some(4400), "input after its end");
    let mut socket = open(&server).await;
    socket.send(Message::Text("typed before attach".into())).await.unwrap();
    assert_eq!(refused(&mut socket).await.1, Some(4400));
    server.idle().await;
}

#[tokio::test]
async fn missing_attach_times_out() {
    let short = |config: &mut Config| config.attach_timeout = std::time::Duration::from_millis(50);
    let server = Server::with(script(Mode::Open), directory(), short, |_| Router::new()).await;
    let mut socket = open(&server).await;
    assert_eq!(refused(&mut socket).await, (Some("protocol".into()), Some(4400)));
    server.idle().await;
}

#[tokio::test]
async fn resume_is_refused_for_now() {
    let server = Server::start(script(Mode::Open)).await;
    for (attach, code, close) in [
        (
            &b"\x10{\"cols\":80,\"rows\":24,\"resume\":{\"token\":\"t\",\"out_off\":1,\"in_off\":0}}"[..],
            "gone",
            4404,
        ),
        (b"\x10{\"cols\":80,\"rows\":24,\"session\":\"s\"}", "gone", 4404),
        (b"\x10{\"cols\":80,\"rows\":24,\"mode\":\"watch\"}", "unsupported", 4400),
    ] {
        let mut socket = open(&server).await;
        send(&mut socket, attach).await;
        assert_eq!(refused(&mut socket).await, (Some(code.to_owned()), Some(close)));
    }
    server.idle().await;
}

#[tokio::test]
async fn output_waits_for_acks() {
    let server = Server::start(script(Mode::Open)).await;
    let mut socket = attached(&server).await;
    let total = usize::try_from(WINDOW).unwrap() * 2;
    for _ in 0..total / 32_768 {
        server.script.say(&[b'x'; 32_768]);
    }
    let mut seen = 0;
    while seen < usize::try_from(WINDOW).unwrap() {
        if let Some(Ok(Message::Binary(data))) = next(&mut socket).await {
            seen += data.len();
        }
    }
    assert_eq!(seen as u64, WINDOW, "exactly the window, since its size is a multiple of the pieces'");
    // A ping is answered while the output waits, and nothing else arrives.
    send(&mut socket, &[3, 0, 0, 0, 0, 0, 0, 0, 9]).await;
    assert_eq!(said_of(&mut socket, "pong").await["t0"], 9);
    send(&mut socket, &[&[2][..], &(seen as u64).to_be_bytes()].concat()).await;
    while seen < total {
        if let Some(Ok(Message::Binary(data))) = next(&mut socket).await {
            seen += data.len();
        }
    }
    // Without further acks, the exit still arrives.
    server.script.exit(0);
    let (_, text, close) = read_to_close(&mut socket).await;
    assert!(text.contains("{\"t\":\"exit\",\"code\":0}"), "{text}");
    assert_eq!(close.unwrap().0, 1000);
    server.idle().await;
}

#[tokio::test]
async fn input_beyond_window_is_a_violation() {
    let mut script = script(Mode::Open);
    script.blocks_input = true;
    let server = Server::start(script).await;
    let mut socket = attached(&server).await;
    let mut piece = vec![0; MAX_FRAME];
    piece[0] = 0;
    let mut sent = 0;
    while sent + MAX_FRAME as u64 <= INPUT_WINDOW {
        send(&mut socket, &piece).await;
        sent += MAX_FRAME as u64 - 1;
    }
    send(&mut socket, &[1, 0, 90, 0, 30]).await;
    server.script.until("the size", |seen| seen.sizes.len() == 1).await;
    for _ in 0..2 {
        send(&mut socket, &piece).await;
    }
    assert_eq!(refused(&mut socket).await, (Some("protocol".into()), Some(4400)));
    server.idle().await;
}

#[tokio::test]
async fn control_flood_is_closed() {
    let few = |config: &mut Config| config.max_control_rate = 5;
    let server = Server::with(script(Mode::Open), directory(), few, |_| Router::new()).await;
    let mut socket = attached(&server).await;
    for _ in 0..20 {
        let _ = socket.send(Message::Binary(Bytes::from_static(&[1, 0, 80, 0, 24]))).await;
    }
    assert_eq!(refused(&mut socket).await, (Some("protocol".into()), Some(4400)));
    // The legacy protocol has WebSocket's own pings only.
    let mut legacy = server.terminal().await;
    for _ in 0..20 {
        let _ = legacy.send(Message::Ping(Bytes::new())).await;
    }
    let (_, text, close) = read_to_close(&mut legacy).await;
    assert_eq!(text, "Error: too many control messages\r\n");
    assert_eq!(close, Some((1008, "too many control messages".into())));
    server.idle().await;
}

#[tokio::test]
async fn failed_stage_closes_with_4500() {
    fn denied() -> StageError {
        StageError::new(Stage::KeyPush, Fault::Denied, "AWS refuses the key").with_hint("allow it")
    }
    fn full() -> StageError {
        StageError::new(Stage::Upgrade, Fault::Quota, "20 tunnels are open")
    }
    for (fail, code, close) in [(denied as fn() -> StageError, "denied", 4500), (full, "quota", 4429)] {
        let server = Server::start(script(Mode::Fail(fail))).await;
        let mut socket = attached(&server).await;
        let error = said_of(&mut socket, "error").await;
        assert_eq!((&error["code"], &error["stage"]), (&json!(code), &json!(fail().stage().name())));
        assert_eq!(read_to_close(&mut socket).await.2.unwrap().0, close);
    }
}

#[tokio::test]
async fn limits_close_with_their_codes() {
    let idle = |config: &mut Config| {
        config.session.idle_timeout = Some(std::time::Duration::from_millis(80));
        config.session.idle_warning = std::time::Duration::from_millis(40);
    };
    let server = Server::with(script(Mode::Open), directory(), idle, |_| Router::new()).await;
    let mut socket = attached(&server).await;
    assert_eq!(said_of(&mut socket, "warn").await, json!({"t": "warn", "what": "idle", "secs": 1}));
    assert_eq!(refused(&mut socket).await, (Some("limit".into()), Some(4408)));
    let mut legacy = server.terminal().await;
    let (_, text, close) = read_to_close(&mut legacy).await;
    assert!(text.contains("idle"), "{text}");
    assert_eq!(close.unwrap().0, 4408);

    let server = Server::start(script(Mode::Open)).await;
    let mut socket = open(&server).await;
    send(&mut socket, b"\x10{\"cols\":80,\"rows\":24}").await;
    let session = said(&mut socket).await["session"].as_str().unwrap().parse().unwrap();
    assert!(server.gateway.sessions().kill(session, crate::session::Kill::Revoked));
    assert_eq!(refused(&mut socket).await, (Some("ended".into()), Some(4403)));
}

#[tokio::test]
async fn a_ticket_opens_one_terminal_once() {
    let server = Server::start(script(Mode::Open)).await;
    let path = format!("/workspaces/{MINE}/terminal");
    let page = ("Origin", ORIGIN);
    let ask = format!("POST {path}/ticket");
    let answer = server.http(&ask, &[page, ("Authorization", "Bearer abc"), ("Content-Length", "0")]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["expires_in"], 30);
    let offers = format!("eicterm.v1, ticket.{}", answer.json()["ticket"].as_str().unwrap());
    let offers = ("Sec-WebSocket-Protocol", offers.as_str());
    let mut socket = server.socket(&path, &[page, offers]).await.unwrap();
    send(&mut socket, b"\x10{\"cols\":80,\"rows\":24}").await;
    assert_eq!(said(&mut socket).await["t"], "hello");
    let again = server.socket(&path, &[page, offers]).await.unwrap_err();
    assert_eq!((again.status, &again.json()["error"]), (401, &json!("invalid workspace auth token")));
    let refused = server.http(&ask, &[page, ("Content-Length", "0")]).await;
    assert_eq!(refused.status, 401);
    let others = format!("POST /workspaces/{OTHERS}/terminal/ticket");
    let others = server.http(&others, &[("Authorization", "Bearer abc"), ("Content-Length", "0")]).await;
    assert_eq!(others.status, 401);
}
