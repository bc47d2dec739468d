//! The protocol of today's Canvas client: messages in are stdin, BINARY out is stdout, TEXT out is an error.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite;

use super::Config;
use super::text::Farewell;
use crate::session::{End, Event, Viewer, ViewerInput};

/// How long the last line and the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A write that takes this long had to wait for the peer to read, and so is a sign of its life.
const SLOW_WRITE: Duration = Duration::from_millis(20);

/// Pings come no faster, whatever the configuration says.
const MIN_PING_INTERVAL: Duration = Duration::from_millis(10);

/// A text or message that breaks RFC 6455's rules, by its section 7.4.1.
const PROTOCOL_ERROR: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// How the bridging ended.
enum Ending {
    /// The session did, in this way.
    Session(Option<End>),
    /// The viewer closed the socket.
    Left,
    /// The viewer broke a rule: the close code.
    Fault(u16),
    /// The socket broke or the viewer is taken for gone: nothing more can be said.
    Lost,
}

/// Bridges `socket` and `viewer` until either ends, and says goodbye.
pub(super) async fn serve(socket: WebSocket, mut viewer: Viewer, config: &Config) {
    let (mut sink, mut stream) = socket.split();
    let life = Life::new();
    let input = viewer.input();
    let ending = tokio::select! {
        ending = read(&mut stream, &input, &life) => ending,
        ending = write(&mut sink, &mut viewer, &life, config.ping_interval) => ending,
        // Between two pings a viewer that is alive may well be silent.
        () = life.ended(config.dead_peer_timeout.max(config.ping_interval * 2)) => Ending::Lost,
    };
    // The session begins to close now, whatever the farewell takes.
    drop(viewer);
    let farewell = match ending {
        Ending::Session(end) => Some(Farewell::new(end.as_ref())),
        Ending::Fault(code) => Some(Farewell { line: None, code, reason: String::new() }),
        Ending::Left => None,
        Ending::Lost => return,
    };
    let goodbye = async {
        if let Some(farewell) = farewell {
            say(&mut sink, farewell).await;
        }
        // Reading on sends what is due (the answer to the peer's close frame) and takes what is still coming
        // (without which TCP would reset, and the last line be lost).
        while let Some(Ok(_)) = stream.next().await {}
    };
    let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
}

/// Passes on what the viewer types.
async fn read(stream: &mut SplitStream<WebSocket>, input: &ViewerInput, life: &Life) -> Ending {
    loop {
        let data = match stream.next().await {
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(Message::Binary(data))) => data,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Bytes::new(),
            Some(Ok(Message::Close(_))) | None => return Ending::Left,
            Some(Err(error)) => return fault(error),
        };
        life.note();
        if !data.is_empty() {
            // While input waits for the program, nothing is read, so silence tells nothing of the viewer.
            let _waiting = life.wait();
            // An ended session takes none; how it ended is told by its events.
            let _ = input.send(data).await;
        }
    }
}

fn fault(error: axum::Error) -> Ending {
    use tungstenite::Error as E;
    match error.into_inner().downcast_ref::<E>() {
        Some(E::Capacity(_)) => Ending::Fault(TOO_BIG),
        Some(E::Utf8(_)) => Ending::Fault(NOT_UTF8),
        Some(E::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => Ending::Lost,
        Some(E::Protocol(_)) => Ending::Fault(PROTOCOL_ERROR),
        _ => Ending::Lost,
    }
}

/// Passes on what the terminal says, and pings.
async fn write(
    sink: &mut SplitSink<WebSocket, Message>,
    viewer: &mut Viewer,
    life: &Life,
    ping_interval: Duration,
) -> Ending {
    let ping_interval = ping_interval.max(MIN_PING_INTERVAL);
    let mut pings = interval_at(Instant::now() + ping_interval, ping_interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            event = viewer.next() => match event {
                Some(Event::Output(data)) => Message::Binary(data),
                Some(Event::Closed(end)) => return Ending::Session(Some(end)),
                Some(_) => continue,
                None => return Ending::Session(None),
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        let began = Instant::now();
        if sink.send(message).await.is_err() {
            return Ending::Lost;
        }
        if began.elapsed() >= SLOW_WRITE {
            life.note();
        }
    }
}

async fn say(sink: &mut SplitSink<WebSocket, Message>, farewell: Farewell) {
    let Farewell { line, code, reason } = farewell;
    if let Some(line) = line
        && sink.send(Message::Text(line.into())).await.is_err()
    {
        return;
    }
    let _ = sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
}

/// When the viewer last gave a sign of life.
struct Life {
    last: Mutex<Instant>,
    waiting: AtomicBool,
}

/// For as long as it is held, silence counts for nothing.
struct Waiting<'a>(&'a Life);

impl Life {
    fn new() -> Self {
        Self { last: Mutex::new(Instant::now()), waiting: AtomicBool::new(false) }
    }

    fn note(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn wait(&self) -> Waiting<'_> {
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
    async fn ended(&self, limit: Duration) {
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
