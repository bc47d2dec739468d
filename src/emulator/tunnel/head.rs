//! Reads the head of a request.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The most bytes of a request's head.
pub(super) const MAX_HEAD: usize = 32 * 1024;
/// The most headers.
const MAX_HEADERS: usize = 64;

/// A request's head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    /// The request target, verbatim.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
}

/// Why a head cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadError {
    #[error("the connection ended")]
    Io(#[from] io::Error),
    #[error("the head is longer than {MAX_HEAD} bytes")]
    TooLong,
    #[error("the head is not HTTP/1.1")]
    Malformed,
}

impl Head {
    /// Returns the value of the first header with this name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Returns whether a header's comma-separated list contains `token`.
    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        self.header(name)
            .is_some_and(|list| list.split(',').any(|one| one.trim().eq_ignore_ascii_case(token)))
    }

    /// Reads a head. Bytes after it stay in `buffer`.
    pub(super) async fn read<R: AsyncRead + Unpin>(
        stream: &mut R,
        buffer: &mut BytesMut,
    ) -> Result<Self, HeadError> {
        loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = buffer.split_to(end + 4);
                return Self::parse(&head).ok_or(HeadError::Malformed);
            }
            if buffer.len() >= MAX_HEAD {
                return Err(HeadError::TooLong);
            }
            if stream.read_buf(buffer).await? == 0 {
                return Err(HeadError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    fn parse(head: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(head).ok()?.strip_suffix("\r\n\r\n")?.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target, version) = (first.next()?, first.next()?, first.next()?);
        if first.next().is_some() || version != "HTTP/1.1" || !target.starts_with('/') {
            return None;
        }
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':')?;
            let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if name.is_empty()
                || !name.bytes().all(is_token)
                || value.chars().any(|c| c.is_control() && c != '\t')
            {
                return None;
            }
            if headers.len() >= MAX_HEADERS {
                return None;
            }
            headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        Some(Self { method: method.to_owned(), target: target.to_owned(), headers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut bytes: &[u8]) -> Result<(Head, BytesMut), HeadError> {
        let mut rest = BytesMut::new();
        let head = Head::read(&mut bytes, &mut rest).await?;
        Ok((head, rest))
    }

    #[tokio::test]
    async fn head_parses_and_keeps_the_rest() {
        let bytes =
            b"GET /openTunnel?a=b HTTP/1.1\r\nHost: x:1\r\nConnection: keep-alive, Upgrade\r\n\r\n\x82\x80";
        let (head, rest) = read(bytes).await.unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str()), ("GET", "/openTunnel?a=b"));
        assert_eq!(head.header("host"), Some("x:1"));
        assert!(head.has_token("connection", "upgrade"));
        assert_eq!(&rest[..], b"\x82\x80");
    }

    #[tokio::test]
    async fn malformed_head_is_rejected() {
        for bad in [
            "GET / HTTP/1.0\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\n folded: x\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\na b: c\r\n\r\n",
            "GET / HTTP/1.1\r\na: \u{1b}\r\n\r\n",
            "GET http://x/ HTTP/1.1\r\n\r\n",
        ] {
            assert!(matches!(read(bad.as_bytes()).await, Err(HeadError::Malformed)), "{bad:?}");
        }
        assert!(matches!(read(&[b'a'; MAX_HEAD + 1]).await, Err(HeadError::TooLong)));
        assert!(matches!(read(b"GET / HT").await, Err(HeadError::Io(_))));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
        assert!(matches!(read(many.as_bytes()).await, Err(HeadError::Malformed)));
    }
}
