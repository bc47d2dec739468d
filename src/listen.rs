//! L1 · Taking TCP connections for as long as there is somebody to take them for.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// How long taking connections pauses when the system is out of files or memory.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// The next connection of `listener`, with TCP_NODELAY set. Cancel safe.
///
/// A connection that is gone before it is taken is passed over. When the system is out of files or memory it waits
/// until there are some again, with a warning in the log and a look every [`PAUSE`]: whoever asks to connect
/// meanwhile waits in the system's queue.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                return (stream, peer);
            }
            Err(error) => failed(&error).await,
        }
    }
}

/// What is done about a connection that could not be taken, for listeners of another kind.
pub(crate) async fn failed(error: &io::Error) {
    use ErrorKind as K;
    if !matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused) {
        tracing::warn!(%error, "cannot take a connection");
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_connection_is_taken_without_nagle() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = accept(&listener).await;
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn only_what_is_not_one_connections_fault_is_waited_out() {
        assert!(failed(&ErrorKind::ConnectionAborted.into()).now_or_never().is_some());
        let too_many_open_files = io::Error::from_raw_os_error(24);
        assert!(failed(&too_many_open_files).now_or_never().is_none());
    }
}
