//! One tunnel as a state machine: frames and `now` in; frames, bytes and events out.
//!
//! The caller owns the socket and the clock. After each call of a `handle_*` method, of [`Tunnel::send`] or of
//! [`Tunnel::close`] it asks again: [`Tunnel::poll_transmit`] until `None`, [`Tunnel::poll_event`] until `None`, and
//! [`Tunnel::poll_timeout`] for when to call [`Tunnel::handle_timeout`] next. Spurious calls are harmless.
//!
//! Section d of the protocol reference lists the rules that this module keeps.

mod frame;
mod reason;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use frame::{Frame, MAX_CONTROL_PAYLOAD, Opcode};
pub use reason::{CloseReason, ProtocolError};

/// The longest payload of a data frame that this side sends, in bytes (aws-cli `websocket.py`,
/// `_MAX_BYTES_PER_FRAME`).
pub const MAX_CHUNK: usize = 65_000;

/// How long a closing side takes to get its CLOSE out before it lets go (aws-c-http,
/// `AWS_WEBSOCKET_CLOSE_TIMEOUT`).
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How far from the longest duration an end may lie to be taken for it.
const DURATION_SLACK: Duration = Duration::from_secs(2);

/// How long after the longest duration a client waits for the server to end the tunnel before it does so itself.
const DURATION_GRACE: Duration = Duration::from_secs(5);

/// Which end of the tunnel this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that dialled.
    Client,
    /// The endpoint.
    Server,
}

/// How a tunnel behaves. [`Config::default`] is what a client wants.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The longest payload of a data frame sent, in bytes. The default is [`MAX_CHUNK`].
    pub max_chunk: usize,
    /// How many bytes [`Tunnel::send`] holds until they are transmitted. The default is 256 KiB; more only
    /// hides the socket's back-pressure.
    pub max_queued: usize,
    /// How long the peer may be silent before it is pinged. The default is 25 s, below the idle limits of
    /// usual middleboxes; `None` never pings.
    pub keepalive_interval: Option<Duration>,
    /// How long a ping may stay unanswered before the peer is given up. The default is 20 s.
    pub keepalive_timeout: Duration,
    /// The tunnel's longest duration. The default, `None`, has no limit of its own; a client passes what it
    /// asked for, or 3600 s, to tell that end from others.
    pub max_duration: Option<Duration>,
    /// Whether pings are answered here. The default is yes; no where the WebSocket codec below does it already.
    pub answers_pings: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_chunk: MAX_CHUNK,
            max_queued: 256 * 1024,
            keepalive_interval: Some(Duration::from_secs(25)),
            keepalive_timeout: Duration::from_secs(20),
            max_duration: None,
            answers_pings: true,
        }
    }
}

/// What a tunnel has to say to its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Bytes of the tunnelled connection, never empty. Boundaries mean nothing.
    Data(Bytes),
    /// The server's longest duration is over: time to end the tunnel in the form that the server has.
    DurationReached,
    /// The tunnel is over; the last event. What [`Tunnel::poll_transmit`] still has should be sent, then the
    /// connection dropped.
    Closed(CloseReason),
}

/// The tunnel is over: nothing can be sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tunnel is closed")]
pub struct Closed;

/// ```text
///           close()                  CLOSE handed out, CLOSE or end received, 1 s over
///   Open ────────────────► Closing ──────────────────────────────────────────────────► Closed(Local)
///     │
///     │ CLOSE or end received, protocol broken, peer silent, duration over
///     └──────────────────────────────────────────────────────────────────────────────► Closed(why)
/// ```
#[derive(Debug)]
enum State {
    Open,
    /// Queued data and our CLOSE are on their way out; bytes still come in.
    Closing {
        deadline: Instant,
        frame: Frame,
    },
    Closed(CloseReason),
}

/// One tunnel, either end of it.
///
/// # Half-close
///
/// The protocol has none. [`Tunnel::close`] ends both directions: what the peer has under way is lost. Who wants
/// the peer's last bytes waits for [`Event::Closed`] instead of closing.
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
    /// Only the newest ping needs an answer (RFC 6455, section 5.5.3), so that a flood of them queues nothing.
    pong: Option<Bytes>,
    ping: Option<Bytes>,
    /// The CLOSE that answers the peer's or ends a broken tunnel.
    farewell: Option<Frame>,
    pings_sent: u64,
    last_heard: Instant,
    ping_sent_at: Option<Instant>,
    duration_told: bool,
    events: VecDeque<Event>,
}

impl Tunnel {
    /// A tunnel whose handshake was done at `now`.
    #[must_use]
    pub fn new(role: Role, config: Config, now: Instant) -> Self {
        Self {
            role,
            config: Config { max_chunk: config.max_chunk.max(1), ..config },
            state: State::Open,
            opened: now,
            in_message: false,
            outgoing: VecDeque::new(),
            queued: 0,
            pong: None,
            ping: None,
            farewell: None,
            pings_sent: 0,
            last_heard: now,
            ping_sent_at: None,
            duration_told: false,
            events: VecDeque::new(),
        }
    }

