//! The TCP connection of a tunnel, either direct or slowed down.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::emulator::faults::Faults;

/// The most bytes of one piece in flight.
const PIECE: usize = 16 * 1024;
/// The most pieces in flight in one direction.
const PIECES: usize = 256;
/// How long the peer has to close after our end.
const LINGER: Duration = Duration::from_secs(1);

/// The delay and bandwidth of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    latency: Duration,
    jitter_ms: u64,
    rate: Option<u64>,
}

impl Shape {
    fn of(faults: &Faults) -> Option<Self> {
        let shape = Self {
            latency: Duration::from_millis(faults.latency_ms),
            jitter_ms: faults.jitter_ms,
            rate: faults.rate.filter(|rate| *rate > 0),
        };
        (!shape.latency.is_zero() || shape.jitter_ms > 0 || shape.rate.is_some()).then_some(shape)
    }
}

/// The TCP connection of a tunnel.
#[derive(Debug)]
pub(super) enum ShapedStream {
    Direct(TcpStream),
    Shaped {
        near: DuplexStream,
        /// Whether it ends with a reset.
        resets: Arc<AtomicBool>,
    },
}

impl ShapedStream {
    /// Returns the connection `stream`, slowed down according to `faults`.
    pub(super) fn new(
        stream: TcpStream,
        faults: &Faults,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Self {
        let Some(shape) = Shape::of(faults) else { return Self::Direct(stream) };
        let (near, far) = tokio::io::duplex(PIECE);
        let resets = Arc::new(AtomicBool::new(false));
        let (is_reset, stop) = (Arc::clone(&resets), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = relay(stream, far, shape, &is_reset) => {}
                () = stop.cancelled() => {}
            }
        });
        Self::Shaped { near, resets }
    }

    /// Ends the connection with a TCP RST.
    pub(super) fn reset(self) {
        match self {
            Self::Direct(stream) => {
                let _ = stream.set_zero_linger();
            }
            Self::Shaped { resets, .. } => resets.store(true, Ordering::Release),
        }
    }

    /// Ends the connection with a TCP FIN. Data from the peer is read for a while, because an unread byte would
    /// turn the FIN into a RST.
    pub(super) async fn finish(mut self) {
        let _ = self.shutdown().await;
        self.drain().await;
    }

    /// Reads until the peer's end, for a bounded time.
    pub(super) async fn drain(mut self) {
        let reading = async {
            let mut rest = [0_u8; 4096];
            while self.read(&mut rest).await.is_ok_and(|count| count > 0) {}
        };
        let _ = timeout(LINGER, reading).await;
    }
}

/// Copies both directions until both have ended, or one is reset.
async fn relay(mut stream: TcpStream, far: DuplexStream, shape: Shape, resets: &AtomicBool) {
    let (mut from_far, mut to_far) = tokio::io::split(far);
    {
        let (mut from_peer, mut to_peer) = stream.split();
        let up = delay(&mut from_peer, &mut to_far, shape);
        let down = delay(&mut from_far, &mut to_peer, shape);
        tokio::pin!(up, down);
        tokio::select! {
            () = &mut down => if !resets.load(Ordering::Acquire) {
                let _ = timeout(LINGER, up).await;
            },
            () = &mut up => down.await,
        }
    }
    if resets.load(Ordering::Acquire) {
        let _ = stream.set_zero_linger();
    }
}

/// Copies one direction, each piece after its delay and all of them in order.
async fn delay<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(from: &mut R, to: &mut W, shape: Shape) {
    let (send, mut receive) = mpsc::channel::<(Instant, Bytes)>(PIECES);
    let read = async move {
        let mut last = Instant::now();
        loop {
            let mut buffer = BytesMut::with_capacity(PIECE);
            if !from.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
                return;
            }
            let jitter = Duration::from_millis(rand::random_range(0..=shape.jitter_ms));
            last = last.max(Instant::now() + shape.latency + jitter);
            if send.send((last, buffer.freeze())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        let mut free = Instant::now();
        while let Some((due, piece)) = receive.recv().await {
            sleep_until(due.max(free)).await;
            if let Some(rate) = shape.rate {
                let micros = u64::try_from(piece.len()).unwrap_or(u64::MAX).saturating_mul(1_000_000) / rate;
                free = free.max(Instant::now()) + Duration::from_micros(micros);
            }
            if to.write_all(&piece).await.is_err() || to.flush().await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

impl AsyncRead for ShapedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Direct(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Shaped { near, .. } => Pin::new(near).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ShapedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Direct(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Shaped { near, .. } => Pin::new(near).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Direct(stream) => Pin::new(stream).poll_flush(cx),
            Self::Shaped { near, .. } => Pin::new(near).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Direct(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Shaped { near, .. } => Pin::new(near).poll_shutdown(cx),
        }
    }
}
