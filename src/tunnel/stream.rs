//! An open tunnel as a byte stream: the only place that drives [`eice_proto::tunnel`].

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use eice_proto::tunnel::{CloseReason, Event, Frame, Opcode, ProtocolError, Tunnel as Machine};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as WsError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};

use super::lower::Lower;
use super::status::{StatusSetter, TunnelStatus, status};

/// The maximum length of a received message, in bytes; it is buffered whole. The service's limit is not known;
/// aws-cli's frames have at most 65,000 bytes.
pub const MAX_MESSAGE: usize = 16 << 20;
/// The read buffer of each tunnel, in bytes.
const READ_BUFFER: usize = 64 << 10;
/// How much is buffered before it is written to the socket without a flush, in bytes.
const WRITE_BUFFER: usize = 64 << 10;
/// The limit of bytes waiting for the socket.
const MAX_WRITE_BUFFER: usize = 1 << 20;

pub(super) type Socket = WebSocketStream<TlsStream<Lower>>;

/// Returns the limits of the frame codec.
pub(super) fn codec_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

/// An open tunnel: a byte stream to the port on the instance.
///
/// A clean end reads as the end of the stream. Any other end is an error whose inner value is the
/// [`CloseReason`]; [`Tunnel::status`] reports it too.
///
/// The protocol has no half-close: [`shutdown`](AsyncWrite::poll_shutdown) ends both directions and discards what
/// the peer still sends. Keepalive pings are sent while the tunnel is being read.
pub struct Tunnel {
    socket: Socket,
    machine: Machine,
    request_id: Option<String>,
    /// Received bytes that were not read yet.
    incoming: Bytes,
    /// A frame that waits for space in the codec.
    outgoing: Option<Message>,
    is_flushed: bool,
    /// Writing has failed; the reader will find the reason.
    is_write_broken: bool,
    end: Option<CloseReason>,
    shutdown_deadline: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    timer_at: Option<Instant>,
    /// The task that waits to write. While it is set, the reader leaves the socket's write side to it.
    writer: Option<Waker>,
    setter: StatusSetter,
    status: TunnelStatus,
}

impl Tunnel {
    pub(super) fn new(socket: Socket, machine: Machine, request_id: Option<String>) -> Self {
        let (setter, status) = status();
        Self {
            socket,
            machine,
            request_id,
            incoming: Bytes::new(),
            outgoing: None,
            is_flushed: true,
            is_write_broken: false,
            end: None,
            shutdown_deadline: None,
            timer: Box::pin(sleep_until(tokio::time::Instant::now())),
            timer_at: None,
            writer: None,
            setter,
            status,
        }
    }

    /// Returns the request id of the upgrade's response, which identifies the tunnel in CloudTrail.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Returns a handle that reports why the tunnel ended, once it has.
    #[must_use]
    pub fn status(&self) -> TunnelStatus {
        self.status.clone()
    }

    /// Takes the state machine's events up to the next data.
    fn take_events(&mut self) {
        while self.incoming.is_empty() {
            match self.machine.poll_event() {
                Some(Event::Data(bytes)) => self.incoming = bytes,
                Some(Event::Closed(reason)) => self.finish(reason),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn finish(&mut self, reason: CloseReason) {
        self.setter.end(&reason);
        self.end.get_or_insert(reason);
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Calls the state machine when its timer is due. Registers `cx` if it is not.
    fn poll_timer(&mut self, cx: &mut Context<'_>) {
        loop {
            let due = [self.machine.poll_timeout(), self.shutdown_deadline].into_iter().flatten().min();
            let Some(due) = due else { return };
            if self.timer_at != Some(due) {
                self.timer.as_mut().reset(due.into());
                self.timer_at = Some(due);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return;
            }
            self.timer_at = None;
            self.machine.handle_timeout(Instant::now());
            if self.shutdown_deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return;
            }
        }
    }

    /// Passes the state machine's frames to the codec. Ready when none are left.
    fn poll_transmit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.outgoing.is_none() {
                self.outgoing = self.machine.poll_transmit().map(message);
            }
            if self.outgoing.is_none() || self.is_write_broken {
                self.outgoing = None;
                return Poll::Ready(());
            }
            let sent = match ready!(Pin::new(&mut self.socket).poll_ready(cx)) {
                Ok(()) => match self.outgoing.take() {
                    Some(message) => Pin::new(&mut self.socket).start_send(message),
                    None => Ok(()),
                },
                Err(error) => Err(error),
            };
            match sent {
                Ok(()) => self.is_flushed = false,
                // The codec answers a peer's CLOSE itself, so ours may come too late. If the socket broke, the reader
                // reports why: the peer's last bytes may still be in its buffer.
                Err(_) => self.is_write_broken = true,
            }
        }
    }

    /// Passes on all frames and waits until they are written.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_transmit(cx));
        if !self.is_flushed && !self.is_write_broken {
            if ready!(Pin::new(&mut self.socket).poll_flush(cx)).is_err() {
                self.is_write_broken = true;
            }
            self.is_flushed = true;
        }
        Poll::Ready(())
    }

