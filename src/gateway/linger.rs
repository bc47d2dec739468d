//! Lingering close: the peer receives the last bytes before the connection is reset.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

/// How long bytes of the peer are discarded.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// The most lingering connections; further ones are closed immediately.
const MAX_LINGERING: usize = 256;

/// The size of one discarding read, in bytes.
const BUFFER: usize = 4 << 10;

/// The lingering connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Lingering {
    permits: Arc<Semaphore>,
    cut: Arc<Notify>,
}

impl Lingering {
    pub(super) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(MAX_LINGERING)), cut: Arc::default() }
    }

    /// Closes the lingering connections. Returns whether there were any.
    pub(super) async fn cut(&self) -> bool {
        if self.permits.available_permits() == MAX_LINGERING {
            return false;
        }
        self.cut.notify_waiters();
        let all = u32::try_from(MAX_LINGERING).unwrap_or(u32::MAX);
        let _ = timeout(LINGER_TIMEOUT, self.permits.acquire_many(all)).await;
        true
    }

    /// Wraps `stream`; it lingers when it is dropped.
    pub(super) fn closes(&self, stream: TcpStream) -> Closing {
        Closing { stream: Some(stream), lingering: self.clone() }
    }
}

/// A connection that, on drop, shuts down its write side and keeps reading for a while. Closing a socket with unread bytes
/// sends a reset, and a reset discards what the peer has not read yet: the refusal of a large body, or the close frame
/// after an oversized message.
#[derive(Debug)]
pub(super) struct Closing {
    /// `None` only during the drop.
    stream: Option<TcpStream>,
    lingering: Lingering,
}

impl Closing {
    /// Peeks at the next bytes and returns how much of `buffer` they fill.
    pub(super) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.stream {
            Some(stream) => stream.peek(buffer).await,
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let (Some(mut stream), Ok(runtime)) = (self.stream.take(), Handle::try_current()) else { return };
        let Ok(permit) = Arc::clone(&self.lingering.permits).try_acquire_owned() else { return };
        let cut = Arc::clone(&self.lingering.cut).notified_owned();
        runtime.spawn(async move {
            let reading_away = async {
                if stream.shutdown().await.is_ok() {
                    let mut buffer = [0; BUFFER];
                    while let Ok(1..) = stream.read(&mut buffer).await {}
                }
            };
            tokio::select! {
                _ = timeout(LINGER_TIMEOUT, reading_away) => {}
                () = cut => {}
            }
            // The file first: a free permit means that its connection is closed.
            drop(stream);
            drop(permit);
        });
    }
}

impl AsyncRead for Closing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Closing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, data)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// More than the kernel's buffers of a connection, in bytes.
    const MUCH: usize = 32 << 20;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn close_arrives_while_the_peer_sends() {
        let (mut client, server) = pair().await;
        let mut server = Lingering::new().closes(server);
        server.write_all(b"last words").await.unwrap();
        drop(server);
        client.write_all(&vec![0; MUCH]).await.unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"last words");
    }

    #[tokio::test]
    async fn lingering_is_bounded() {
        let lingering = Lingering::new();
        let (client, server) = pair().await;
        drop(lingering.closes(server));
        assert_eq!(lingering.permits.available_permits(), MAX_LINGERING - 1);
        drop(client);
        let all = u32::try_from(MAX_LINGERING).unwrap();
        let all = timeout(LINGER_TIMEOUT * 2, lingering.permits.acquire_many(all)).await.unwrap().unwrap();
        let (mut client, server) = pair().await;
        drop(lingering.closes(server));
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "closed at once");
        drop(all);
    }

    #[tokio::test]
    async fn cut_closes_lingering_connections() {
        let lingering = Lingering::new();
        assert!(!lingering.cut().await);
        let (mut client, server) = pair().await;
        drop(lingering.closes(server));
        assert!(lingering.cut().await);
        assert_eq!(lingering.permits.available_permits(), MAX_LINGERING);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}
