//! Reads the head of an HTTP/1.1 response within a bound.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The maximum length of a response head, in bytes.
pub(super) const MAX_HEAD: usize = 16 << 10;
/// The maximum number of header lines.
const MAX_HEADERS: usize = 100;

/// A status line and headers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Head {
    /// Returns the first header with that name, in any case.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Why a head cannot be read.
#[derive(Debug)]
pub(super) enum HeadError {
    Io(io::Error),
    Malformed(&'static str),
}

/// Reads a head; the bytes after it stay in `buffer`.
pub(super) async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut BytesMut,
) -> Result<Head, HeadError> {
    loop {
        if !b"HTTP/1.".starts_with(buffer.get(..7).unwrap_or(buffer)) {
            return Err(HeadError::Malformed("it is not HTTP/1.1"));
        }
        if let Some(end) = find_end(buffer) {
            let head = parse(buffer.get(..end).unwrap_or_default())?;
            buffer.advance(end);
            return Ok(head);
        }
        if buffer.len() >= MAX_HEAD {
            return Err(HeadError::Malformed("its head is longer than 16 KiB"));
        }
        buffer.reserve(1024);
        if stream.read_buf(buffer).await.map_err(HeadError::Io)? == 0 {
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed");
            return Err(HeadError::Io(error));
        }
    }
}

/// Returns the end of the empty line that ends the head.
fn find_end(buffer: &[u8]) -> Option<usize> {
    buffer.windows(4).take(MAX_HEAD).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn parse(head: &[u8]) -> Result<Head, HeadError> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let mut parts = status_line.splitn(3, ' ');
    let version = parts.next().unwrap_or_default();
    let status = parts
        .next()
        .filter(|status| status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|status| status.parse().ok())
        .ok_or(HeadError::Malformed("its status line is malformed"))?;
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Err(HeadError::Malformed("it is not HTTP/1.1"));
    }
    let reason = parts.next().unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(HeadError::Malformed("a header line has no colon"))?;
        if name.is_empty() || name.bytes().any(|b| b.is_ascii_whitespace()) {
            return Err(HeadError::Malformed("a header's name is malformed"));
        }
        if headers.len() == MAX_HEADERS {
            return Err(HeadError::Malformed("it has more than 100 headers"));
        }
        headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    Ok(Head { status, reason, headers })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8]) -> (Result<Head, HeadError>, Vec<u8>) {
        let mut buffer = BytesMut::new();
        let mut stream = bytes;
        let head = read(&mut stream, &mut buffer).await;
        (head, buffer.to_vec())
    }

    #[tokio::test]
    async fn bytes_after_the_head_are_kept() {
        let (head, rest) =
            read_all(b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\nX-Y:\t z \r\n\r\n\x82\x01a").await;
        let head = head.unwrap();
        assert_eq!((head.status, head.reason.as_str()), (101, "Switching Protocols"));
        assert_eq!(head.find("x-y"), Some("z"));
        assert_eq!(head.find("none"), None);
        assert_eq!(rest, b"\x82\x01a");
        assert_eq!(read_all(b"HTTP/1.0 407\r\n\r\n").await.0.unwrap().status, 407);
    }

    #[tokio::test]
    async fn malformed_head_is_rejected() {
        for bad in [
            &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 20 x\r\n\r\n",
            b"HTTP/1.1 2000 x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
            b"\0\0\0\0\0\0\0\0",
        ] {
            let (head, _) = read_all(bad).await;
            assert!(matches!(head, Err(HeadError::Malformed(_))), "{bad:?}: {head:?}");
        }
        let mut endless = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
        endless.resize(1 << 20, b'a');
        assert!(matches!(read_all(&endless).await.0, Err(HeadError::Malformed(_))));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a:b\r\n".repeat(101));
        assert!(matches!(read_all(many.as_bytes()).await.0, Err(HeadError::Malformed(_))));
    }

    #[tokio::test]
    async fn eof_in_the_head_is_an_error() {
        for cut in [&b""[..], b"HTT", b"HTTP/1.1 200 OK\r\n"] {
            assert!(matches!(read_all(cut).await.0, Err(HeadError::Io(_))), "{cut:?}");
        }
    }
}
