//! Malformed request heads: injected lines, two lengths, too large, and other protocols.

use std::net::SocketAddr;

use tokio::task::JoinSet;

use super::bystander::Bystander;
use super::wire::{Wire, ask, get, request, upgrade};
use super::{gateway, has_not_grown};
use crate::lab::{PUBLIC_HOST, TOKEN, WORKSPACE};

/// Sends `bytes` and returns everything until the gateway ends the connection, as text.
async fn exchange(gateway: SocketAddr, bytes: Vec<u8>) -> String {
    let mut wire = Wire::open(gateway, 19).await;
    let _ = wire.send(bytes).await;
    String::from_utf8_lossy(&wire.rest().await).into_owned()
}

/// Returns the statuses of all responses in `text`.
fn statuses(text: &str) -> Vec<u16> {
    text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..at + 12].parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_head_is_refused() {
    let gateway = gateway("").await;
    let bystander = Bystander::start(&gateway).await;
    let before = gateway.memory();
    let good = String::from_utf8(upgrade(WORKSPACE, &[])).unwrap();
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let with = |line: &str| good.replacen("\r\n\r\n", &format!("\r\n{bearer}{line}\r\n\r\n"), 1);
    let (addr, mut cases) = (gateway.addr(), JoinSet::new());
    for (what, bytes) in [
        ("a bare CR in a value", with("X-A: a\rb").into_bytes()),
        ("a NUL in a value", with("X-A: a\0b").into_bytes()),
        ("a NUL in a name", with("X-\0: a").into_bytes()),
        ("an escape in a value", with("X-A: \x1b[2J").into_bytes()),
        ("a space before the colon", with("X-A : a").into_bytes()),
        ("a line without a colon", with("X-A").into_bytes()),
        ("a name of nothing", with(": a").into_bytes()),
        ("a line that is folded", with("X-A: a\r\n b").into_bytes()),
        ("a first line that is folded", good.replacen("\r\n", "\r\n ", 1).into_bytes()),
        ("a path with a NUL", good.replacen("/terminal", "/terminal\0", 1).into_bytes()),
        ("a path with a line", good.replacen("/terminal", "/terminal\r\nX-A: b", 1).into_bytes()),
        ("a path with an escape", good.replacen("/terminal", "/\x1b[2Jterminal", 1).into_bytes()),
        ("two lengths", with("Content-Length: 1\r\nContent-Length: 2").into_bytes()),
        ("a length of less than nothing", with("Content-Length: -1").into_bytes()),
        ("a length with a sign", with("Content-Length: +1").into_bytes()),
        ("a length that is too large", with("Content-Length: 99999999999999999999").into_bytes()),
        ("an unsupported encoding", with("Transfer-Encoding: gzip").into_bytes()),
        ("an encoding after chunked", with("Transfer-Encoding: chunked, gzip").into_bytes()),
        ("an encoding in disguise", with("Transfer-Encoding: xchunked").into_bytes()),
        ("HTTP/0.9", b"GET /workspaces\r\n".to_vec()),
        ("HTTP/3.0", good.replacen("HTTP/1.1", "HTTP/3.0", 1).into_bytes()),
        ("HTTP/2, by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        ("a TLS hello", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec()),
        ("an SSH banner", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("the PROXY protocol", format!("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n{good}").into_bytes()),
        ("noise", (0..=255_u8).cycle().take(4096).collect()),
    ] {
        cases.spawn(async move { (what, exchange(addr, bytes).await) });
    }
    while let Some(case) = cases.join_next().await {
        let (what, answer) = case.unwrap();
        let statuses = statuses(&answer);
        let is_refused = |status: &u16| matches!(status, 400..=499 | 501 | 505);
        eprintln!("{what}: {statuses:?}");
        assert!(statuses.iter().all(is_refused), "{what}: {answer}");
        assert!(statuses.len() <= 1, "{what}: {answer}");
    }
    // Larger than the limit of a head, in one line or in many.
    for (what, lines, status) in [
        ("64 KiB in one line", format!("X-A: {}", "a".repeat(64 << 10)), 431),
        ("1000 lines", "X-A: a\r\n".repeat(1000).trim_end().to_owned(), 431),
        ("a path of 64 KiB", String::new(), 414),
    ] {
        let bytes = if lines.is_empty() {
            good.replacen("/terminal", &format!("/terminal?{}", "a".repeat(64 << 10)), 1)
        } else {
            with(&lines)
        };
        let statuses = statuses(&exchange(addr, bytes.into_bytes()).await);
        eprintln!("{what}: {statuses:?}");
        assert!(statuses.iter().all(|s| *s == status || *s == 431 || *s == 400), "{what}: {statuses:?}");
    }
    // A head without an end is cut at the limit, and not buffered.
    let mut wire = Wire::open(gateway.addr(), 19).await;
    wire.send("GET / HTTP/1.1\r\n").await.unwrap();
    while wire.send("X-A: a\r\n".repeat(512)).await.is_ok() {}
    drop(wire);
    bystander.assert_unharmed().await;
    has_not_grown(&gateway, before);
    gateway.is_idle();
    gateway.stop().await;
}

/// A request that a proxy in front considers one must not be two here, and the reverse.
#[tokio::test(flavor = "multi_thread")]
async fn request_smuggling_is_refused() {
    let gateway = gateway("").await;
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let hidden = format!("GET /workspaces HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\n{bearer}\r\n");
    let length = hidden.len() + 5;
    for (what, lines) in [
        ("a length, then chunks", format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n")),
        ("chunks, then a length", format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n")),
        ("chunks twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned()),
        ("chunks with a tab", "Transfer-Encoding:\tchunked\r\nContent-Length: 5\r\n".to_owned()),
        ("two lengths", format!("Content-Length: 5\r\nContent-Length: {length}\r\n")),
    ] {
        let path = format!("/workspaces/{WORKSPACE}/terminal/ticket");
        let head = format!("POST {path} HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\n{lines}{bearer}\r\n0\r\n\r\n");
        let answer = exchange(gateway.addr(), (head + &hidden).into_bytes()).await;
        eprintln!("{what}: {:?}", statuses(&answer));
        assert!(statuses(&answer).len() <= 1, "{what}: {answer}");
        assert!(!answer.contains(WORKSPACE), "{what}: the hidden request was answered: {answer}");
    }
    // A body that looks like a request, of a request with a length, is a body.
    let head = format!(
        "POST /auth/session HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\nContent-Length: {}\r\n\r\n",
        hidden.len()
    );
    let answer = exchange(gateway.addr(), (head + &hidden).into_bytes()).await;
    assert_eq!(statuses(&answer), [401], "{answer}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_protocols_are_refused() {
    let gateway = gateway("").await;
    let bearer = format!("Bearer {TOKEN}");
    for upgrade in ["h2c", "TLS/1.0", "websocket, h2c", "ssh", "WebTransport"] {
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("Upgrade", upgrade),
            ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        ];
        for path in ["/", "/workspaces", &format!("/workspaces/{WORKSPACE}/terminal")] {
            let answer = ask(gateway.addr(), 19, get(path, &headers)).await;
            assert_ne!(answer.status, 101, "{upgrade} {path}: {answer:?}");
        }
    }
    assert_eq!(gateway.world.emulator.open_tunnels(), 0);
    gateway.stop().await;
}

/// Logged request text can neither control the terminal that shows the log nor forge a line.
#[tokio::test(flavor = "multi_thread")]
async fn request_text_is_escaped_in_log() {
    let gateway = gateway("").await;
    let escapes = "\u{9b}31m\u{202e}\u{85}";
    for path in ["/a%1b[2J%0a", &format!("/{escapes}"), "/%0d%0a2026-01-01T00:00:00Z%20ERROR%20forged"] {
        let headers = [("User-Agent", "\u{9b}2J\u{202e}forged"), ("X-Forwarded-For", "\u{9b}1.2.3.4")];
        for method in ["GET", "PUT", "BREW"] {
            ask(gateway.addr(), 19, request(method, path, &headers)).await;
        }
    }
    let bearer = format!("Bearer {}", escapes.repeat(3));
    ask(gateway.addr(), 19, upgrade(WORKSPACE, &[("Authorization", &bearer)])).await;
    ask(gateway.addr(), 19, upgrade(WORKSPACE, &[("Origin", &format!("http://{escapes}"))])).await;
    let log = gateway.stop().await;
    assert!(log.contains("/a%1b[2J%0a"), "the requests are logged: {log}");
    let is_odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    let odd = log.lines().find(|line| line.contains(is_odd));
    assert!(odd.is_none(), "{odd:?} is in the log");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01")), "{log}");
}
