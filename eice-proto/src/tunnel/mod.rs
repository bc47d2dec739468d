//! One tunnel as a state machine: frames and `now` go in; frames, bytes and events come out.
//!
//! The caller owns the socket and the clock. After each call of a `handle_*` method, of [`Tunnel::send`] or of
//! [`Tunnel::close`] it polls again: [`Tunnel::poll_transmit`] until `None`, [`Tunnel::poll_event`] until `None`,
//! and [`Tunnel::poll_timeout`] for when to call [`Tunnel::handle_timeout`] next. Spurious calls are harmless.
//!
//! Section d of the protocol reference lists the rules that this module implements.

mod config;
mod due;
mod event;
mod frame;
mod reason;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use config::{Config, MAX_CHUNK, Role};
use due::Keepalive;
pub use event::{Closed, Event};
pub use frame::{Frame, MAX_CONTROL_PAYLOAD, Opcode};
pub use reason::{CloseReason, ProtocolError};

/// How long a closing side waits for its CLOSE frame to be sent before it closes anyway (aws-c-http,
/// `AWS_WEBSOCKET_CLOSE_TIMEOUT`).
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The maximum number of queued writes: a writer of single bytes holds no more memory than one of chunks.
const MAX_QUEUED_PIECES: usize = 1024;

/// The close code for a protocol error (RFC 6455, section 7.4.1).
const PROTOCOL_ERROR: u16 = 1002;

/// How long before the maximum duration an end still counts as reaching it; at most half the duration.
const DURATION_SLACK: Duration = Duration::from_secs(2);

/// ```text
///           close()                  CLOSE handed out, CLOSE or EOF received, 1 s over
///   Open ────────────────► Closing ──────────────────────────────────────────────────► Closed(Local)
///     │
///     │ CLOSE or EOF received, protocol error, peer silent, duration reached
///     └──────────────────────────────────────────────────────────────────────────────► Closed(why)
/// ```
#[derive(Debug)]
enum State {
    Open,
    /// Queued data and our CLOSE are being sent; bytes are still received.
    Closing {
        deadline: Instant,
        frame: Frame,
    },
    Closed(CloseReason),
}

/// One tunnel, in either role.
///
/// # Half-close
///
/// The protocol has none. [`Tunnel::close`] ends both directions and discards what the peer still sends. To
/// receive the peer's last bytes, wait for [`Event::Closed`] instead of closing.
#[derive(Debug)]
pub struct Tunnel {
    role: Role,
    config: Config,
    state: State,
    opened: Instant,
    /// Whether the peer is inside a fragmented message.
    in_message: bool,
    outgoing: VecDeque<Bytes>,
    queued: usize,
    /// Only the newest ping needs an answer (RFC 6455, section 5.5.3), so a flood of pings queues nothing.
    pong: Option<Bytes>,
    ping: Option<Bytes>,
    /// The CLOSE that answers the peer's or ends the tunnel after a protocol error.
    close_frame: Option<Frame>,
    pings_sent: u64,
    last_heard: Instant,
    ping_sent_at: Option<Instant>,
    /// Whether the peer has answered a ping.
    is_answering: bool,
    last_ping: Instant,
    warning_sent: bool,
    duration_reported: bool,
    events: VecDeque<Event>,
}

impl Tunnel {
    /// Creates a tunnel whose handshake completed at `now`.
    #[must_use]
    pub fn new(role: Role, config: Config, now: Instant) -> Self {
        Self {
            role,
            config: config.bounded(),
            state: State::Open,
            opened: now,
            in_message: false,
            outgoing: VecDeque::new(),
            queued: 0,
            pong: None,
            ping: None,
            close_frame: None,
            pings_sent: 0,
            last_heard: now,
            ping_sent_at: None,
            is_answering: false,
            last_ping: now,
            warning_sent: false,
            duration_reported: false,
            events: VecDeque::new(),
        }
    }

    /// Returns whether the tunnel is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// Returns why the tunnel is closed, once it is.
    #[must_use]
    pub fn close_reason(&self) -> Option<&CloseReason> {
        match &self.state {
            State::Closed(reason) => Some(reason),
            State::Open | State::Closing { .. } => None,
        }
    }

    /// Returns how many bytes [`send`](Self::send) accepts now. [`poll_transmit`](Self::poll_transmit) raises it.
    #[must_use]
    pub fn capacity(&self) -> usize {
        match self.state {
            State::Open if self.outgoing.len() >= MAX_QUEUED_PIECES => 0,
            State::Open => self.config.max_queued.saturating_sub(self.queued),
            State::Closing { .. } | State::Closed(_) => 0,
        }
    }

