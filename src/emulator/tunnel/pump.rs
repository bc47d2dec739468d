//! An open tunnel: frames from the client to the target's TCP connection, and back.
//!
//! [`eice_proto::tunnel`] implements the protocol, here in the server's role; this file adds sockets, the clock
//! and the knobs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes, BytesMut};
use eice_proto::tunnel::{Config, Event, Frame, Opcode, Role, Tunnel};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::admit::Admitted;
use super::codec;
use super::shaped_stream::ShapedStream;
use super::target::{self, Dialled};
use crate::emulator::faults::{CloseForm, Faults, FrameFault};
use crate::emulator::world::World;

/// The most bytes queued in each direction; reading stops above it.
const MAX_WAITING: usize = 256 * 1024;
/// The read buffer, in bytes.
const READ: usize = 64 * 1024;
/// The time limit for sending the close message.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// A duration that never elapses, for a disabled timer.
const NEVER: Duration = Duration::from_secs(86_400 * 365);

/// An open tunnel.
pub(super) struct Pump {
    read: ReadHalf<TlsStream<ShapedStream>>,
    write: WriteHalf<TlsStream<ShapedStream>>,
    tunnel: Tunnel,
    /// Bytes from the client that are not yet a complete frame.
    received: BytesMut,
    /// Bytes to the target.
    inward: BytesMut,
    /// Encoded bytes to the client.
    outward: BytesMut,
    needs_flush: bool,
    world: Arc<World>,
    admitted: Admitted,
    opened: SystemTime,
    faults: Faults,
    /// How many more bytes of the target the client may receive, if a knob limits them.
    left: Option<u64>,
    /// The number of bytes sent to the target.
    upward: u64,
    ending: Option<EndForm>,
}

/// How the connection ends after all data is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndForm {
    /// TLS's close_notify, then FIN.
    Orderly,
    Fin,
    Rst,
}

/// The connection to the target.
enum TargetSide {
    Dialling(Pin<Box<dyn Future<Output = Dialled> + Send>>),
    Open(OwnedReadHalf, OwnedWriteHalf),
    Silent,
}

/// What happened next.
enum PumpEvent {
    FromClient(std::io::Result<usize>),
    ToClient(std::io::Result<usize>),
    Flushed(std::io::Result<()>),
    Dialled(Dialled),
    FromTarget(std::io::Result<usize>),
    ToTarget(std::io::Result<usize>),
    Duration,
    Ping,
    Idle,
    Stop,
}

impl Pump {
    pub(super) fn new(
        stream: TlsStream<ShapedStream>,
        received: BytesMut,
        world: Arc<World>,
        admitted: Admitted,
        faults: Faults,
    ) -> Self {
        let (read, write) = tokio::io::split(stream);
        let mut config = Config::default();
        // Whether AWS sends pings is unknown; here a knob does. The duration uses the emulator's clock.
        config.keepalive_interval = None;
        let opened = world.clock.now();
        Self {
            read,
            write,
            tunnel: Tunnel::new(Role::Server, config, std::time::Instant::now()),
            received,
            inward: BytesMut::new(),
            outward: BytesMut::new(),
            needs_flush: false,
            upward: 0,
            left: faults.close_after.as_ref().map(|after| after.bytes),
            opened,
            world,
            admitted,
            faults,
            ending: None,
        }
    }

    /// Runs the tunnel to its end.
    pub(super) async fn run(mut self, stop: &CancellationToken) {
        self.begin();
        self.carry(stop).await;
        let flushing = async {
            while !self.outward.is_empty() {
                if self.write.write_buf(&mut self.outward).await.is_err() {
                    return;
                }
            }
            let _ = self.write.flush().await;
        };
        let ending = self.ending.unwrap_or(EndForm::Orderly);
        if ending != EndForm::Rst {
            let _ = timeout(CLOSE_TIMEOUT, flushing).await;
        }
        let mut stream = self.read.unsplit(self.write);
        match ending {
            EndForm::Orderly => {
                let _ = timeout(CLOSE_TIMEOUT, stream.shutdown()).await;
                stream.into_inner().0.drain().await;
            }
            EndForm::Fin => stream.into_inner().0.finish().await,
            EndForm::Rst => stream.into_inner().0.reset(),
        }
        drop(self.admitted);
    }

