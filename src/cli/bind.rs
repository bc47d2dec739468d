//! Listening addresses: an address, or a name with several.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use futures_util::future::select_all;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream, lookup_host};

use super::exit;
use super::failure::Failure;
use crate::listen::accept;

/// The most addresses of a name to listen on.
const MAX_ADDRESSES: usize = 8;

/// How long a connection may be silent before TCP keepalive probes start.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// The interval between keepalive probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How many unanswered probes end the connection.
const KEEPALIVE_TRIES: u32 = 3;

/// `HOST:PORT` to listen on: an address (an IPv6 one in brackets) or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddr {
    host: String,
    port: u16,
}

impl FromStr for ListenAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || "it must be HOST:PORT, such as localhost:2222, 127.0.0.1:0 or [::1]:2222".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
        let port = port.parse().map_err(|_| refuse())?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(refuse)?,
            // An IPv6 address without brackets is ambiguous.
            None if host.contains(':') => return Err(refuse()),
            None => host,
        };
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(refuse());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl ListenAddr {
    /// Listens on every address of the name, as ssh does for `localhost`, on one port. An address family that this
    /// machine does not have is skipped.
    pub(crate) async fn bind(&self) -> Result<Listeners, Failure> {
        let (host, port) = (self.host.as_str(), self.port);
        let failed = |error: &io::Error| {
            let failure =
                Failure::because(exit::UNAVAILABLE, format!("cannot listen on {host}:{port}"), error);
            match error.kind() {
                ErrorKind::AddrInUse => failure.with_hint("port 0 takes a free one"),
                _ => failure,
            }
        };
        let found = lookup_host((host, port)).await.map_err(|error| failed(&error))?;
        let mut addresses: Vec<_> = found.take(MAX_ADDRESSES).collect();
        // IPv4 first: it is the address that is printed, and the one that most programs try.
        addresses.sort_by_key(|address| address.is_ipv6());
        addresses.dedup();
        let (mut open, mut port, mut missing) = (Vec::new(), port, None);
        for mut address in addresses {
            address.set_port(port);
            let bound = async {
                let listener = TcpListener::bind(address).await?;
                let address = listener.local_addr()?;
                Ok::<_, io::Error>((listener, address))
            };
            match bound.await {
                Ok((listener, address)) => {
                    port = address.port();
                    open.push((listener, address));
                }
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => missing = Some(error),
                Err(error) => return Err(failed(&error)),
            }
        }
        match (open.is_empty(), missing) {
            (false, _) => Ok(Listeners(open)),
            (true, Some(error)) => Err(failed(&error)),
            (true, None) => Err(failed(&ErrorKind::NotFound.into())),
        }
    }
}

/// Listeners on one or more addresses.
#[derive(Debug)]
pub(crate) struct Listeners(Vec<(TcpListener, SocketAddr)>);

impl Listeners {
    /// Returns the listening addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().map(|(_, address)| *address)
    }

    /// Returns the address to print.
    pub(crate) fn first(&self) -> SocketAddr {
        self.addresses().next().unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// Accepts the next connection. If its peer disappears, the connection ends within a minute. Cancel safe.
    pub(crate) async fn accept(&self) -> (TcpStream, SocketAddr) {
        let ((stream, peer), ..) =
            select_all(self.0.iter().map(|(listener, _)| Box::pin(accept(listener)))).await;
        if let Err(error) = keep_alive(&stream) {
            tracing::debug!(%error, "no TCP keepalive");
        }
        (stream, peer)
    }
}

fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_TRIES)?;
    Ok(sockopt::set_socket_keepalive(stream, true)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_address_needs_port() {
        let parsed = |text: &str| text.parse::<ListenAddr>().map(|it| (it.host, it.port));
        assert_eq!(parsed("localhost:0"), Ok(("localhost".into(), 0)));
        assert_eq!(parsed("127.0.0.1:65535"), Ok(("127.0.0.1".into(), 65535)));
        assert_eq!(parsed("[::1]:2222"), Ok(("::1".into(), 2222)));
        for bad in ["", "localhost", ":22", "2222", "::1:22", "[::1:22", "[]:1", "a b:1", "a:65536", "a:x"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn name_listens_on_all_addresses() {
        let listeners = "localhost:0".parse::<ListenAddr>().unwrap().bind().await.unwrap();
        let port = listeners.first().port();
        assert_ne!(port, 0);
        for address in listeners.addresses().collect::<Vec<_>>() {
            assert_eq!(address.port(), port);
            let client = TcpStream::connect(address).await.unwrap();
            let (stream, peer) = listeners.accept().await;
            assert_eq!(peer, client.local_addr().unwrap());
            assert!(sockopt::socket_keepalive(&stream).unwrap(), "a peer that vanishes is noticed");
            assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), KEEPALIVE_IDLE);
        }
        let taken = format!("127.0.0.1:{port}").parse::<ListenAddr>().unwrap();
        let failure = taken.bind().await.unwrap_err();
        assert!(failure.render().contains("port 0"), "{}", failure.render());
        let unknown = "no-such-host.invalid:0".parse::<ListenAddr>().unwrap();
        assert_eq!(unknown.bind().await.unwrap_err().code(), exit::UNAVAILABLE);
    }
}
