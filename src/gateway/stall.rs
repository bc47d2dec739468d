//! A peer that takes nothing, though there is something for it.
//!
//! Such a peer holds a connection, and what waits for it, for as long as it likes: it need not even be there any more.
//! The kernel knows best whether anything was taken, so it is the one that is asked (`TCP_USER_TIMEOUT`, RFC 5482):
//! nothing acknowledged of what was sent, or no room at the peer for what waits, for so long, and the connection is
//! over. A slow peer takes something now and then, and is left alone; so is one that there is nothing for.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

/// Has `stream` end when its peer takes nothing for so long, of what there is for it. Where the system has no such
/// bound, there is none.
pub(super) fn end_within(stream: &TcpStream, timeout: Duration) {
    // Zero would be the system's own, about a quarter of an hour.
    let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1);
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, millis) {
        tracing::debug!(%error, "no TCP_USER_TIMEOUT");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, millis);
}

/// Whether that is what `error` says.
pub(super) fn is_stall(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn stalled_peer_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _deaf = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        end_within(&stream, Duration::from_millis(300));
        let saying = async {
            loop {
                if let Err(error) = stream.write_all(&[0; 64 << 10]).await {
                    return error;
                }
            }
        };
        let error = timeout(Duration::from_secs(60), saying).await.expect("it ends");
        assert!(is_stall(&error), "{error}");
    }
}