    /// Applies the knobs for the moment after the 101.
    fn begin(&mut self) {
        let out = &mut self.outward;
        match self.faults.frame {
            None | Some(FrameFault::Fragmented) => {}
            Some(FrameFault::Text) => codec::encode(&Frame::new(Opcode::Text, &b"surprise"[..]), out),
            Some(FrameFault::Huge) => codec::claim(1 << 40, b"a few bytes", out),
            Some(FrameFault::Garbage) => out.extend_from_slice(&[0xff; 64]),
            Some(FrameFault::Masked) => codec::masked(b"masked", out),
            Some(FrameFault::Reserved) => out.extend_from_slice(&[0xc2, 0x01, b'x']),
            Some(FrameFault::Continuation) => {
                codec::encode(&Frame::new(Opcode::Continuation, &b"of nothing"[..]), out);
            }
            Some(FrameFault::HalfWritten) => {
                codec::claim(100, b"ten bytes.", out);
                self.ending = Some(EndForm::Fin);
            }
            Some(FrameFault::Empty) => codec::encode(&Frame::new(Opcode::Binary, Bytes::new()), out),
            Some(FrameFault::Pong) => codec::encode(&Frame::new(Opcode::Pong, &b"unasked"[..]), out),
        }
        if self.left == Some(0) {
            self.end_after_bytes();
        }
    }

    fn end_after_bytes(&mut self) {
        if let Some(after) = self.faults.close_after.take() {
            self.left = None;
            self.end(after.form);
        }
    }

    /// Ends the tunnel in this form, after the data queued for the client.
    fn end(&mut self, form: CloseForm) {
        if self.ending.is_some() {
            return;
        }
        let now = std::time::Instant::now();
        self.ending = Some(match form {
            CloseForm::Fin => EndForm::Fin,
            CloseForm::Rst => EndForm::Rst,
            CloseForm::Empty => {
                self.tunnel.close(now);
                EndForm::Orderly
            }
            CloseForm::Close { code, reason } => {
                self.tunnel.close_with(Frame::close(code, &reason), now);
                EndForm::Orderly
            }
        });
        while let Some(frame) = self.tunnel.poll_transmit() {
            self.encode(&frame);
        }
    }

    fn encode(&mut self, frame: &Frame) {
        if self.faults.frame == Some(FrameFault::Fragmented) && frame.opcode == Opcode::Binary {
            codec::fragmented(&frame.payload, &mut self.outward);
        } else {
            codec::encode(frame, &mut self.outward);
        }
    }