    /// Whether the tunnel is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// Why the tunnel is over, once it is.
    #[must_use]
    pub fn close_reason(&self) -> Option<&CloseReason> {
        match &self.state {
            State::Closed(reason) => Some(reason),
            State::Open | State::Closing { .. } => None,
        }
    }

    /// How many bytes [`send`](Self::send) takes now. Grows by [`poll_transmit`](Self::poll_transmit).
    #[must_use]
    pub fn capacity(&self) -> usize {
        match self.state {
            State::Open => self.config.max_queued.saturating_sub(self.queued),
            State::Closing { .. } | State::Closed(_) => 0,
        }
    }

    /// Takes bytes off the front of `data`, as many as there is room for, and says how many. None of them means:
    /// transmit first.
    ///
    /// # Errors
    /// [`Closed`] once the tunnel is closing or over.
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

    /// Ends the tunnel: what is queued still goes out, then a CLOSE without a payload, as aws-cli sends it.
    pub fn close(&mut self, now: Instant) {
        self.close_with(Frame::new(Opcode::Close, Bytes::new()), now);
    }

    /// Ends the tunnel with a CLOSE of the caller's: a server says why (see [`Frame::close`]).
    pub fn close_with(&mut self, frame: Frame, now: Instant) {
        if matches!(self.state, State::Open) {
            self.state = State::Closing { deadline: now + CLOSE_TIMEOUT, frame };
        }
    }

    /// Takes a frame of the peer's.
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
            (Opcode::Pong, _) => {}
            (Opcode::Close, _) => self.handle_close(&frame, now),
            (Opcode::Text, _) => self.fail(ProtocolError::Text),
            (Opcode::Binary, true) => self.fail(ProtocolError::InterruptedMessage),
            (Opcode::Continuation, false) => self.fail(ProtocolError::StrayContinuation),
            (Opcode::Binary, false) | (Opcode::Continuation, true) => {
                self.in_message = !frame.fin;
                // aws-cli floods the other side with empty frames when its stdin ends: they say nothing.
                if !frame.payload.is_empty() {
                    self.events.push_back(Event::Data(frame.payload));
                }
            }
        }
    }

    /// Takes note that the codec below could not make frames of what the peer sent.
    pub fn handle_violation(&mut self, error: ProtocolError) {
        if !self.is_closed() {
            self.fail(error);
        }
    }

    /// Takes note that the peer's side of the connection ended: a FIN, a reset, a broken TLS session.
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

    /// Does what is due at `now`: a ping, giving up a silent peer, the end of the duration or of the closing.
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
                    self.duration_told = true;
                    self.events.push_back(Event::DurationReached);
                }
            }
        }
        let Some(interval) = self.config.keepalive_interval else { return };
        match self.ping_sent_at {
            Some(sent) if now >= sent + self.config.keepalive_timeout => {
                let silence = now.saturating_duration_since(self.last_heard);
                self.end_with_close(CloseReason::PeerSilent { silence });
            }
            Some(_) => {}
            None if now >= self.last_heard + interval => {
                self.pings_sent += 1;
                self.ping = Some(Bytes::copy_from_slice(&self.pings_sent.to_be_bytes()));
                self.ping_sent_at = Some(now);
            }
            None => {}
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next. Changes with every other call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Closed(_) => None,
            State::Closing { deadline, .. } => Some(deadline),
            State::Open => {
                let keepalive = self.config.keepalive_interval.map(|interval| match self.ping_sent_at {
                    Some(sent) => sent + self.config.keepalive_timeout,
                    None => self.last_heard + interval,
                });
                let duration = self.duration_due().map(|(_, due)| due);
                [keepalive, duration].into_iter().flatten().min()
            }
        }
    }

    /// The next frame for the peer. Control frames go before data, so that a bulk transfer cannot starve them.
    pub fn poll_transmit(&mut self) -> Option<Frame> {
        if let State::Closed(_) = self.state {
            return self.farewell.take();
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

    /// The next event. Each [`handle_frame`](Self::handle_frame) makes at most one, and it should be taken before the next
    /// frame is handed in: events that nobody takes are kept.
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

    /// `reason`, or that the duration was reached where an end that nobody asked for comes at that moment.
    fn or_duration(&self, reason: CloseReason, now: Instant) -> CloseReason {
        match self.config.max_duration {
            Some(limit) if self.role == Role::Client && now + DURATION_SLACK >= self.opened + limit => {
                CloseReason::DurationReached { limit }
            }
            _ => reason,
        }
    }

    fn duration_due(&self) -> Option<(Duration, Instant)> {
        let limit = self.config.max_duration?;
        match self.role {
            Role::Client => Some((limit, self.opened + limit + DURATION_GRACE)),
            Role::Server => (!self.duration_told).then(|| (limit, self.opened + limit)),
        }
    }

    fn fail(&mut self, error: ProtocolError) {
        self.end_with_close(CloseReason::Protocol(error));
    }

    fn end_with_close(&mut self, reason: CloseReason) {
        self.farewell = Some(Frame::new(Opcode::Close, Bytes::new()));
        self.end(reason);
    }

    fn end(&mut self, reason: CloseReason) {
        self.outgoing.clear();
        self.queued = 0;
        self.events.push_back(Event::Closed(reason.clone()));
        self.state = State::Closed(reason);
    }
}
