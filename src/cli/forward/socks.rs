//! A SOCKS server: version 4 with 4a's names, and version 5 without authentication (RFC 1928). CONNECT only; names are
//! resolved by the instance.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::ssh::{ForwardAddress, ForwardError};

/// The longest user name or host name of version 4, in bytes; version 5's are not longer.
const MAX_TEXT: usize = 255;

const V4: u8 = 4;
const V5: u8 = 5;
const CONNECT: u8 = 1;

// RFC 1928, sections 3 and 6.
const NO_AUTHENTICATION: u8 = 0;
const NO_METHOD: u8 = 0xff;
const SUCCEEDED: u8 = 0;
const GENERAL_FAILURE: u8 = 1;
const NOT_ALLOWED: u8 = 2;
const CONNECTION_REFUSED: u8 = 5;
const COMMAND_UNKNOWN: u8 = 7;
const ADDRESS_UNKNOWN: u8 = 8;

// The SOCKS 4 protocol: request granted, rejected or failed.
const GRANTED: u8 = 90;
const REJECTED: u8 = 91;

/// A client's target, and the version of the reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) to: ForwardAddress,
    version: u8,
}

/// An unsupported request; the reply has been sent where the protocol has one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocksError {
    #[error("the client went away")]
    Io(#[from] io::Error),
    #[error("the client does not speak SOCKS 4 or 5 (its first byte is {0:#04x})")]
    NotSocks(u8),
    #[error("the client offers no authentication method that is served: only \"none\" is")]
    Method,
    #[error("the client asks for command {0}; only CONNECT is served")]
    Command(u8),
    #[error("the client's address is of kind {0}, which SOCKS 5 does not have")]
    AddressKind(u8),
    #[error("the client's host name cannot be used")]
    Host,
}

impl Request {
    /// Reads exactly the request and no byte after it.
    pub(crate) async fn read<S>(stream: &mut S) -> Result<Self, SocksError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match stream.read_u8().await? {
            V4 => read_v4(stream).await,
            V5 => read_v5(stream).await,
            other => Err(SocksError::NotSocks(other)),
        }
    }

    /// Sends the reply to the client.
    pub(crate) async fn answer<S>(&self, stream: &mut S, result: Result<(), &ForwardError>) -> io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        if self.version == V4 {
            return answer_v4(stream, if result.is_ok() { GRANTED } else { REJECTED }).await;
        }
        let code = match result {
            Ok(()) => SUCCEEDED,
            Err(ForwardError::Prohibited) => NOT_ALLOWED,
            Err(ForwardError::Unreachable) => CONNECTION_REFUSED,
            Err(_) => GENERAL_FAILURE,
        };
        answer_v5(stream, code).await
    }
}

async fn read_v4<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<Request, SocksError> {
    let command = stream.read_u8().await?;
    let port = stream.read_u16().await?;
    let address = Ipv4Addr::from(stream.read_u32().await?);
    text_v4(stream).await?;
    // 4a: 0.0.0.x with x not 0 means that a name follows.
    let is_name = address.octets()[..3] == [0; 3] && address.octets()[3] != 0;
    let host = if is_name { name(text_v4(stream).await?) } else { Ok(address.to_string()) };
    let refused = match host {
        Ok(host) if command == CONNECT => {
            return Ok(Request { to: ForwardAddress::Tcp { host, port }, version: V4 });
        }
        Ok(_) => SocksError::Command(command),
        Err(error) => error,
    };
    answer_v4(stream, REJECTED).await?;
    Err(refused)
}

async fn read_v5<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<Request, SocksError> {
    let mut methods = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut methods).await?;
    if !methods.contains(&NO_AUTHENTICATION) {
        stream.write_all(&[V5, NO_METHOD]).await?;
        return Err(SocksError::Method);
    }
    stream.write_all(&[V5, NO_AUTHENTICATION]).await?;
    let version = stream.read_u8().await?;
    if version != V5 {
        return Err(SocksError::NotSocks(version));
    }
    let command = stream.read_u8().await?;
    let _reserved = stream.read_u8().await?;
    let host = match stream.read_u8().await? {
        1 => Ok(Ipv4Addr::from(stream.read_u32().await?).to_string()),
        3 => {
            let mut bytes = vec![0; usize::from(stream.read_u8().await?)];
            stream.read_exact(&mut bytes).await?;
            name(bytes)
        }
        4 => Ok(Ipv6Addr::from(stream.read_u128().await?).to_string()),
        kind => {
            answer_v5(stream, ADDRESS_UNKNOWN).await?;
            return Err(SocksError::AddressKind(kind));
        }
    };
    let port = stream.read_u16().await?;
    let (code, refused) = match host {
        Ok(host) if command == CONNECT => {
            return Ok(Request { to: ForwardAddress::Tcp { host, port }, version: V5 });
        }
        Ok(_) => (COMMAND_UNKNOWN, SocksError::Command(command)),
        Err(error) => (GENERAL_FAILURE, error),
    };
    answer_v5(stream, code).await?;
    Err(refused)
}

