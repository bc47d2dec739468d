//! Bridges an `eicterm.v1` socket and a session.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::{self, WebSocket};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::flow::{Input, Output, Violation};
use super::frame::{self, Attach, Frame, Malformed, Mode};
use super::message::Message;
use crate::gateway::Config;
use crate::gateway::observe::Observation;
use crate::gateway::rate::Rate;
use crate::gateway::socket::{self, CloseMessage, Liveness, Loss, Sink, Stream};
use crate::gateway::text::EndMessage;
use crate::session::{End, Event, Request, Reservation, Viewer, ViewerControl, ViewerInput};

/// The most unanswered pings; further ones get no reply.
const PING_QUEUE: usize = 8;

/// The longest delay of an acknowledgement of input.
const ACK_DELAY: Duration = Duration::from_millis(50);

/// Input bytes that are acknowledged without delay.
const ACK_AT_ONCE: u64 = 16 << 10;

/// A frame that breaks the protocol's rules.
const BAD_FRAME: u16 = 4400;
/// A session that no longer exists.
const GONE: u16 = 4404;

/// How the bridging ended.
enum Ending {
    /// The session ended.
    Session(Option<End>),
    /// The viewer closed the socket.
    Left,
    /// The viewer violated WebSocket: the close code.
    Fault(u16),
    /// The viewer violated the protocol.
    Violation(Violation),
    /// The viewer requested something unsupported.
    Refused(&'static str, &'static str, u16),
    /// The socket is lost.
    Lost(Loss),
}

/// State that the reader and the writer share.
struct Shared {
    life: Liveness,
    output: Mutex<Output>,
    /// The viewer acknowledged output.
    acked: Notify,
}

