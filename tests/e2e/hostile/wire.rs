//! A connection on which anything can be said, byte by byte.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::lab::{PUBLIC_HOST, TOKEN, WORKSPACE};

/// How long the gateway may take to answer, or to cut a connection: more than any of its own deadlines.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 64 << 10;

pub(super) struct Wire {
    pub(super) stream: TcpStream,
    /// The beginning of a frame that was read with the one before it.
    unread: Vec<u8>,
}

/// An answer's status, head in lower case, and body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

/// A `GET` with the gateway's own `Host`.
pub(super) fn get(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    request("GET", path, headers)
}

/// A request without a body; with `Host`, unless there is one, and as it stands otherwise.
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

/// The request that opens a terminal in `workspace`.
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
    /// A connection from 127.0.0.`from`.
    pub(super) async fn open(gateway: SocketAddr, from: u8) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, from), 0).into()).unwrap();
        Self { stream: socket.connect(gateway).await.unwrap(), unread: Vec::new() }
    }

    /// An open terminal, with a bearer token and perhaps a subprotocol.
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

    /// The next answer; `None` when the connection ends without one.
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

    /// All that still comes until the gateway ends the connection, which it must do.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end as well.
        while let Ok(1..) =
            timeout(PATIENCE, self.stream.read_buf(&mut rest)).await.expect("the connection is ended")
        {
        }
        rest
    }

    /// The gateway's frames up to its close frame, or to the end of the connection.
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

    /// The code with which the gateway closes the WebSocket; `None` when it just ends the connection.
    pub(super) async fn close_code(&mut self) -> Option<u16> {
        let frames = self.frames().await;
        // A pong that was due may come after it.
        let (_, payload) = frames.into_iter().find(|(opcode, _)| *opcode == 8)?;
        Some(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code)))
    }

    /// Reads until the terminal printed `text`.
    pub(super) async fn until(&mut self, text: &str) {
        self.until_in(2, text).await;
    }

    /// Reads until the gateway's messages have `text`.
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

/// One request over a connection of its own; the status, or 0 when there was no answer.
pub(super) async fn ask(gateway: SocketAddr, from: u8, request: impl AsRef<[u8]>) -> Answer {
    let mut wire = Wire::open(gateway, from).await;
    let _ = wire.send(request).await;
    let none = Answer { status: 0, head: String::new(), body: String::new() };
    wire.answer().await.unwrap_or(none)
}

/// A client's frame; the mask is 0, which leaves the payload as it is.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

/// The head of a client's frame that says that its payload has `length` bytes.
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

/// The gateway's frames in `bytes`: opcode and payload; a cut one is left out.
pub(super) fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    parsed(bytes).0
}

/// The same, and the bytes of the cut one.
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
