//! TCP to the first address that answers (RFC 8305, simplified: both families in turn, a new attempt every 250 ms).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::sleep;

use super::error::Error;

/// How long an attempt runs before the next address is tried concurrently (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// The maximum number of addresses tried for one name.
const MAX_ADDRESSES: usize = 16;

/// Resolves `host` and connects, with TCP_NODELAY set.
///
/// # Errors
/// [`Error::Resolve`], or [`Error::Connect`] with the last address's reason. The caller sets the timeout.
pub(super) async fn connect(host: &str, port: u16) -> Result<TcpStream, Error> {
    let resolve = |source| Error::Resolve { host: host.to_owned(), source };
    let addresses: Vec<_> = lookup_host((host, port)).await.map_err(resolve)?.collect();
    if addresses.is_empty() {
        return Err(resolve(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
    }
    let failed = |source| Error::Connect { host: host.to_owned(), port, source };
    let stream = race(interleave(addresses)).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

/// Alternates the families, starting with that of the resolver's first address.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let starts_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|a| a.is_ipv6() == starts_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut out = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] || out.len() >= MAX_ADDRESSES {
            out.truncate(MAX_ADDRESSES);
            return out;
        }
        out.extend(pair.into_iter().flatten());
    }
}

/// Returns the first connection that succeeds; the others are dropped.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut running = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "there is no address to try");
    if let Some(address) = waiting.next() {
        running.push(TcpStream::connect(address));
    }
    while !running.is_empty() {
        let next = tokio::select! {
            Some(result) = running.next() => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    last = error;
                    waiting.next()
                }
            },
            () = sleep(ATTEMPT_DELAY), if waiting.len() > 0 => waiting.next(),
        };
        if let Some(address) = next {
            running.push(TcpStream::connect(address));
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn address_families_alternate() {
        let parse = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<SocketAddr>>();
        assert_eq!(
            interleave(parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1"])),
            parse(&["[::1]:1", "1.0.0.1:1", "[::2]:1", "[::3]:1"])
        );
        let many: Vec<_> = (0..100).map(|n| SocketAddr::from(([10, 0, 0, n], 1))).collect();
        assert_eq!(interleave(many).len(), MAX_ADDRESSES);
    }

    #[tokio::test]
    async fn dead_address_does_not_block_a_live_one() {
        let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = listener.local_addr().unwrap();
        assert_eq!(race(vec![dead, live]).await.unwrap().peer_addr().unwrap(), live);
        assert_eq!(race(vec![dead]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn nagle_is_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(connect("localhost", port).await.unwrap().nodelay().unwrap());
    }

    #[tokio::test]
    async fn unknown_name_differs_from_closed_port() {
        let error = connect("no-such-host.invalid", 1).await.unwrap_err();
        assert!(matches!(error, Error::Resolve { .. }), "{error:?}");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = connect("127.0.0.1", port).await.unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    }
}
