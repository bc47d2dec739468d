//! Connections and the graceful stop.

use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::json;

use super::*;

#[tokio::test]
async fn drain_closes_terminals() {
    let mut server = Server::start(script(Mode::Open)).await;
    let mut socket = server.terminal().await;
    server.script.until("the terminal", |seen| !seen.requests.is_empty()).await;
    server.drain();
    let (_, text, close) = read_to_close(&mut socket).await;
    assert_eq!(text, "The gateway is restarting. Reconnect to go on.\r\n");
    assert_eq!(close, Some((1001, "gateway restarting".into())));
    // Closing the socket here completes the closing handshake, and so the drain.
    let _ = socket.close(None).await;
    drop(socket);
    timeout(SOON, &mut server.task).await.unwrap().unwrap().unwrap();
    let seen = server.script.seen();
    assert_eq!((seen.terminal_closes, seen.host_closes), (1, 1));
    assert!(TcpStream::connect(server.address).await.is_err(), "the port is free again");
}

#[tokio::test]
async fn draining_refuses_with_503() {
    let (server, socket) = Server::held_in_draining().await;
    let path = format!("/workspaces/{MINE}/terminal");
    let Err(answer) = server.socket(&path, &[("Authorization", "Bearer abc")]).await else {
        panic!("it opened");
    };
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["code"], "draining");
    assert!(!answer.header("retry-after").is_empty());
    drop(socket);
}

#[tokio::test]
async fn drain_has_a_deadline() {
    let mut script = script(Mode::Open);
    script.hangs_on_close = true;
    let configure = |config: &mut Config| config.drain_timeout = Duration::from_millis(100);
    let mut server = Server::with(script, directory(), configure, |_| Router::new()).await;
    let _socket = server.terminal().await;
    // Also a request without a second line.
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    server.script.until("the terminal", |seen| !seen.requests.is_empty()).await;
    server.drain();
    timeout(SOON, &mut server.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn excess_terminals_get_503() {
    let configure = |config: &mut Config| config.session.max_sessions = 1;
    let server = Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await;
    let _first = server.terminal().await;
    let path = format!("/workspaces/{MINE}/terminal");
    let Err(answer) = server.socket(&path, &[("Authorization", "Bearer abc")]).await else {
        panic!("it opened");
    };
    assert_eq!(answer.status, 503);
    let body = json!({"error": "1 terminals are open, and no more may be", "code": "too_many_terminals"});
    assert_eq!(answer.json(), body);
}

#[tokio::test]
async fn a_head_that_does_not_come_is_cut() {
    let configure = |config: &mut Config| config.header_read_timeout = Duration::from_millis(50);
    let server = Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await;
    for sent in [&b""[..], b"GET / HTTP/1.1\r\nHost: x\r\n"] {
        let mut slow = TcpStream::connect(server.address).await.unwrap();
        slow.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(SOON, slow.read_to_end(&mut answer)).await.expect("it was left waiting");
    }
    // A terminal no longer counts as a request: it stays.
    let mut socket = server.terminal().await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    let _ = timeout(SOON, slow.read_u8()).await.expect("it was left waiting");
    socket.send(Message::text("x")).await.unwrap();
    server.script.until("input", |seen| seen.written == b"x").await;
}

#[tokio::test]
async fn missing_body_hits_the_deadline() {
    let configure = |config: &mut Config| config.request_timeout = Duration::from_millis(50);
    let more = |gateway: &Gateway| {
        gateway.protect(Router::new().route("/echo", axum::routing::post(|body: String| async { body })))
    };
    let server = Server::with(script(Mode::Open), directory(), configure, more).await;
    let headers = [("Authorization", "Bearer abc"), ("Content-Length", "5")];
    let answer = server.http("POST /echo", &headers).await;
    assert_eq!(answer.status, 408, "{answer:?}");
}

#[tokio::test]
async fn excess_connections_wait() {
    let configure = |config: &mut Config| config.max_connections = 1;
    let (asked, mut is_asked) = tokio::sync::mpsc::unbounded_channel();
    let more = |_: &Gateway| {
        let never =
            move || async move { asked.send(()).map(|()| std::future::pending::<()>()).unwrap().await };
        Router::new().route("/never", axum::routing::get(never))
    };
    let server = Server::with(script(Mode::Open), directory(), configure, more).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    timeout(SOON, is_asked.recv()).await.unwrap().unwrap();
    let second = server.http("GET /health", &[]);
    tokio::pin!(second);
    assert!(timeout(Duration::from_millis(100), &mut second).await.is_err(), "it did not wait");
    drop(first);
    assert_eq!(second.await.status, 200);
}

#[tokio::test]
async fn idle_connections_are_evicted() {
    let configure = |config: &mut Config| {
        config.max_connections = 3;
        // Longer than the test.
        config.header_read_timeout = Duration::from_secs(600);
    };
    let server = Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await;
    let mut quiet = Vec::new();
    for sent in [&b""[..], b"GET / HT", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"G", b"", b"POST"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        quiet.push(stream);
        assert_eq!(server.http("GET /health", &[]).await.status, 200);
    }
    // The oldest was evicted; a terminal needs no slot.
    let mut rest = Vec::new();
    let _ = timeout(SOON, quiet[0].read_to_end(&mut rest)).await.expect("it was left waiting");
    let mut terminals = Vec::new();
    for _ in 0..4 {
        terminals.push(server.terminal().await);
    }
    for terminal in &mut terminals {
        terminal.send(Message::text("x")).await.unwrap();
    }
    server.script.until("input", |seen| seen.written == b"xxxx").await;
}

#[tokio::test]
async fn two_lengths_close_the_connection() {
    let more = |gateway: &Gateway| {
        gateway.protect(Router::new().route("/echo", axum::routing::post(|body: String| async { body })))
    };
    let server = Server::with(script(Mode::Open), directory(), |_| {}, more).await;
    let more = format!("Host: {HOST}\r\nAuthorization: Bearer abc\r\n");
    let hidden = format!("GET /workspaces HTTP/1.1\r\n{more}\r\n");
    let lengths = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", 5 + hidden.len());
    for lengths in [lengths.as_str(), "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("POST /echo HTTP/1.1\r\n{more}{lengths}\r\n0\r\n\r\n");
        stream.write_all((head + &hidden).as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut answers)).await.expect("it is not closed");
        let answers = String::from_utf8(answers).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
        assert!(answers.starts_with("HTTP/1.1 200 ") && !answers.contains(MINE), "{answers}");
    }
}

#[tokio::test]
async fn oversized_head_is_refused() {
    let server = Server::start(script(Mode::Open)).await;
    let answer = server.http("GET /health", &[("X-Large", &"x".repeat(100_000))]).await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn panicking_request_gets_500() {
    let boom = || async {
        if true {
            panic!("on purpose");
        }
    };
    let more = |gateway: &Gateway| gateway.protect(Router::new().route("/boom", axum::routing::get(boom)));
    let server = Server::with(script(Mode::Open), directory(), |_| {}, more).await;
    let bearer = [("Authorization", "Bearer abc")];
    for _ in 0..2 {
        let answer = server.http("GET /boom", &bearer).await;
        assert_eq!((answer.status, &answer.json()["code"]), (500, &"internal".into()), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let answer = server.http(&format!("GET /workspaces/{MINE}"), &bearer).await;
    assert_eq!(answer.status, 200, "others are served: {answer:?}");
}
