//! The socket handling that both browser protocols share: errors, liveness, closing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite;

use super::observe::Observation;
use super::stall;
use crate::session::Viewer;

/// The timeout for the final messages and the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A write that takes this long waited for the peer to read, which proves that it is alive.
const SLOW_WRITE: Duration = Duration::from_millis(20);

/// The lower bound of the configured ping interval.
const MIN_PING_INTERVAL: Duration = Duration::from_millis(10);

/// Close codes of RFC 6455, section 7.4.1.
const PROTOCOL_ERROR: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_BIG: u16 = 1009;
/// Too many control messages.
pub(super) const POLICY: u16 = 1008;

pub(super) type Sink = SplitSink<WebSocket, Message>;
pub(super) type Stream = SplitStream<WebSocket>;

/// How a socket was lost: nothing more can be sent on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It broke, or its viewer is not alive.
    Gone,
    /// Its viewer accepted no data.
    Stalled,
}

impl Loss {
    /// Returns its stable name in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Gone => "lost",
            Self::Stalled => "stalled",
        }
    }
}

/// Classifies an error: the close code, if one can still be sent.
pub(super) fn fault(error: axum::Error) -> Result<u16, Loss> {
    use tungstenite::Error as E;
    match error.into_inner().downcast_ref::<E>() {
        Some(E::Capacity(_)) => Ok(TOO_BIG),
        Some(E::Utf8(_)) => Ok(NOT_UTF8),
        Some(E::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => Err(Loss::Gone),
        Some(E::Protocol(_)) => Ok(PROTOCOL_ERROR),
        Some(E::Io(error)) if stall::is_stall(error) => Err(Loss::Stalled),
        _ => Err(Loss::Gone),
    }
}

/// Returns the interval of the server's pings.
pub(super) fn pings(every: Duration) -> Interval {
    let every = every.max(MIN_PING_INTERVAL);
    let mut pings = interval_at(Instant::now() + every, every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}

/// Returns the server's ping.
pub(super) fn ping() -> Message {
    Message::Ping(Bytes::new())
}

/// Sends one message.
pub(super) async fn send(sink: &mut Sink, message: Message, life: &Liveness) -> Result<(), Loss> {
    let began = Instant::now();
    sink.send(message).await.map_err(|error| fault(error).err().unwrap_or(Loss::Gone))?;
    if began.elapsed() >= SLOW_WRITE {
        life.note();
    }
    Ok(())
}

/// Resolves when the session of `viewer` was ended from outside and the time to report that is over: a viewer that
/// accepts no data does not keep its socket.
pub(super) fn overdue(viewer: &Viewer) -> impl Future<Output = ()> + Send + use<> {
    let terminated = viewer.terminated();
    async {
        terminated.await;
        sleep(CLOSE_TIMEOUT).await;
    }
}

/// The last messages on a socket.
#[derive(Debug, Default)]
pub(super) struct CloseMessage {
    /// TEXT messages before the close frame.
    pub(super) lines: Vec<String>,
    /// Code and reason of the close frame; `None` replies to the peer's.
    pub(super) close: Option<(u16, String)>,
}

impl CloseMessage {
    /// The close message after a fault of the viewer. For a limit that a user may reach, `line` formats a last line; a
    /// fault of a broken client has none.
    pub(super) fn fault(code: u16, line: impl FnOnce(&str) -> String) -> Self {
        let reason = match code {
            TOO_BIG => "a message is too large",
            POLICY => "too many control messages",
            _ => return Self { lines: Vec::new(), close: Some((code, String::new())) },
        };
        Self { lines: vec![line(reason)], close: Some((code, reason.to_owned())) }
    }
}

/// Closes the socket of `viewer` with `close_message`, unless it is lost.
pub(super) async fn close(
    mut sink: Sink,
    mut stream: Stream,
    viewer: Viewer,
    close_message: Result<CloseMessage, Loss>,
    observed: &Observation,
) {
    observed.closing(code(&close_message));
    // The session closes now, however long the final messages take.
    drop(viewer);
    if let Ok(close_message) = close_message {
        leave(&mut sink, &mut stream, close_message).await;
    }
}

/// Returns the close code that is sent, or a word for how the socket ended without one.
fn code(close_message: &Result<CloseMessage, Loss>) -> Result<u16, &'static str> {
    match close_message {
        Err(loss) => Err(loss.name()),
        Ok(CloseMessage { close: None, .. }) => Err("left"),
        Ok(CloseMessage { close: Some((code, _)), .. }) => Ok(*code),
    }
}

/// Sends the close message within a timeout.
async fn leave(sink: &mut Sink, stream: &mut Stream, close_message: CloseMessage) {
    let saying = async {
        for line in close_message.lines {
            if sink.send(Message::Text(line.into())).await.is_err() {
                return;
            }
        }
        if let Some((code, reason)) = close_message.close {
            let _ = sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
        }
        // Reading sends the reply to the peer's close frame, and drains incoming data: unread data would reset the
        // connection and lose the final messages.
        while let Some(Ok(_)) = stream.next().await {}
    };
    let _ = timeout(CLOSE_TIMEOUT, saying).await;
}

/// Tracks when the viewer was last known to be alive.
pub(super) struct Liveness {
    last: Mutex<Instant>,
    waiting: AtomicBool,
}

/// While it is held, silence does not count.
pub(super) struct Waiting<'a>(&'a Liveness);

impl Liveness {
    pub(super) fn new() -> Self {
        Self { last: Mutex::new(Instant::now()), waiting: AtomicBool::new(false) }
    }

    pub(super) fn note(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.store(true, Ordering::Relaxed);
        Waiting(self)
    }

    /// Returns the deadline of the next sign of life; `None` once it has passed.
    fn deadline(&self, limit: Duration, now: Instant) -> Option<Instant> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if self.waiting.load(Ordering::Relaxed) {
            *last = now;
        }
        Some(*last + limit).filter(|deadline| *deadline > now)
    }

    /// Resolves after `limit` without a sign of life.
    pub(super) async fn ended(&self, limit: Duration) {
        while let Some(deadline) = self.deadline(limit, Instant::now()) {
            sleep_until(deadline).await;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.store(false, Ordering::Relaxed);
        self.0.note();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_input_is_not_silence() {
        let limit = Duration::from_secs(75);
        let life = Liveness::new();
        let last = *life.last.lock().unwrap();
        assert_eq!(life.deadline(limit, last), Some(last + limit));
        let early = last + limit - Duration::from_secs(1);
        assert_eq!(life.deadline(limit, early), Some(last + limit));
        assert_eq!(life.deadline(limit, last + limit), None);

        let waiting = life.wait();
        let late = last + limit * 10;
        assert_eq!(life.deadline(limit, late), Some(late + limit), "it waits for the program");
        drop(waiting);
        assert!(life.deadline(limit, Instant::now()).is_some(), "and from then on it counts again");
    }
}