    /// Reads from the socket. Ready when the state machine received something.
    fn poll_socket(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let received = ready!(Pin::new(&mut self.socket).poll_next(cx));
        let now = Instant::now();
        match received {
            Some(Ok(message)) => {
                if let Some(frame) = frame(message) {
                    self.machine.handle_frame(frame, now);
                }
            }
            Some(Err(WsError::Capacity(CapacityError::MessageTooLong { .. }))) => {
                self.machine.handle_violation(ProtocolError::TooLong { limit: MAX_MESSAGE });
            }
            Some(Err(WsError::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            ))) => self.machine.handle_eof(now),
            Some(Err(WsError::Protocol(_) | WsError::Utf8(_))) => {
                self.machine.handle_violation(ProtocolError::Malformed);
            }
            Some(Err(_)) | None => self.machine.handle_eof(now),
        }
        Poll::Ready(())
    }

    /// Returns the error for writing to a closed tunnel.
    fn write_error(&self) -> io::Error {
        match &self.end {
            Some(reason) => io::Error::new(io::ErrorKind::BrokenPipe, reason.clone()),
            None => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.incoming.is_empty() {
                this.take_events();
            }
            if !this.incoming.is_empty() {
                let n = this.incoming.len().min(buf.remaining());
                buf.put_slice(this.incoming.get(..n).unwrap_or_default());
                this.incoming.advance(n);
                return Poll::Ready(Ok(()));
            }
            if let Some(reason) = &this.end {
                let result = if reason.is_clean() { Ok(()) } else { Err(read_error(reason)) };
                // The answer to a CLOSE is sent if the socket accepts it now; nothing waits for it.
                let _ = this.poll_drain(cx);
                return Poll::Ready(result);
            }
            this.poll_timer(cx);
            if this.writer.is_none() {
                // Pings, pongs and unflushed writes.
                let _ = this.poll_drain(cx);
            }
            if this.machine.is_closed() {
                continue;
            }
            ready!(this.poll_socket(cx));
        }
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            if this.end.is_some() || this.machine.is_closed() || this.is_write_broken {
                return Poll::Ready(Err(this.write_error()));
            }
            let room = this.machine.capacity().min(buf.len());
            if room > 0 {
                this.writer = None;
                let mut data = Bytes::copy_from_slice(buf.get(..room).unwrap_or_default());
                return match this.machine.send(&mut data) {
                    Ok(sent) => Poll::Ready(Ok(sent)),
                    Err(_) => Poll::Ready(Err(this.write_error())),
                };
            }
            if this.poll_transmit(cx).is_pending() {
                this.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.poll_drain(cx).is_pending() {
            this.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        this.writer = None;
        if this.is_write_broken && this.end.as_ref().is_none_or(|reason| !reason.is_clean()) {
            return Poll::Ready(Err(this.write_error()));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let now = Instant::now();
        if this.shutdown_deadline.is_none() {
            this.machine.close(now);
            this.shutdown_deadline = Some(now + eice_proto::tunnel::CLOSE_TIMEOUT);
        }
        this.poll_timer(cx);
        let is_over = this.shutdown_deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if !is_over {
            ready!(this.poll_drain(cx));
            // A peer that is already gone is not an error here.
            let _ = ready!(Pin::new(this.socket.get_mut()).poll_shutdown(cx));
        }
        this.writer = None;
        let reason = this.machine.close_reason().cloned().unwrap_or(CloseReason::Local);
        this.finish(reason);
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("request_id", &self.request_id)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

fn read_error(reason: &CloseReason) -> io::Error {
    let kind = match reason {
        CloseReason::Eof => io::ErrorKind::UnexpectedEof,
        CloseReason::PeerSilent { .. } | CloseReason::DurationReached { .. } => io::ErrorKind::TimedOut,
        CloseReason::Protocol(_) => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, reason.clone())
}

/// Converts a frame for the codec. The state machine never fragments.
fn message(frame: Frame) -> Message {
    match frame.opcode {
        Opcode::Ping => Message::Ping(frame.payload),
        Opcode::Pong => Message::Pong(frame.payload),
        Opcode::Close => Message::Close(close_frame(&frame.payload)),
        _ => Message::Binary(frame.payload),
    }
}

fn close_frame(payload: &[u8]) -> Option<CloseFrame> {
    let (code, reason) = payload.split_first_chunk::<2>()?;
    let reason = String::from_utf8_lossy(reason).into_owned().into();
    Some(CloseFrame { code: u16::from_be_bytes(*code).into(), reason })
}

/// Converts a message for the state machine. The codec has assembled the fragments.
fn frame(message: Message) -> Option<Frame> {
    Some(match message {
        Message::Binary(bytes) => Frame::new(Opcode::Binary, bytes),
        Message::Text(text) => Frame::new(Opcode::Text, Bytes::from(text)),
        Message::Ping(payload) => Frame::new(Opcode::Ping, payload),
        Message::Pong(payload) => Frame::new(Opcode::Pong, payload),
        Message::Close(None) => Frame::new(Opcode::Close, Bytes::new()),
        Message::Close(Some(close)) => Frame::close(close.code.into(), &close.reason),
        Message::Frame(_) => return None,
    })
}