    /// Returns whether [`poll_transmit`](Self::poll_transmit) has handed out everything that was queued.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.queued == 0
    }

    /// Queues as many bytes from the front of `data` as fit and returns how many. If it returns 0, transmit before
    /// sending more.
    ///
    /// # Errors
    /// [`Closed`] once the tunnel is closing or closed.
    pub fn send(&mut self, data: &mut Bytes) -> Result<usize, Closed> {
        if !matches!(self.state, State::Open) {
            return Err(Closed);
        }
        let taken = data.split_to(data.len().min(self.capacity()));
        let len = taken.len();
        if len > 0 {
            self.queued += len;
            self.outgoing.push_back(taken);
        }
        Ok(len)
    }

    /// Closes the tunnel: queued bytes are sent first, then a CLOSE without a payload, as aws-cli sends it.
    ///
    /// All of it must be sent within [`CLOSE_TIMEOUT`]: to avoid losing queued bytes on a slow network, close
    /// once [`is_flushed`](Self::is_flushed) is true. The peer's CLOSE is not awaited.
    pub fn close(&mut self, now: Instant) {
        self.close_with(Frame::new(Opcode::Close, Bytes::new()), now);
    }

    /// Closes the tunnel with the given CLOSE: a server gives its reason (see [`Frame::close`]).
    pub fn close_with(&mut self, frame: Frame, now: Instant) {
        if matches!(self.state, State::Open) {
            self.state = State::Closing { deadline: now + CLOSE_TIMEOUT, frame };
        }
    }

    /// Handles a frame from the peer. It produces at most one event and one frame to transmit, so a caller that
    /// polls after each frame bounds both queues. Fragments are passed on as they arrive, never assembled.
    pub fn handle_frame(&mut self, frame: Frame, now: Instant) {
        if self.is_closed() {
            return;
        }
        self.last_heard = now;
        self.ping_sent_at = None;
        if frame.opcode.is_control() {
            if !frame.fin {
                return self.fail(ProtocolError::FragmentedControl);
            }
            if frame.payload.len() > MAX_CONTROL_PAYLOAD {
                return self.fail(ProtocolError::LongControl);
            }
        }
        match (frame.opcode, self.in_message) {
            (Opcode::Ping, _) => {
                if self.config.answers_pings {
                    self.pong = Some(frame.payload);
                }
            }
            (Opcode::Pong, _) => self.is_answering |= self.pings_sent > 0,
            (Opcode::Close, _) => self.handle_close(&frame, now),
            (Opcode::Text, _) => self.fail(ProtocolError::Text),
            (Opcode::Binary, true) => self.fail(ProtocolError::InterruptedMessage),
            (Opcode::Continuation, false) => self.fail(ProtocolError::StrayContinuation),
            (Opcode::Binary, false) | (Opcode::Continuation, true) => {
                self.in_message = !frame.fin;
                // aws-cli floods the other side with empty frames after its stdin ends: they carry no meaning.
                if !frame.payload.is_empty() {
                    self.events.push_back(Event::Data(frame.payload));
                }
            }
        }
    }

    /// Records that the codec below could not parse what the peer sent.
    pub fn handle_violation(&mut self, error: ProtocolError) {
        if !self.is_closed() {
            self.fail(error);
        }
    }

    /// Records that the peer's side of the connection ended: a FIN, a reset, a broken TLS session.
    pub fn handle_eof(&mut self, now: Instant) {
        match self.state {
            State::Open => {
                let reason = self.or_duration(CloseReason::Eof, now);
                self.end(reason);
            }
            State::Closing { .. } => self.end(CloseReason::Local),
            State::Closed(_) => {}
        }
    }

    /// Does what is due at `now`: sends a ping, gives up a silent peer, ends the duration or the closing.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Closed(_) => return,
            State::Closing { deadline, .. } if now >= deadline => return self.end(CloseReason::Local),
            State::Closing { .. } => return,
            State::Open => {}
        }
        if let Some((limit, due)) = self.duration_due()
            && now >= due
        {
            match self.role {
                Role::Client => return self.end_with_close(CloseReason::DurationReached { limit }),
                Role::Server => {
                    self.duration_reported = true;
                    self.events.push_back(Event::DurationReached);
                }
            }
        }
        if let Some((limit, due)) = self.warning_due()
            && now >= due
        {
            self.warning_sent = true;
            let remaining = (self.opened + limit).saturating_duration_since(now);
            self.events.push_back(Event::DurationNear { remaining });
        }
        match self.keepalive_due() {
            Some(Keepalive::GiveUp(due)) if now >= due => {
                let silence = now.saturating_duration_since(self.last_heard);
                self.end_with_close(CloseReason::PeerSilent { silence });
            }
            Some(Keepalive::Ping(due)) if now >= due => {
                self.pings_sent += 1;
                self.ping = Some(Bytes::copy_from_slice(&self.pings_sent.to_be_bytes()));
                self.ping_sent_at = Some(now);
                self.last_ping = now;
            }
            _ => {}
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due next; `None` for never.
    ///
    /// The value may change after [`handle_frame`](Self::handle_frame), [`handle_eof`](Self::handle_eof),
    /// [`handle_timeout`](Self::handle_timeout), [`close`](Self::close), [`close_with`](Self::close_with), and a
    /// [`poll_transmit`](Self::poll_transmit) that returns a CLOSE.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Closed(_) => None,
            State::Closing { deadline, .. } => Some(deadline),
            State::Open => {
                let keepalive =
                    self.keepalive_due().map(|(Keepalive::Ping(due) | Keepalive::GiveUp(due))| due);
                let warning = self.warning_due().map(|(_, due)| due);
                let duration = self.duration_due().map(|(_, due)| due);
                [keepalive, warning, duration].into_iter().flatten().min()
            }
        }
    }

    /// Returns the next frame for the peer. Control frames go before data, so a bulk transfer cannot starve them.
    ///
    /// There may be one after [`send`](Self::send), [`handle_frame`](Self::handle_frame) (a PONG, or a CLOSE),
    /// [`handle_timeout`](Self::handle_timeout) (a PING, a CLOSE), [`close`](Self::close) and
    /// [`close_with`](Self::close_with).
    pub fn poll_transmit(&mut self) -> Option<Frame> {
        if let State::Closed(_) = self.state {
            return self.close_frame.take();
        }
        if let Some(payload) = self.pong.take() {
            return Some(Frame::new(Opcode::Pong, payload));
        }
        if let Some(payload) = self.ping.take() {
            return Some(Frame::new(Opcode::Ping, payload));
        }
        if let Some(front) = self.outgoing.front_mut() {
            let chunk = front.split_to(front.len().min(self.config.max_chunk));
            if front.is_empty() {
                self.outgoing.pop_front();
            }
            self.queued -= chunk.len();
            return Some(Frame::new(Opcode::Binary, chunk));
        }
        if let State::Closing { frame, .. } = &self.state {
            let frame = frame.clone();
            self.end(CloseReason::Local);
            return Some(frame);
        }
        None
    }

    /// Returns the next event. Each [`handle_frame`](Self::handle_frame) adds at most one; take it before you hand
    /// in the next frame, because events that are not taken accumulate.
    ///
    /// There may be one after [`handle_frame`](Self::handle_frame), [`handle_eof`](Self::handle_eof),
    /// [`handle_timeout`](Self::handle_timeout), and a [`poll_transmit`](Self::poll_transmit) that returns a CLOSE.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn handle_close(&mut self, frame: &Frame, now: Instant) {
        let reason = match self.state {
            State::Closing { .. } => CloseReason::Local,
            State::Open | State::Closed(_) => self.or_duration(CloseReason::of_close(frame), now),
        };
        self.end_with_close(reason);
    }

    /// Returns `reason`, or `DurationReached` if the peer ended the tunnel around that time.
    fn or_duration(&self, reason: CloseReason, now: Instant) -> CloseReason {
        match self.config.max_duration {
            Some(limit)
                if self.role == Role::Client
                    && now + DURATION_SLACK.min(limit / 2) >= self.opened + limit =>
            {
                CloseReason::DurationReached { limit }
            }
            _ => reason,
        }
    }

    fn fail(&mut self, error: ProtocolError) {
        self.end_with_close(CloseReason::Protocol(error));
    }

    fn end_with_close(&mut self, reason: CloseReason) {
        self.close_frame = Some(match reason {
            CloseReason::Protocol(_) => Frame::close(PROTOCOL_ERROR, ""),
            _ => Frame::new(Opcode::Close, Bytes::new()),
        });
        self.end(reason);
    }

    fn end(&mut self, reason: CloseReason) {
        self.outgoing.clear();
        self.queued = 0;
        self.events.push_back(Event::Closed(reason.clone()));
        self.state = State::Closed(reason);
    }
}
