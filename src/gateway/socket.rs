//! What both browser protocols do with a socket: tell its faults apart, watch for life, say goodbye.

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

/// How long the last words and the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A write that takes this long had to wait for the peer to read, and so is a sign of its life.
const SLOW_WRITE: Duration = Duration::from_millis(20);

/// Pings come no faster, whatever the configuration says.
const MIN_PING_INTERVAL: Duration = Duration::from_millis(10);

/// A text or message that breaks RFC 6455's rules, by its section 7.4.1.
const PROTOCOL_ERROR: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_BIG: u16 = 1009;
/// Too many of WebSocket's own messages: a policy, by the same section.
pub(super) const POLICY: u16 = 1008;

pub(super) type Sink = SplitSink<WebSocket, Message>;
pub(super) type Stream = SplitStream<WebSocket>;

/// How a socket was lost: nothing more can be said on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It broke, or its viewer gives no sign of life.
    Gone,
    /// Its viewer took nothing of what there was for it.
    Stalled,
}

impl Loss {
    /// Its stable name, as it stands in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Gone => "lost",
            Self::Stalled => "stalled",
        }
    }
}

/// A socket that cannot go on: the close code, where one can still be sent.
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

/// When the server pings.
pub(super) fn pings(every: Duration) -> Interval {
    let every = every.max(MIN_PING_INTERVAL);
    let mut pings = interval_at(Instant::now() + every, every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}

/// The server's ping.
pub(super) fn ping() -> Message {
    Message::Ping(Bytes::new())
}

/// Sends one message.
pub(super) async fn send(sink: &mut Sink, message: Message, life: &Life) -> Result<(), Loss> {
    let began = Instant::now();
    sink.send(message).await.map_err(|error| fault(error).err().unwrap_or(Loss::Gone))?;
    if began.elapsed() >= SLOW_WRITE {
        life.note();
    }
    Ok(())
}

/// Waits until the session of `viewer` was cut short and that should have been told: a viewer that takes nothing keeps
/// its socket no longer for it.
pub(super) fn overdue(viewer: &Viewer) -> impl Future<Output = ()> + Send + use<> {
    let cut_short = viewer.cut_short();
    async {
        cut_short.await;
        sleep(CLOSE_TIMEOUT).await;
    }
}

/// How a socket is left.
#[derive(Debug, Default)]
pub(super) struct Goodbye {
    /// TEXT messages before the close frame.
    pub(super) lines: Vec<String>,
    /// Code and reason of the close frame; `None` answers the peer's.
    pub(super) close: Option<(u16, String)>,
}

impl Goodbye {
    /// After a fault of the viewer's. Of a limit, which a person may run into, `line` makes the last line; what only a
    /// broken program does has none.
    pub(super) fn fault(code: u16, line: impl FnOnce(&str) -> String) -> Self {
        let reason = match code {
            TOO_BIG => "a message is too large",
            POLICY => "too many control messages",
            _ => return Self { lines: Vec::new(), close: Some((code, String::new())) },
        };
        Self { lines: vec![line(reason)], close: Some((code, reason.to_owned())) }
    }
}

/// Closes the socket of `viewer` with `goodbye`; one that is lost has none.
pub(super) async fn close(
    mut sink: Sink,
    mut stream: Stream,
    viewer: Viewer,
    goodbye: Result<Goodbye, Loss>,
    observed: &Observation,
) {
    observed.closing(code(&goodbye));
    // The session begins to close now, whatever the farewell takes.
    drop(viewer);
    if let Ok(goodbye) = goodbye {
        leave(&mut sink, &mut stream, goodbye).await;
    }
}

/// The close code of a goodbye, where it has one of ours; otherwise how the socket ended, in a word.
fn code(goodbye: &Result<Goodbye, Loss>) -> Result<u16, &'static str> {
    match goodbye {
        Err(loss) => Err(loss.name()),
        Ok(Goodbye { close: None, .. }) => Err("left"),
        Ok(Goodbye { close: Some((code, _)), .. }) => Ok(*code),
    }
}

/// Says goodbye within a bound.
async fn leave(sink: &mut Sink, stream: &mut Stream, goodbye: Goodbye) {
    let saying = async {
        for line in goodbye.lines {
            if sink.send(Message::Text(line.into())).await.is_err() {
                return;
            }
        }
        if let Some((code, reason)) = goodbye.close {
            let _ = sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
        }
        // Reading on sends what is due (the answer to the peer's close frame) and takes what is still coming
        // (without which TCP would reset, and the last words be lost).
        while let Some(Ok(_)) = stream.next().await {}
    };
    let _ = timeout(CLOSE_TIMEOUT, saying).await;
}

/// When the viewer last gave a sign of life.
pub(super) struct Life {
    last: Mutex<Instant>,
    waiting: AtomicBool,
}

/// For as long as it is held, silence counts for nothing.
pub(super) struct Waiting<'a>(&'a Life);

impl Life {
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

    /// Until when the viewer must give a sign; `None` once that is over.
    fn deadline(&self, limit: Duration, now: Instant) -> Option<Instant> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if self.waiting.load(Ordering::Relaxed) {
            *last = now;
        }
        Some(*last + limit).filter(|deadline| *deadline > now)
    }

    /// Waits until there was no sign for `limit`.
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
    fn a_viewer_is_gone_after_its_silence_and_not_while_its_input_waits() {
        let limit = Duration::from_secs(75);
        let life = Life::new();
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