/// Validates a host name: not empty, without control characters.
fn name(bytes: Vec<u8>) -> Result<String, SocksError> {
    let is_name = |name: &String| !name.is_empty() && !name.chars().any(char::is_control);
    String::from_utf8(bytes).ok().filter(is_name).ok_or(SocksError::Host)
}

/// Reads a text of version 4, up to its NUL.
async fn text_v4<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, SocksError> {
    let mut text = Vec::new();
    loop {
        match stream.read_u8().await? {
            0 => return Ok(text),
            _ if text.len() == MAX_TEXT => return Err(SocksError::Host),
            byte => text.push(byte),
        }
    }
}

/// Sends a reply with zero address and port: for CONNECT clients ignore them, and the instance does not report them.
async fn answer_v4<S: AsyncWrite + Unpin>(stream: &mut S, code: u8) -> io::Result<()> {
    stream.write_all(&[0, code, 0, 0, 0, 0, 0, 0]).await
}

async fn answer_v5<S: AsyncWrite + Unpin>(stream: &mut S, code: u8) -> io::Result<()> {
    stream.write_all(&[V5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::duplex;

    use super::*;

    /// Serves a client that sends `said`; returns the request and the replies.
    async fn asks(said: &[u8]) -> (Result<Request, SocksError>, Vec<u8>) {
        let (mut server, mut client) = duplex(4096);
        client.write_all(said).await.unwrap();
        client.shutdown().await.unwrap();
        let request = Request::read(&mut server).await;
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        drop(server);
        let mut replies = Vec::new();
        client.read_to_end(&mut replies).await.unwrap();
        if request.is_ok() {
            assert_eq!(rest, b"data", "not a byte behind the request is read");
        }
        (request, replies)
    }

    fn tcp(host: &str, port: u16, version: u8) -> Request {
        Request { to: ForwardAddress::Tcp { host: host.into(), port }, version }
    }

    #[tokio::test]
    async fn versions_request_targets() {
        let (request, replies) = asks(b"\x04\x01\x00\x50\x0a\x00\x00\x01me\0data").await;
        assert_eq!((request.unwrap(), replies), (tcp("10.0.0.1", 80, V4), vec![]));
        let (request, _) = asks(b"\x04\x01\x01\xbb\x00\x00\x00\x01\0example.com\0data").await;
        assert_eq!(request.unwrap(), tcp("example.com", 443, V4));
        let (request, replies) = asks(b"\x05\x02\x02\x00\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50data").await;
        assert_eq!((request.unwrap(), replies), (tcp("10.0.0.1", 80, V5), vec![5, 0]));
        let (request, _) = asks(b"\x05\x01\x00\x05\x01\x00\x03\x0bexample.com\x01\xbbdata").await;
        assert_eq!(request.unwrap(), tcp("example.com", 443, V5));
        let v6 = b"\x05\x01\x00\x05\x01\x00\x04\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x00\x50data";
        assert_eq!(asks(v6).await.0.unwrap(), tcp("fd00::2", 80, V5));
    }

    #[tokio::test]
    async fn unsupported_requests_get_reply_codes() {
        let (request, replies) = asks(b"GET / HTTP/1.1\r\n\r\n").await;
        assert!(matches!(request, Err(SocksError::NotSocks(b'G'))) && replies.is_empty());
        let (request, replies) = asks(b"\x05\x01\x02").await;
        assert!(matches!(request, Err(SocksError::Method)));
        assert_eq!(replies, [5, 0xff]);
        let (request, replies) = asks(b"\x05\x01\x00\x05\x02\x00\x01\x0a\x00\x00\x01\x00\x50").await;
        assert!(matches!(request, Err(SocksError::Command(2))));
        assert_eq!(replies[..4], [5, 0, 5, COMMAND_UNKNOWN]);
        let (request, replies) = asks(b"\x05\x01\x00\x05\x01\x00\x07").await;
        assert!(matches!(request, Err(SocksError::AddressKind(7))));
        assert_eq!(replies[..4], [5, 0, 5, ADDRESS_UNKNOWN]);
        let (request, replies) = asks(b"\x04\x02\x00\x50\x0a\x00\x00\x01\0").await;
        assert!(matches!(request, Err(SocksError::Command(2))));
        assert_eq!(replies, [0, REJECTED, 0, 0, 0, 0, 0, 0]);
        for empty in
            [&b"\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50"[..], b"\x04\x01\x00\x50\x00\x00\x00\x01\0\0"]
        {
            assert!(matches!(asks(empty).await.0, Err(SocksError::Host)));
        }
        let endless = [b"\x04\x01\x00\x50\x0a\x00\x00\x01".as_slice(), &[b'x'; 2000]].concat();
        assert!(matches!(asks(&endless).await.0, Err(SocksError::Host)), "a user name has an end");
        assert!(matches!(asks(b"\x05\x01").await.0, Err(SocksError::Io(_))));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(said in proptest::collection::vec(any::<u8>(), 0..600)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (mut server, mut client) = duplex(4096);
                client.write_all(&said).await.unwrap();
                client.shutdown().await.unwrap();
                let _ = Request::read(&mut server).await;
            });
        }
    }
}
