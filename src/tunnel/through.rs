//! Connects through a proxy to a host: HTTP CONNECT (RFC 9110, section 9.3.6) and SOCKS5 (RFC 1928, RFC 1929).

use std::io;
use std::net::IpAddr;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::lookup_host;

use super::error::{Error, ProxyFault};
use super::head::{self, HeadError};
use super::proxy::{Proxy, ProxyScheme, ProxyUser};

/// The maximum length of a proxy's reason phrase in an error, in characters.
const MAX_REASON: usize = 80;

/// Why the proxy did not connect.
#[derive(Debug)]
pub(super) enum ConnectError {
    Refused(ProxyFault),
    Broken(io::Error),
    Resolve(io::Error),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl ConnectError {
    /// Converts to the error for `proxy` and `host`.
    pub(super) fn into_error(self, proxy: &Proxy, host: &str) -> Error {
        let (proxy, host) = (proxy.to_string(), host.to_owned());
        match self {
            Self::Refused(source) => Error::Proxy { proxy, host, source },
            Self::Broken(source) => Error::ProxyBroken { proxy, source },
            Self::Resolve(source) => Error::Resolve { host, source },
        }
    }
}

/// Requests `host:port` from the proxy at the other end of `stream`. On success the stream is that connection.
pub(super) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    proxy: &Proxy,
    stream: &mut S,
    host: &str,
    port: u16,
) -> Result<(), ConnectError> {
    match proxy.scheme {
        ProxyScheme::Http | ProxyScheme::Https => connect(stream, host, port, proxy.user.as_ref()).await,
        ProxyScheme::Socks5h => socks5(stream, &socks_target(host), port, proxy.user.as_ref()).await,
        ProxyScheme::Socks5 => {
            let address =
                lookup_host((host, port)).await.map_err(ConnectError::Resolve)?.next().ok_or_else(|| {
                    ConnectError::Resolve(io::Error::new(io::ErrorKind::NotFound, "no address"))
                })?;
            socks5(stream, &SocksTarget::Address(address.ip()), port, proxy.user.as_ref()).await
        }
    }
}

async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    host: &str,
    port: u16,
    user: Option<&ProxyUser>,
) -> Result<(), ConnectError> {
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(user) = user {
        let login = zeroize::Zeroizing::new(format!("{}:{}", user.name, user.password.as_str()));
        request.push_str("Proxy-Authorization: Basic ");
        request.push_str(&aws_smithy_types::base64::encode(login.as_bytes()));
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut buffer = BytesMut::new();
    let head = head::read(stream, &mut buffer).await.map_err(|error| match error {
        HeadError::Io(error) => ConnectError::Broken(error),
        HeadError::Malformed(what) => ConnectError::Refused(ProxyFault::Protocol(what)),
    })?;
    if !(200..300).contains(&head.status) {
        let reason = head.reason.chars().take(MAX_REASON).flat_map(char::escape_default).collect();
        return Err(ConnectError::Refused(ProxyFault::Status { status: head.status, reason }));
    }
    if !buffer.is_empty() {
        // In TLS the client sends first, so these bytes cannot come from the host.
        return Err(ConnectError::Refused(ProxyFault::Protocol("bytes follow its answer")));
    }
    Ok(())
}

/// The address in a SOCKS5 request.
enum SocksTarget {
    Address(IpAddr),
    Name(String),
}

fn socks_target(host: &str) -> SocksTarget {
    host.parse().map_or_else(|_| SocksTarget::Name(host.to_owned()), SocksTarget::Address)
}

async fn socks5<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    target: &SocksTarget,
    port: u16,
    user: Option<&ProxyUser>,
) -> Result<(), ConnectError> {
    const VERSION: u8 = 5;
    const NO_LOGIN: u8 = 0;
    const PASSWORD: u8 = 2;
    let refused = |what| ConnectError::Refused(ProxyFault::Protocol(what));
    let hello: &[u8] =
        if user.is_some() { &[VERSION, 2, NO_LOGIN, PASSWORD] } else { &[VERSION, 1, NO_LOGIN] };
    stream.write_all(hello).await?;
    stream.flush().await?;
    let mut method = [0; 2];
    stream.read_exact(&mut method).await?;
    match (method, user) {
        ([VERSION, NO_LOGIN], _) => {}
        ([VERSION, PASSWORD], Some(user)) => log_in(stream, user).await?,
        ([VERSION, _], _) => return Err(ConnectError::Refused(ProxyFault::NoMethod)),
        _ => return Err(refused("it is not a SOCKS5 proxy")),
    }

    let mut request = vec![VERSION, 1, 0];
    match target {
        SocksTarget::Address(IpAddr::V4(address)) => {
            request.push(1);
            request.extend(address.octets());
        }
        SocksTarget::Address(IpAddr::V6(address)) => {
            request.push(4);
            request.extend(address.octets());
        }
        SocksTarget::Name(name) => {
            let length =
                u8::try_from(name.len()).map_err(|_| refused("the host name is too long for SOCKS5"))?;
            request.extend([3, length]);
            request.extend(name.bytes());
        }
    }
    request.extend(port.to_be_bytes());
    stream.write_all(&request).await?;
    stream.flush().await?;

    let mut reply = [0; 4];
    stream.read_exact(&mut reply).await?;
    let [version, code, _, kind] = reply;
    if version != VERSION {
        return Err(refused("it is not a SOCKS5 proxy"));
    }
    if code != 0 {
        return Err(ConnectError::Refused(ProxyFault::SocksReply(code)));
    }
    // The address that the proxy bound is not needed, but it must be read.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        _ => return Err(refused("its address type is unknown")),
    };
    let mut bound = [0; 255 + 2];
    stream.read_exact(bound.get_mut(..length + 2).unwrap_or_default()).await?;
    Ok(())
}

async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    user: &ProxyUser,
) -> Result<(), ConnectError> {
    const VERSION: u8 = 1;
    // The lengths were checked when the setting was parsed.
    let length = |text: &str| u8::try_from(text.len()).unwrap_or(u8::MAX);
    let mut login = zeroize::Zeroizing::new(vec![VERSION, length(&user.name)]);
    login.extend(user.name.bytes().take(255));
    login.push(length(&user.password));
    login.extend(user.password.bytes().take(255));
    stream.write_all(&login).await?;
    stream.flush().await?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await?;
    match answer {
        [VERSION, 0] => Ok(()),
        _ => Err(ConnectError::Refused(ProxyFault::Login)),
    }
}