    /// Decodes the client's frames.
    fn take_received(&mut self) {
        while self.ending.is_none() && self.inward.len() < MAX_WAITING {
            match codec::decode(&mut self.received) {
                Ok(Some(frame)) => self.tunnel.handle_frame(frame, std::time::Instant::now()),
                Ok(None) => return,
                Err(bad) => return self.end(CloseForm::Close { code: bad.code, reason: bad.reason.into() }),
            }
            self.take_events();
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.tunnel.poll_event() {
            match event {
                Event::Data(data) => self.inward.extend_from_slice(&data),
                Event::Closed(reason) => {
                    tracing::debug!(%reason, "tunnel closed");
                    self.ending.get_or_insert(EndForm::Orderly);
                }
                _ => {}
            }
        }
        while self.outward.len() < MAX_WAITING
            && let Some(frame) = self.tunnel.poll_transmit()
        {
            self.encode(&frame);
        }
    }

    async fn carry(&mut self, stop: &CancellationToken) {
        let (world, params) = (Arc::clone(&self.world), self.admitted.params.clone());
        let client = self.admitted.client;
        let mut side =
            TargetSide::Dialling(Box::pin(async move { target::dial(&world, &params, client).await }));
        let clock = self.world.clock.clone();
        let deadline = self.opened + self.admitted.duration;
        let duration = clock.reach(deadline);
        tokio::pin!(duration);
        let ping_every = self.faults.ping_every_ms.map(|ms| Duration::from_millis(ms.max(1)));
        let idle_cut = self.faults.idle_cut_ms.map(Duration::from_millis);
        let mut next_ping = Instant::now() + ping_every.unwrap_or(NEVER);
        let mut last_byte = Instant::now();
        let mut buffer = BytesMut::new();
        self.take_received();
        while self.ending.is_none() {
            let room = READ.min(self.tunnel.capacity());
            let room = self.left.map_or(room, |left| room.min(usize::try_from(left).unwrap_or(room)));
            let can_send = room > 0 && self.outward.len() < MAX_WAITING;
            let event = tokio::select! {
                () = stop.cancelled() => PumpEvent::Stop,
                () = &mut duration => PumpEvent::Duration,
                () = sleep_until(next_ping) => PumpEvent::Ping,
                () = sleep_until(last_byte + idle_cut.unwrap_or(NEVER)) => PumpEvent::Idle,
                event = async {
                    if self.outward.is_empty() {
                        PumpEvent::Flushed(self.write.flush().await)
                    } else {
                        PumpEvent::ToClient(self.write.write_buf(&mut self.outward).await)
                    }
                }, if self.needs_flush || !self.outward.is_empty() => event,
                event = side.next_event(&mut self.inward, &mut buffer, room, can_send) => event,
                read = async {
                    self.received.reserve(READ);
                    self.read.read_buf(&mut self.received).await
                }, if self.inward.len() < MAX_WAITING => PumpEvent::FromClient(read),
            };
            match event {
                PumpEvent::Stop => self.end(CloseForm::Close { code: 1001, reason: "going away".into() }),
                PumpEvent::Duration => {
                    let form = self.world.faults.snapshot().duration_form;
                    self.end(form.unwrap_or_else(CloseForm::normal));
                }
                PumpEvent::Ping => {
                    codec::encode(&Frame::new(Opcode::Ping, &b"eice"[..]), &mut self.outward);
                    next_ping = Instant::now() + ping_every.unwrap_or(NEVER);
                }
                PumpEvent::Idle => self.end(self.faults.idle_form.clone()),
                PumpEvent::ToClient(Ok(_)) => self.needs_flush = true,
                PumpEvent::Flushed(Ok(())) => self.needs_flush = false,
                PumpEvent::ToClient(Err(_)) | PumpEvent::Flushed(Err(_)) => {
                    self.tunnel.handle_eof(std::time::Instant::now());
                    self.outward.clear();
                }
                PumpEvent::FromClient(Ok(count)) if count > 0 => {
                    last_byte = Instant::now();
                }
                PumpEvent::FromClient(_) => self.tunnel.handle_eof(std::time::Instant::now()),
                PumpEvent::Dialled(Dialled::Open(stream)) => {
                    let (read, write) = stream.into_split();
                    side = TargetSide::Open(read, write);
                }
                PumpEvent::Dialled(Dialled::Silent) => side = TargetSide::Silent,
                PumpEvent::Dialled(Dialled::Failed) => {
                    let form = self.world.faults.snapshot().target_failed_form;
                    self.end(form.unwrap_or_else(CloseForm::target_failed));
                }
                PumpEvent::FromTarget(Ok(count)) if count > 0 => {
                    last_byte = Instant::now();
                    let mut data = buffer.split().freeze();
                    let _ = self.tunnel.send(&mut data);
                    if let Some(left) = &mut self.left {
                        *left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
                        if *left == 0 {
                            self.end_after_bytes();
                        }
                    }
                }
                PumpEvent::FromTarget(_) | PumpEvent::ToTarget(Err(_)) => {
                    let form = self.world.faults.snapshot().target_end_form;
                    self.end(form.unwrap_or_else(CloseForm::normal));
                }
                PumpEvent::ToTarget(Ok(count)) => {
                    self.upward += count as u64;
                    if let Some(after) =
                        self.faults.close_after_up.take_if(|after| self.upward >= after.bytes)
                    {
                        self.end(after.form);
                    }
                }
            }
            self.take_events();
            self.take_received();
        }
    }
}

impl TargetSide {
    /// Waits for the next event of the target's side: the dial's result, bytes received, bytes sent.
    async fn next_event(
        &mut self,
        inward: &mut BytesMut,
        buffer: &mut BytesMut,
        room: usize,
        can_send: bool,
    ) -> PumpEvent {
        match self {
            Self::Dialling(dial) => PumpEvent::Dialled(dial.await),
            Self::Open(read, write) => {
                tokio::select! {
                    wrote = write.write(inward), if !inward.is_empty() => {
                        PumpEvent::ToTarget(wrote.inspect(|count| inward.advance(*count)))
                    }
                    count = async {
                        buffer.reserve(room);
                        read.take(room as u64).read_buf(buffer).await
                    }, if can_send => PumpEvent::FromTarget(count),
                    else => std::future::pending().await,
                }
            }
            Self::Silent => {
                // A silent host still accepts data.
                inward.clear();
                std::future::pending().await
            }
        }
    }
}
