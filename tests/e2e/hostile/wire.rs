//! A raw connection that can send arbitrary bytes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::lab::{PUBLIC_HOST, TOKEN, WORKSPACE};

/// How long the gateway may take to respond or to close a connection: more than any of its own timeouts.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The longest head of a response, in bytes.
const MAX_HEAD: usize = 64 << 10;

pub(super) struct Wire {
    pub(super) stream: TcpStream,
    /// The start of the next frame, read together with the previous one.
    unread: Vec<u8>,
}

/// A response's status, head in lower case, and body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

/// Returns a `GET` with the gateway's own `Host`.
pub(super) fn get(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    request("GET", path, headers)
}

/// Returns a request without a body; adds `Host` if missing, and nothing else.
pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head += &format!("Host: {PUBLIC_HOST}\r\n");
    }
    if !matches!(method, "GET" | "HEAD") && !headers.iter().any(|(name, _)| *name == "Content-Length") {
        head += "Content-Length: 0\r\n";
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    (head + "\r\n").into_bytes()
}

/// Returns the request that opens a terminal in `workspace`.
pub(super) fn upgrade(workspace: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let websocket = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    get(&format!("/workspaces/{workspace}/terminal"), &[&websocket, headers].concat())
}

impl Wire {
    /// Connects from 127.0.0.`from`.
    pub(super) async fn open(gateway: SocketAddr, from: u8) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, from), 0).into()).unwrap();
        Self { stream: socket.connect(gateway).await.unwrap(), unread: Vec::new() }
    }

    /// Opens a terminal with a bearer token and, optionally, a subprotocol.
    pub(super) async fn terminal(gateway: SocketAddr, from: u8, protocol: Option<&str>) -> Self {
        let mut wire = Self::open(gateway, from).await;
        let bearer = format!("Bearer {TOKEN}");
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend(protocol.map(|protocol| ("Sec-WebSocket-Protocol", protocol)));
        wire.send(upgrade(WORKSPACE, &headers)).await.unwrap();
        let answer = wire.answer().await.expect("an answer");
        assert_eq!(answer.status, 101, "{answer:?}");
        wire
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await.expect("what is sent is taken")
    }

    /// Returns the next response; `None` when the connection ends without one.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(PATIENCE, self.stream.read_u8()).await.expect("an answer or an end in time");
            head.push(byte.ok()?);
            assert!(head.len() < MAX_HEAD);
        }
        let head = String::from_utf8(head).expect("a head is text").to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        if status != 304 {
            timeout(PATIENCE, self.stream.read_exact(&mut body)).await.expect("a body in time").ok()?;
        }
        Some(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Returns the remaining bytes until the gateway closes the connection, which it must do.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset closes the connection as well.
        while let Ok(1..) =
            timeout(PATIENCE, self.stream.read_buf(&mut rest)).await.expect("the connection is ended")
        {
        }
        rest
    }

    /// Returns the gateway's frames up to its close frame, or to the end of the connection.
    pub(super) async fn frames(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut said = std::mem::take(&mut self.unread);
        loop {
            let frames = frames(&said);
            let read = timeout(PATIENCE, self.stream.read_buf(&mut said));
            if frames.iter().any(|(opcode, _)| *opcode == 8)
                || !matches!(read.await.expect("the socket is closed"), Ok(1..))
            {
                return frames;
            }
        }
    }

    /// Returns the close code of the WebSocket; `None` when the connection ends without a close frame.
    pub(super) async fn close_code(&mut self) -> Option<u16> {
        let frames = self.frames().await;
        // A pending pong may follow it.
        let (_, payload) = frames.into_iter().find(|(opcode, _)| *opcode == 8)?;
        Some(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code)))
    }

    /// Reads until the terminal has printed `text`.
    pub(super) async fn until(&mut self, text: &str) {
        self.until_in(2, text).await;
    }

    /// Reads until the gateway's messages contain `text`.
    pub(super) async fn until_text(&mut self, text: &str) {
        self.until_in(1, text).await;
    }

    async fn until_in(&mut self, kind: u8, text: &str) {
        let text = text.as_bytes();
        let mut said = std::mem::take(&mut self.unread);
        loop {
            let (frames, rest) = parsed(&said);
            let frames = frames.into_iter().filter(|(opcode, _)| *opcode == kind);
            let printed = frames.map(|(_, data)| data).collect::<Vec<_>>().concat();
            if printed.windows(text.len()).any(|window| window == text) {
                self.unread = rest.to_vec();
                return;
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut said)).await.expect("it is printed");
            assert_ne!(read.unwrap(), 0, "the end, after {}", String::from_utf8_lossy(&printed));
        }
    }
}

/// Sends one request over a new connection and returns the status, or 0 without a response.
pub(super) async fn ask(gateway: SocketAddr, from: u8, request: impl AsRef<[u8]>) -> Answer {
    let mut wire = Wire::open(gateway, from).await;
    let _ = wire.send(request).await;
    let none = Answer { status: 0, head: String::new(), body: String::new() };
    wire.answer().await.unwrap_or(none)
}

/// Returns a client's frame; the mask is 0, which leaves the payload unchanged.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

/// Returns the head of a client's frame with a payload of `length` bytes.
pub(super) fn head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => head.push(0x80 | short),
        (_, Ok(medium)) => {
            head.push(0x80 | 126);
            head.extend(medium.to_be_bytes());
        }
        _ => {
            head.push(0x80 | 127);
            head.extend(length.to_be_bytes());
        }
    }
    head.extend([0; 4]);
    head
}

/// Returns the gateway's frames in `bytes` as opcode and payload, without a truncated one.
pub(super) fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    parsed(bytes).0
}

/// The same, and the bytes of the truncated frame.
fn parsed(mut bytes: &[u8]) -> (Vec<(u8, Vec<u8>)>, &[u8]) {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert_eq!(second & 0x80, 0, "a server masks nothing");
        let (length, rest) = match second {
            126 => match rest.split_first_chunk::<2>() {
                Some((length, rest)) => (usize::from(u16::from_be_bytes(*length)), rest),
                None => break,
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((length, rest)) => (usize::try_from(u64::from_be_bytes(*length)).unwrap(), rest),
                None => break,
            },
            short => (usize::from(*short), rest),
        };
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        frames.push((first & 0x0f, payload.to_vec()));
        bytes = rest;
    }
    (frames, bytes)
}
