//! Local listeners, on TCP ports and Unix sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use rustix::fs::Mode;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host};
use tokio_util::either::Either;

use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::ssh::ForwardAddress;

/// The umask for a Unix socket's file: only its owner may connect, as with ssh (StreamLocalBindMask).
const SOCKET_MASK: Mode = Mode::from_raw_mode(0o177);

/// A connection to a local listener.
pub(crate) type Local = Either<TcpStream, UnixStream>;

/// A local listener.
#[derive(Debug)]
pub(crate) enum Listener {
    /// On a TCP port.
    Tcp(TcpListener),
    /// On a Unix socket, with its file.
    Unix(UnixListener, SocketFile),
}

/// The file of a Unix socket, removed on drop.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Accepts the next connection and returns its peer. Cancel safe.
    pub(crate) async fn accept(&self) -> (Local, Option<SocketAddr>) {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = crate::listen::accept(listener).await;
                (Either::Left(stream), Some(peer))
            }
            Self::Unix(listener, _) => loop {
                match listener.accept().await {
                    Ok((stream, _)) => return (Either::Right(stream), None),
                    Err(error) => crate::listen::on_accept_error(&error).await,
                }
            },
        }
    }

    /// Returns the listening address.
    pub(crate) fn address(&self) -> ForwardAddress {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(at) => ForwardAddress::Tcp { host: at.ip().to_string(), port: at.port() },
                Err(_) => ForwardAddress::Tcp { host: String::new(), port: 0 },
            },
            Self::Unix(_, file) => ForwardAddress::Socket(file.0.display().to_string()),
        }
    }
}

/// Listens at `at`, on all its addresses; `localhost` and the empty host have one of each IP family.
///
/// # Errors When an address is in use or not permitted. An address family that the machine does not have is skipped,
/// unless none is left.
pub(crate) async fn bind(at: &ForwardAddress) -> Result<Vec<Listener>, Failure> {
    let failed = |error: &io::Error| {
        let failure = Failure::because(exit::UNAVAILABLE, format!("cannot listen on {at}"), error);
        match (error.kind(), at) {
            (io::ErrorKind::AddrInUse, ForwardAddress::Tcp { .. }) => {
                failure.with_hint("something listens there already; port 0 takes a free one")
            }
            (io::ErrorKind::AddrInUse, ForwardAddress::Socket(_)) => {
                failure.with_hint("remove the file if no program listens there any more")
            }
            (io::ErrorKind::PermissionDenied, ForwardAddress::Tcp { port: 1..1024, .. }) => {
                failure.with_hint("ports below 1024 are for root")
            }
            _ => failure,
        }
    };
    match at {
        ForwardAddress::Tcp { host, port } => bind_tcp(host, *port).await.map_err(|error| failed(&error)),
        ForwardAddress::Socket(path) => Ok(vec![bind_socket(path).map_err(|error| failed(&error))?]),
    }
}

fn bind_socket(path: &str) -> io::Result<Listener> {
    // The mask is the process's; this runs before there is anybody else to make a file.
    let before = rustix::process::umask(SOCKET_MASK);
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    Ok(Listener::Unix(bound?, SocketFile(path.into())))
}

async fn bind_tcp(host: &str, port: u16) -> io::Result<Vec<Listener>> {
    let addresses: Vec<SocketAddr> = match host {
        "localhost" => vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()],
        // The first accepts IPv4 as well, unless the machine is configured otherwise.
        "" => vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()],
        host => lookup_host((host, port)).await?.collect(),
    };
    let (mut bound, mut missing) = (Vec::new(), None);
    for address in addresses {
        match TcpListener::bind(address).await {
            Ok(listener) => bound.push(Listener::Tcp(listener)),
            Err(error) if is_missing(&error) => missing = Some(error),
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && host.is_empty() && !bound.is_empty() => {}
            Err(error) => return Err(error),
        }
        // A free port is free on one address only.
        if port == 0 && !bound.is_empty() {
            break;
        }
    }
    if bound.is_empty() {
        return Err(missing.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
    }
    Ok(bound)
}

/// Returns whether the machine lacks the address or its family.
fn is_missing(error: &io::Error) -> bool {
    let family = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> ForwardAddress {
        ForwardAddress::Tcp { host: host.into(), port }
    }

    #[tokio::test]
    async fn port_in_use_by_one_family_fails() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1", ""] {
            let failure = bind(&tcp(host, port)).await.unwrap_err();
            assert_eq!(failure.code(), exit::UNAVAILABLE);
            assert!(failure.render().contains("port 0 takes a free one"), "{}", failure.render());
        }
        drop(taken);
        let bound = bind(&tcp("localhost", port)).await.unwrap();
        assert!(bound.iter().all(|listener| listener.address() != tcp("localhost", 0)));
        assert_eq!(bound[0].address(), tcp("127.0.0.1", port));
    }

    #[tokio::test]
    async fn socket_is_private_and_removed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let at = ForwardAddress::Socket(path.display().to_string());
        let bound = bind(&at).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(bind(&at).await.unwrap_err().render().contains("remove the file"));
        drop(bound);
        assert!(!path.exists());
    }
}
