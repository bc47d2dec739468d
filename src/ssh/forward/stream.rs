//! A forwarded connection as a byte stream.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard, ReusableBoxFuture};

use crate::ssh::channel_state::Requests;
use crate::ssh::transport::Transport;

/// Messages that wait for the reader of a forwarded connection, each at most one packet: 2 MiB of 32 KiB each.
const CHUNK_QUEUE: usize = 64;

/// The maximum size of a write, in bytes.
const MAX_WRITE: usize = 64 * 1024;

/// How long the server may take to close a channel that has ended in both directions before we close it. It does so
/// on its own, and a channel that we close first stays in the implementation's tables until the connection ends.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// A forwarded connection: a byte stream with half-close (RFC 4254, section 5.3).
///
/// The end of reading means that the peer has finished sending; a broken connection is an error, never a clean end.
/// Shutting down writing sends an end of file and leaves reading open. Dropping the stream closes it: unsent data is
/// lost unless it was flushed.
pub struct ForwardStream {
    chunks: mpsc::Receiver<Bytes>,
    unread: Bytes,
    sending: ReusableBoxFuture<'static, io::Result<()>>,
    is_sending: bool,
    requests: Arc<Requests>,
    state: Arc<StreamState>,
    transport: Arc<Transport>,
    _hold: DropGuard,
}

/// The state shared by the stream and its task.
#[derive(Default)]
struct StreamState {
    /// Cancelled to close the channel.
    closing: CancellationToken,
    /// Cancelled when the server closed the channel.
    closed: CancellationToken,
    /// The server has sent its end of file.
    is_read: AtomicBool,
    /// We have sent our end of file.
    is_written: AtomicBool,
}

impl ForwardStream {
    pub(super) fn start(channel: Channel<Msg>, transport: Arc<Transport>) -> Self {
        let (read, write) = channel.split();
        let requests = Arc::new(write);
        let state = Arc::new(StreamState::default());
        let (send, chunks) = mpsc::channel(CHUNK_QUEUE);
        let reader = ForwardTask {
            read,
            requests: Arc::clone(&requests),
            state: Arc::clone(&state),
            transport: Arc::clone(&transport),
        };
        tokio::spawn(reader.run(send));
        Self {
            chunks,
            unread: Bytes::new(),
            sending: ReusableBoxFuture::new(std::future::ready(Ok(()))),
            is_sending: false,
            requests,
            _hold: state.closing.clone().drop_guard(),
            state,
            transport,
        }
    }

    /// Resolves when the server has closed both directions: received data can still be read, but nothing can be
    /// written.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let (closed, gone) = (self.state.closed.clone(), self.transport.gone.clone());
        async move {
            tokio::select! {
                () = closed.cancelled() => {}
                () = gone.cancelled() => {}
            }
        }
    }

    fn start_sending(&mut self, data: Option<Bytes>) {
        let send =
            send(Arc::clone(&self.requests), Arc::clone(&self.state), Arc::clone(&self.transport), data);
        self.sending.set(send);
        self.is_sending = true;
    }

    /// Waits until the previous write is sent.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_sending {
            return Poll::Ready(Ok(()));
        }
        let sent = ready!(self.sending.poll(cx));
        self.is_sending = false;
        Poll::Ready(sent)
    }
}

/// Sends `data`, or the end of file, within the server's window, unless the channel closes first.
async fn send(
    requests: Arc<Requests>,
    state: Arc<StreamState>,
    transport: Arc<Transport>,
    data: Option<Bytes>,
) -> io::Result<()> {
    let is_end = data.is_none();
    let request = async {
        match data {
            Some(data) => requests.data_bytes(data).await,
            None => requests.eof().await,
        }
    };
    tokio::select! {
        biased;
        () = state.closed.cancelled() => {
            if is_end { Ok(()) } else { Err(io::Error::new(io::ErrorKind::BrokenPipe, "the remote closed the connection")) }
        }
        () = transport.gone.cancelled() => Err(transport.broken()),
        sent = request => sent.map_err(|_| transport.broken()),
    }
}

impl AsyncRead for ForwardStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(self.chunks.poll_recv(cx)) {
                Some(chunk) => self.unread = chunk,
                None if self.state.is_read.load(Ordering::Acquire) => return Poll::Ready(Ok(())),
                None => return Poll::Ready(Err(self.transport.broken())),
            }
        }
        let count = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..count]);
        self.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ForwardStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_sent(cx))?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let count = buf.len().min(MAX_WRITE);
        self.start_sending(Some(Bytes::copy_from_slice(&buf[..count])));
        // The data is accepted even if it cannot be sent at once; the next write or flush waits for it.
        match self.poll_sent(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_sent(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_sent(cx))?;
        if !self.state.is_written.swap(true, Ordering::AcqRel) {
            self.start_sending(None);
        }
        self.poll_sent(cx)
    }
}

impl fmt::Debug for ForwardStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardStream").finish_non_exhaustive()
    }
}

/// The task of a forwarded connection, which always reads its channel.
struct ForwardTask {
    read: ChannelReadHalf,
    requests: Arc<Requests>,
    state: Arc<StreamState>,
    transport: Arc<Transport>,
}

impl ForwardTask {
    async fn run(mut self, chunks: mpsc::Sender<Bytes>) {
        let state = Arc::clone(&self.state);
        let mut chunks = Some(chunks);
        let is_over = tokio::select! {
            biased;
            () = state.closing.cancelled() => false,
            () = self.take_all(&mut chunks) => true,
        };
        if !is_over {
            self.close().await;
        }
    }

    /// Passes on data until the channel is closed or the connection is gone.
    async fn take_all(&mut self, chunks: &mut Option<mpsc::Sender<Bytes>>) {
        while let Some(message) = self.read.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    if let Some(open) = chunks.as_ref()
                        && !self.pass(open, data).await
                    {
                        // Without the end-of-file mark, so that the reader gets an error.
                        chunks.take();
                    }
                }
                ChannelMsg::Eof => self.end_reading(chunks),
                ChannelMsg::Close => {
                    self.end_reading(chunks);
                    self.state.closed.cancel();
                    return;
                }
                _ => {}
            }
        }
    }

    fn end_reading(&self, chunks: &mut Option<mpsc::Sender<Bytes>>) {
        if chunks.is_some() {
            self.state.is_read.store(true, Ordering::Release);
        }
        chunks.take();
    }

    /// Returns whether `data` was passed on: false if the connection was cut or the stream dropped.
    async fn pass(&self, chunks: &mpsc::Sender<Bytes>, data: Bytes) -> bool {
        let data = match chunks.try_send(data) {
            Ok(()) => return true,
            Err(mpsc::error::TrySendError::Closed(_)) => return false,
            Err(mpsc::error::TrySendError::Full(data)) => data,
        };
        let _stalled = self.transport.stall();
        tokio::select! {
            sent = chunks.send(data) => sent.is_ok(),
            // The implementation waits for this task and would not notice that its stream is cut.
            () = self.transport.cut.cancelled() => false,
        }
    }

    /// Closes the channel of a dropped stream.
    async fn close(mut self) {
        let has_ended =
            self.state.is_read.load(Ordering::Acquire) && self.state.is_written.load(Ordering::Acquire);
        let gone = self.transport.gone.clone();
        let work = async {
            if has_ended && tokio::time::timeout(CLOSE_GRACE, self.take_all(&mut None)).await.is_ok() {
                return;
            }
            let _ = self.requests.close().await;
        };
        tokio::select! {
            () = work => {}
            () = gone.cancelled() => {}
        }
    }
}
