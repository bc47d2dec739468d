//! Detects a peer that accepts no data.
//!
//! Such a peer, which may be long gone, holds its connection and the queued output. The kernel knows whether data was
//! accepted (`TCP_USER_TIMEOUT`, RFC 5482): if nothing sent was acknowledged, or the peer's window stayed closed, for that
//! long, the connection fails. A slow peer accepts data now and then and is left alone, and so is one without pending data.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

/// Fails `stream` when its peer accepts no pending data for `timeout`. Does nothing on systems without such a limit.
pub(super) fn end_within(stream: &TcpStream, timeout: Duration) {
    // Zero would be the system default, about 15 minutes.
    let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1);
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, millis) {
        tracing::debug!(%error, "no TCP_USER_TIMEOUT");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, millis);
}

/// Returns whether `error` is that timeout.
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
