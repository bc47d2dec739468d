//! The legacy protocol, byte for byte (RFC 6455, section 5.2).

use super::*;
use crate::terminal::{Fault, Size, Stage, StageError};

/// A handshake by hand: the socket, and the answer's head.
async fn raw(server: &Server, more: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "GET /workspaces/{MINE}/terminal HTTP/1.1\r\nHost: {HOST}\r\nOrigin: {ORIGIN}\r\n\
         Authorization: Bearer abc\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(timeout(SOON, stream.read_u8()).await.unwrap().unwrap());
    }
    (stream, String::from_utf8(answer).unwrap().to_lowercase())
}

async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    timeout(SOON, stream.read_exact(&mut read)).await.unwrap().unwrap();
    assert_eq!(read, bytes);
}

/// A client's frame with the mask 0, which leaves the payload as it is.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let head = if length < 126 { vec![first, 0x80 | length] } else { vec![first, 0x80 | 126, 0, length] };
    [&head, &[0; 4][..], payload].concat()
}

#[tokio::test]
async fn golden_exchange() {
    let server = Server::start(script(Mode::Open)).await;
    let offers = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let (mut stream, answer) = raw(&server, offers).await;
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
    assert!(!answer.contains("sec-websocket-protocol") && !answer.contains("sec-websocket-extensions"));

    // Keystrokes as TEXT, as xterm.js sends them, and as BINARY; a message in fragments; an empty one.
    stream.write_all(&frame(0x81, b"who")).await.unwrap();
    stream.write_all(&frame(0x82, b"ami\r\xff\x00")).await.unwrap();
    stream.write_all(&frame(0x01, "\u{20ac}".as_bytes())).await.unwrap();
    stream.write_all(&frame(0x80, b"!")).await.unwrap();
    stream.write_all(&frame(0x81, b"")).await.unwrap();
    let typed = b"whoami\r\xff\x00\xe2\x82\xac!";
    server.script.until("input", |seen| seen.written == typed).await;
    let requests = server.script.seen().requests;
    assert_eq!((requests[0].size, requests[0].term.as_str()), (Size::default(), "xterm-256color"));

    // Output as BINARY, split characters and all.
    server.script.say(b"root\r\n\xe2\x82");
    expect(&mut stream, b"\x82\x08root\r\n\xe2\x82").await;
    server.script.say(b"\xac");
    expect(&mut stream, b"\x82\x01\xac").await;

    // A ping is answered.
    stream.write_all(&frame(0x89, b"hi")).await.unwrap();
    expect(&mut stream, b"\x8a\x02hi").await;

    // The shell's end: 1000, no reason, whatever its status.
    server.script.exit(7);
    expect(&mut stream, b"\x88\x02\x03\xe8").await;
    stream.write_all(&frame(0x88, b"\x03\xe8")).await.unwrap();
    let mut rest = Vec::new();
    timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.is_empty(), "{rest:?}");
    server.idle().await;
}

#[tokio::test]
async fn the_upgrade_comes_before_the_dialling() {
    let server = Server::start(script(Mode::Hang)).await;
    let (_stream, answer) = raw(&server, "").await;
    assert!(answer.starts_with("http/1.1 101 "));
    server.script.until("dialling", |seen| seen.connects == 1).await;
}

#[tokio::test]
async fn a_subprotocol_is_not_taken_up() {
    let server = Server::start(script(Mode::Open)).await;
    let (_stream, answer) = raw(&server, "Sec-WebSocket-Protocol: x, y\r\n").await;
    assert!(answer.starts_with("http/1.1 101 ") && !answer.contains("sec-websocket-protocol"), "{answer}");
}

#[tokio::test]
async fn a_wiring_fault_is_a_line_of_text_and_a_proper_close() {
    fn denied() -> StageError {
        StageError::new(Stage::KeyPush, Fault::Denied, "AWS refused\u{1b}[2J")
            .with_source(std::io::Error::other("AccessDenied"))
            .with_hint("Allow ec2-instance-connect:SendSSHPublicKey")
    }
    let server = Server::start(script(Mode::Fail(denied))).await;
    let (binary, text, close) = read_to_close(&mut server.terminal().await).await;
    assert!(binary.is_empty());
    assert_eq!(
        text,
        "EIC wiring incomplete: key-push: AWS refused\\u{1b}[2J: AccessDenied. \
         Allow ec2-instance-connect:SendSSHPublicKey\r\n"
    );
    assert_eq!(close, Some((4500, "key-push failed".into())));
    server.idle().await;
}

#[tokio::test]
async fn what_is_no_wiring_fault_is_a_plain_error() {
    fn stopped() -> StageError {
        StageError::new(Stage::Instance, Fault::State, "the instance is stopped")
    }
    let server = Server::start(script(Mode::FailTerminal(stopped))).await;
    let (_, text, close) = read_to_close(&mut server.terminal().await).await;
    assert_eq!(text, "Error: instance: the instance is stopped\r\n");
    assert_eq!(close.unwrap().0, 4500);

    let server = Server::start(script(Mode::Panic)).await;
    let (_, text, close) = read_to_close(&mut server.terminal().await).await;
    assert_eq!((text.as_str(), close.unwrap().0), ("Error: internal error\r\n", 1011));
    server.idle().await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_after_the_output() {
    let server = Server::start(script(Mode::Open)).await;
    let mut socket = server.terminal().await;
    server.script.say(b"half a li");
    server.script.break_off("tunnel: gone\u{7}");
    let (binary, text, close) = read_to_close(&mut socket).await;
    assert_eq!(binary, b"half a li");
    assert_eq!(text, "Error: the connection to the workspace broke: tunnel: gone\\u{7}\r\n");
    assert_eq!(close.unwrap().0, 4500);
}