impl Shared {
    fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dials at once, opens the terminal on `attach`, and bridges until either side ends.
pub(in crate::gateway) async fn serve(
    socket: WebSocket,
    reservation: Reservation,
    request: Request,
    config: &Config,
    observed: &Observation,
) {
    let (mut sink, mut stream) = socket.split();
    let mut viewer = reservation.open(request.waiting_for_size());
    let ending = bridge(&mut sink, &mut stream, &mut viewer, config, observed).await;
    let close_message = match ending {
        Ending::Session(end) => Ok(final_message(end.as_ref())),
        Ending::Fault(code) => {
            Ok(CloseMessage::fault(code, |reason| Message::error("protocol", reason).to_json()))
        }
        Ending::Violation(violation) => {
            let error = Message::error("protocol", violation.to_string());
            Ok(close_message(&error, BAD_FRAME, violation.to_string()))
        }
        Ending::Refused(code, message, close) => {
            Ok(close_message(&Message::error(code, message), close, code.to_owned()))
        }
        Ending::Left => Ok(CloseMessage::default()),
        Ending::Lost(loss) => Err(loss),
    };
    socket::close(sink, stream, viewer, close_message, observed).await;
}

async fn bridge(
    sink: &mut Sink,
    stream: &mut Stream,
    viewer: &mut Viewer,
    config: &Config,
    observed: &Observation,
) -> Ending {
    let mut rate = Rate::new(config.max_control_rate);
    let attach = tokio::select! {
        attach = timeout(config.attach_timeout, first(stream, &mut rate)) => match attach {
            Ok(Ok(attach)) => attach,
            Ok(Err(ending)) => return ending,
            Err(_) => return Ending::Violation(Violation::Attach),
        },
        // A failed connection attempt is reported after `attach`, behind its stages.
        () = viewer.terminated() => return Ending::Session(viewer.end().await),
    };
    if attach.resume.is_some() || attach.session.is_some() {
        return Ending::Refused("gone", "the session is over; attach without it for a new one", GONE);
    }
    if attach.mode == Mode::Watch {
        return Ending::Refused("unsupported", "this gateway has no sessions to look on at", BAD_FRAME);
    }
    let control = viewer.control();
    match attach.size() {
        Ok(size) => control.resize(size),
        Err(malformed) => return Ending::Violation(malformed.into()),
    }
    let shared = Shared { life: Liveness::new(), output: Mutex::default(), acked: Notify::new() };
    let hello = Message::hello(viewer.session());
    if let Err(loss) = say(sink, &hello, &shared.life).await {
        return Ending::Lost(loss);
    }
    let (pings, pongs) = mpsc::channel(PING_QUEUE);
    let input = viewer.input();
    let mut reader = Reader {
        shared: &shared,
        input: &input,
        taken: control.taken(),
        control: control.clone(),
        position: Input::default(),
        pings,
        rate,
    };
    let overdue = socket::overdue(viewer);
    tokio::select! {
        ending = reader.run(stream) => ending,
        ending = write(sink, viewer, &shared, pongs, config, observed) => ending,
        // A live viewer may be silent between two pings.
        () = shared.life.ended(config.dead_peer_timeout.max(config.ping_interval * 2)) => Ending::Lost(Loss::Gone),
        () = overdue => Ending::Session(viewer.end().await),
    }
}

/// Reads the first message, which must be `attach`.
async fn first(stream: &mut Stream, rate: &mut Rate) -> Result<Attach, Ending> {
    loop {
        match next(stream).await? {
            Some(Frame::Attach(attach)) => return Ok(attach),
            Some(Frame::Unknown) | None if rate.take() => {}
            Some(Frame::Unknown) | None => return Err(Ending::Violation(Violation::Flood)),
            Some(_) => return Err(Ending::Violation(Violation::Attach)),
        }
    }
}

/// Reads the next message; `None` for a WebSocket control frame.
async fn next(stream: &mut Stream) -> Result<Option<Frame>, Ending> {
    let violation = |malformed: Malformed| Ending::Violation(malformed.into());
    match stream.next().await {
        Some(Ok(ws::Message::Text(text))) => frame::text(Bytes::from(text)).map(Some).map_err(violation),
        Some(Ok(ws::Message::Binary(data))) => frame::binary(data).map(Some).map_err(violation),
        Some(Ok(ws::Message::Ping(_) | ws::Message::Pong(_))) => Ok(None),
        Some(Ok(ws::Message::Close(_))) | None => Err(Ending::Left),
        Some(Err(error)) => Err(socket::fault(error).map_or_else(Ending::Lost, Ending::Fault)),
    }
}

/// Passes on the viewer's input and requests. It does not wait for the terminal: input beyond the window is a
/// violation, and the input queue has room for a window.
struct Reader<'a> {
    shared: &'a Shared,
    input: &'a ViewerInput,
    taken: watch::Receiver<u64>,
    control: ViewerControl,
    position: Input,
    pings: mpsc::Sender<(u64, Instant)>,
    rate: Rate,
}

impl Reader<'_> {
    async fn run(&mut self, stream: &mut Stream) -> Ending {
        loop {
            let frame = match next(stream).await {
                Ok(frame) => frame,
                Err(ending) => return ending,
            };
            self.shared.life.note();
            if let Err(violation) = self.take(frame).await {
                return Ending::Violation(violation);
            }
        }
    }

    async fn take(&mut self, frame: Option<Frame>) -> Result<(), Violation> {
        // Input is bounded by its bytes; a message without any counts as control.
        let has_input = matches!(&frame, Some(Frame::Input(data)) if !data.is_empty());
        if !has_input && !self.rate.take() {
            return Err(Violation::Flood);
        }
        match frame {
            Some(Frame::Input(data)) => {
                let taken = *self.taken.borrow();
                self.position.receive(data.len(), taken)?;
                // Waits only if the configured queue is smaller than the window. Nothing is read meanwhile, so silence
                // does not count. Errors are ignored: the session's events report how it ended.
                let _waiting = self.shared.life.wait();
                let _ = self.input.send(data).await;
            }
            Some(Frame::EndOfInput) => {
                self.position.end()?;
                let _ = self.input.end();
            }
            Some(Frame::Resize(size)) => self.control.resize(size),
            Some(Frame::Ack(position)) => {
                self.shared.output().ack(position)?;
                self.shared.acked.notify_one();
            }
            Some(Frame::Ping(t0)) => {
                self.control.measure();
                let _ = self.pings.try_send((t0, Instant::now()));
            }
            Some(Frame::Attach(_)) => return Err(Violation::Attach),
            Some(Frame::Unknown) | None => {}
        }
        Ok(())
    }
}

