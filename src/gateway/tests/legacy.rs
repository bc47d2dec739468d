//! The legacy protocol, byte for byte (RFC 6455, section 5.2).

use serde_json::Value;

use super::*;
use crate::model::{Fault, Stage, StageError};
use crate::session::script::Seen;

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

/// The instance that a transcript names.
fn far(name: &str) -> Script {
    fn denied() -> StageError {
        StageError::new(Stage::KeyPush, Fault::Denied, "AWS refuses the key")
            .with_hint("Allow ec2-instance-connect:SendSSHPublicKey")
    }
    fn stopped() -> StageError {
        StageError::new(Stage::Instance, Fault::State, "the instance is stopped")
    }
    script(match name {
        "open" => Mode::Open,
        "key-push" => Mode::Fail(denied),
        "instance" => Mode::Fail(stopped),
        other => panic!("{other}"),
    })
}

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// A client's frame, masked, that says it has `length` bytes.
fn masked(first: u8, payload: &[u8], length: usize) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = match u8::try_from(length) {
        Ok(length @ ..126) => vec![first, 0x80 | length],
        _ => [&[first, 0xff][..], &(length as u64).to_be_bytes()].concat(),
    };
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[tokio::test]
async fn golden_conversations() {
    let all: Vec<Value> =
        serde_json::from_str(include_str!("../../../fixtures/legacy/transcripts.json")).unwrap();
    for conversation in &all {
        let server = Server::start(far(conversation["far"].as_str().unwrap())).await;
        let offers = conversation["offers"].as_array().unwrap().iter();
        let offers: String = offers.map(|line| format!("{}\r\n", line.as_str().unwrap())).collect();
        let (mut stream, answer) = raw(&server, &offers).await;
        assert!(answer.starts_with("http/1.1 101 "), "{answer}");
        assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
        assert!(!answer.contains("sec-websocket-protocol"), "no subprotocol is taken up: {answer}");
        assert!(!answer.contains("sec-websocket-extensions"), "nor is compression: {answer}");
        for step in conversation["steps"].as_array().unwrap() {
            play(&server, &mut stream, step).await;
        }
        // The gateway ends the connection and sends nothing more.
        let mut rest = Vec::new();
        timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(rest.is_empty(), "{}: {rest:?}", conversation["name"]);
        server.idle().await;
    }
}

async fn play(server: &Server, stream: &mut TcpStream, step: &Value) {
    if let Some(frame) = step["client"].as_str() {
        let frame = hex(frame);
        let length =
            step["length"].as_u64().map_or(frame.len() - 1, |length| usize::try_from(length).unwrap());
        stream.write_all(&masked(frame[0], &frame[1..], length)).await.unwrap();
    } else if let Some(frame) = step["gateway"].as_str() {
        expect(stream, &hex(frame)).await;
    } else if let Some(text) = step["gateway"]["text"].as_str() {
        let first = hex(step["gateway"]["first"].as_str().unwrap());
        expect(stream, &[&first, &[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat()).await;
    }
    for (what, value) in step["host"].as_object().into_iter().flatten() {
        let opened = |seen: &Seen| !seen.requests.is_empty();
        match what.as_str() {
            "says" => server.script.say(&hex(value.as_str().unwrap())),
            "exits" => server.script.exit(u32::try_from(value.as_u64().unwrap()).unwrap()),
            "took" => {
                let typed = hex(value.as_str().unwrap());
                server.script.until("input", |seen| seen.written == typed).await;
            }
            "sized" => {
                server.script.until("the terminal", opened).await;
                let size = server.script.seen().requests[0].size;
                assert_eq!(serde_json::json!([size.cols(), size.rows()]), *value);
            }
            "term" => {
                server.script.until("the terminal", opened).await;
                assert_eq!(server.script.seen().requests[0].term, value.as_str().unwrap());
            }
            other => panic!("{other}"),
        }
    }
}

/// The next BINARY message.
async fn output(socket: &mut Socket) -> Vec<u8> {
    match next(socket).await.unwrap().unwrap() {
        Message::Binary(data) => data.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn output_is_whole_characters() {
    let server = Server::start(script(Mode::Open)).await;
    let mut socket = server.terminal().await;
    // Characters of three bytes: pieces of 32 KiB cut them.
    let said = "\u{20ac}".repeat(100_000);
    server.script.say(said.as_bytes());
    let mut seen = String::new();
    while seen.len() < said.len() {
        let data = output(&mut socket).await;
        assert!((1..=crate::session::Config::default().max_piece).contains(&data.len()));
        seen.push_str(std::str::from_utf8(&data).expect("whole characters"));
    }
    assert!(seen == said);
}

#[tokio::test]
async fn single_bytes_become_characters() {
    let server = Server::start(script(Mode::Open)).await;
    let mut socket = server.terminal().await;
    let said = "\u{2026}\u{2014}\u{201c}\u{2022}\u{200b}\u{1f600}\u{e9}x";
    said.bytes().for_each(|byte| server.script.say(&[byte]));
    for character in said.chars() {
        assert_eq!(output(&mut socket).await, character.to_string().as_bytes());
    }
}

#[tokio::test]
async fn unfinished_character_is_flushed() {
    let server = Server::start(script(Mode::Open)).await;
    let mut socket = server.terminal().await;
    // Nothing follows within the timeout.
    server.script.say(b"caf\xe9");
    assert_eq!(output(&mut socket).await, b"caf");
    assert_eq!(output(&mut socket).await, b"\xe9");
    // What follows does not belong to it.
    server.script.say(b"\xe2\x82");
    server.script.say(b"x");
    assert_eq!(output(&mut socket).await, b"\xe2\x82");
    assert_eq!(output(&mut socket).await, b"x");
    // The shell ends.
    server.script.say(b"\xf0\x9f");
    server.script.exit(0);
    let (binary, _, close) = read_to_close(&mut socket).await;
    assert_eq!((binary.as_slice(), close.unwrap().0), (&b"\xf0\x9f"[..], 1000));
}

#[tokio::test]
async fn pings_are_25_s_and_silence_75_s() {
    let defaults = Config::new(vec![ORIGIN.parse().unwrap()]);
    assert_eq!((defaults.ping_interval.as_secs(), defaults.dead_peer_timeout.as_secs()), (25, 75));
    let often = |config: &mut Config| config.ping_interval = std::time::Duration::from_millis(20);
    let server = Server::with(script(Mode::Open), directory(), often, |_| Router::new()).await;
    let (mut stream, _) = raw(&server, "").await;
    for _ in 0..3 {
        expect(&mut stream, b"\x89\0").await;
        stream.write_all(&masked(0x8a, b"", 0)).await.unwrap();
    }
    // In between, output and input as ever.
    stream.write_all(&masked(0x81, b"ls", 2)).await.unwrap();
    server.script.until("input", |seen| seen.written == b"ls").await;
}

#[tokio::test]
async fn upgrade_precedes_dialing() {
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
async fn wiring_fault_is_text_and_close() {
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
async fn other_faults_are_plain_errors() {
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
async fn lost_connection_follows_output() {
    let server = Server::start(script(Mode::Open)).await;
    let mut socket = server.terminal().await;
    server.script.say(b"half a li");
    server.script.break_off("tunnel: gone\u{7}");
    let (binary, text, close) = read_to_close(&mut socket).await;
    assert_eq!(binary, b"half a li");
    assert_eq!(text, "Error: the connection to the workspace broke: tunnel: gone\\u{7}\r\n");
    assert_eq!(close.unwrap().0, 4500);
}
