//! The stream under a connection: scanned for the server's identification, and cut when the connection is dropped.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use russh::keys::PublicKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::config::WhyClosed;
use crate::model::Stage;

/// How much of the data before a peer's identification is kept, in bytes.
const MAX_SAID: usize = 512;

/// The state shared by the parts of one connection.
pub(super) struct Transport {
    /// Cancelled when the server's identification has been read.
    pub(super) identified: CancellationToken,
    /// Cancelled when this side cut the connection.
    pub(super) cut: CancellationToken,
    /// Cancelled when the SSH implementation's task has ended and the stream is dropped.
    pub(super) gone: CancellationToken,
    /// Notified when bytes from the server were read.
    pub(super) arrived: Notify,
    /// The host key that the server has proved to hold.
    pub(super) offered: Mutex<Option<PublicKey>>,
    /// How the connection ended, according to the SSH implementation or the server's disconnect message.
    ending: OnceLock<String>,
    said: Mutex<Vec<u8>>,
    why_closed: Option<WhyClosed>,
    is_cut: AtomicBool,
    /// The number of forwarded connections whose reader stalls the connection.
    stalled: AtomicUsize,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Transport {
    pub(super) fn new(why_closed: Option<WhyClosed>) -> Arc<Self> {
        Arc::new(Self {
            identified: CancellationToken::new(),
            cut: CancellationToken::new(),
            gone: CancellationToken::new(),
            arrived: Notify::new(),
            offered: Mutex::default(),
            ending: OnceLock::new(),
            said: Mutex::default(),
            why_closed,
            is_cut: AtomicBool::new(false),
            stalled: AtomicUsize::new(0),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        })
    }

    /// Cuts the stream: reads and writes fail from now on, which ends the SSH implementation's task.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.cut.cancel();
        self.reader.wake();
        self.writer.wake();
    }

    /// Marks the connection as stalled by a reader until the guard is dropped.
    pub(super) fn stall(&self) -> Stalled<'_> {
        self.stalled.fetch_add(1, Ordering::Relaxed);
        Stalled(self)
    }

    /// Returns whether a reader stalls the connection.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed) > 0
    }

    /// Records why the connection ended; the first reason is kept.
    pub(super) fn ended(&self, reason: String) {
        let _ = self.ending.set(reason);
    }

    /// Returns why the connection ended. The transport's reason takes precedence over the SSH implementation's.
    pub(super) fn reason(&self) -> Option<String> {
        self.why_closed.as_ref().and_then(|why| why()).or_else(|| self.ending.get().cloned())
    }

    /// Returns what the peer sent before its identification, if anything.
    pub(super) fn said(&self) -> Option<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&said).trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// Returns the error of a terminal or a request whose connection was closed.
    pub(super) fn broken(&self) -> io::Error {
        let text = match self.reason() {
            Some(reason) => format!("the SSH connection was closed ({reason})"),
            None => "the SSH connection was closed".to_owned(),
        };
        io::Error::new(io::ErrorKind::ConnectionReset, text)
    }

    /// Converts an error: an ended connection is distinguished from a protocol violation.
    pub(super) fn error(&self, stage: Stage, error: russh::Error) -> Error {
        match error {
            russh::Error::Disconnect
            | russh::Error::HUP
            | russh::Error::SendError
            | russh::Error::RecvError
            | russh::Error::IO(_) => {
                if let russh::Error::IO(error) = &error {
                    self.ended(error.to_string());
                }
                Error::Closed { stage, reason: self.reason(), said: None }
            }
            error => Error::Protocol { stage, source: error.into() },
        }
    }

    /// Scans the first bytes of the server for its identification (RFC 4253, section 4.2).
    fn observe(&self, bytes: &[u8]) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_SAID.saturating_sub(said.len());
        said.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let mut start = 0;
        while let Some(length) = said[start..].iter().position(|&byte| byte == b'\n') {
            if said[start..].starts_with(b"SSH-") {
                said.truncate(start);
                self.identified.cancel();
                return;
            }
            start += length + 1;
        }
    }
}

/// Marks a connection as stalled until it is dropped.
pub(super) struct Stalled<'a>(&'a Transport);

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        self.0.stalled.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that [`Transport::cut`] ends, even if its peer does nothing.
pub(super) struct MonitoredStream<S> {
    stream: S,
    transport: Arc<Transport>,
    is_identified: bool,
}

impl<S> MonitoredStream<S> {
    pub(super) fn new(stream: S, transport: Arc<Transport>) -> Self {
        Self { stream, transport, is_identified: false }
    }

    fn check_cut(&self) -> io::Result<()> {
        if self.transport.is_cut.load(Ordering::Acquire) {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut by this side"));
        }
        Ok(())
    }
}

impl<S> Drop for MonitoredStream<S> {
    fn drop(&mut self) {
        self.transport.gone.cancel();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MonitoredStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.transport.reader.register(cx.waker());
        self.check_cut()?;
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() {
            self.transport.arrived.notify_waiters();
        }
        if !self.is_identified && polled.is_ready() {
            self.transport.observe(&buf.filled()[before..]);
            self.is_identified = self.transport.identified.is_cancelled();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MonitoredStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.transport.writer.register(cx.waker());
        self.check_cut()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.writer.register(cx.waker());
        self.check_cut()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.writer.register(cx.waker());
        self.check_cut()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Cuts the stream when the connection's owner is dropped.
pub(super) struct CutOnDrop(pub(super) Arc<Transport>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut();
    }
}