/// Forwards output within the window, and replies to pings.
async fn write(
    sink: &mut Sink,
    viewer: &mut Viewer,
    shared: &Shared,
    mut pongs: mpsc::Receiver<(u64, Instant)>,
    config: &Config,
    observed: &Observation,
) -> Ending {
    let control = viewer.control();
    let mut pings = socket::pings(config.ping_interval);
    let mut taken = control.taken();
    let mut acked = 0;
    let mut ack_at: Option<Instant> = None;
    let over = viewer.input();
    let over = over.closed().shared();
    loop {
        // After the end of the session the remaining output is bounded.
        let has_room = shared.output().has_room() || over.clone().now_or_never().is_some();
        let message = tokio::select! {
            biased;
            Some((t0, came)) = pongs.recv() => {
                let ssh_us = control.round_trip().map(micros);
                let took = came.elapsed();
                observed.answered(took);
                Message::Pong { t0, gateway_us: micros(took), ssh_us }
            }
            () = sleep_until(ack_at.unwrap_or_else(Instant::now)), if ack_at.is_some() => {
                ack_at = None;
                acked = *taken.borrow_and_update();
                Message::Ack { r#in: acked }
            }
            Ok(()) = taken.changed() => {
                let waits = *taken.borrow_and_update() - acked < ACK_AT_ONCE;
                let now = Instant::now();
                ack_at = if waits { ack_at.or(Some(now + ACK_DELAY)) } else { Some(now) };
                continue;
            }
            event = viewer.next(), if has_room => match event {
                Some(Event::Output(data)) => {
                    shared.output().sent(data.len());
                    if let Err(loss) = socket::send(sink, ws::Message::Binary(data), &shared.life).await {
                        return Ending::Lost(loss);
                    }
                    continue;
                }
                Some(Event::Stage(event)) => match Message::stage(event) {
                    Some(message) => message,
                    None => continue,
                },
                Some(Event::Warning { limit, left }) => Message::warn(limit, left),
                Some(Event::Closed(end)) => return Ending::Session(Some(end)),
                Some(_) => continue,
                None => return Ending::Session(None),
            },
            () = shared.acked.notified(), if !has_room => continue,
            () = over.clone(), if !has_room => continue,
            _ = pings.tick() => {
                if let Err(loss) = socket::send(sink, socket::ping(), &shared.life).await {
                    return Ending::Lost(loss);
                }
                continue;
            }
        };
        if let Err(loss) = say(sink, &message, &shared.life).await {
            return Ending::Lost(loss);
        }
    }
}

async fn say(sink: &mut Sink, message: &Message, life: &Liveness) -> Result<(), Loss> {
    socket::send(sink, ws::Message::Text(message.to_json().into()), life).await
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Returns the final message for `end`.
fn final_message(end: Option<&End>) -> CloseMessage {
    let EndMessage { line, code, reason } = EndMessage::new(end);
    let message = match end {
        Some(End::Exit(exit)) => Message::exit(exit),
        Some(End::Failed(error)) => Message::failed(error),
        other => {
            let word = match other {
                Some(End::Broken(_)) => "broken",
                Some(End::Drained) => "draining",
                Some(End::Limit(_)) => "limit",
                Some(End::Killed(_)) => "ended",
                _ => "internal",
            };
            Message::error(word, line.unwrap_or_default().trim_end())
        }
    };
    close_message(&message, code, reason)
}

fn close_message(message: &Message, code: u16, reason: String) -> CloseMessage {
    CloseMessage { lines: vec![message.to_json()], close: Some((code, reason)) }
}
