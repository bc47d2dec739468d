//! The protocol of the platform's Canvas client: messages in are stdin, BINARY out is stdout, TEXT out is an error.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep_until};

use super::Config;
use super::characters::Characters;
use super::observe::Observation;
use super::rate::Rate;
use super::socket::{self, CloseMessage, Liveness, Loss, Sink, Stream};
use super::text::{EndMessage, warning};
use crate::session::{End, Event, Viewer, ViewerInput};

/// How long an unfinished character waits for its next byte before it is sent as it is.
const CHARACTER_TIMEOUT: Duration = Duration::from_secs(1);

/// How the bridging ended.
enum Ending {
    /// The session ended.
    Session(Option<End>),
    /// The viewer closed the socket.
    Left,
    /// The viewer violated the protocol: the close code.
    Fault(u16),
    /// The socket is lost.
    Lost(Loss),
}

/// Bridges `socket` and `viewer` until either ends, and closes the socket.
pub(super) async fn serve(socket: WebSocket, mut viewer: Viewer, config: &Config, observed: &Observation) {
    let (mut sink, mut stream) = socket.split();
    let life = Liveness::new();
    let input = viewer.input();
    let overdue = socket::overdue(&viewer);
    let ending = tokio::select! {
        ending = read(&mut stream, &input, &life, Rate::new(config.max_control_rate)) => ending,
        ending = write(&mut sink, &mut viewer, &life, config) => ending,
        // A live viewer may be silent between two pings.
        () = life.ended(config.dead_peer_timeout.max(config.ping_interval * 2)) => Ending::Lost(Loss::Gone),
        () = overdue => Ending::Session(viewer.end().await),
    };
    let close_message = match ending {
        Ending::Session(end) => {
            let EndMessage { line, code, reason } = EndMessage::new(end.as_ref());
            Ok(CloseMessage { lines: line.into_iter().collect(), close: Some((code, reason)) })
        }
        Ending::Fault(code) => Ok(CloseMessage::fault(code, |reason| format!("Error: {reason}\r\n"))),
        Ending::Left => Ok(CloseMessage::default()),
        Ending::Lost(loss) => Err(loss),
    };
    socket::close(sink, stream, viewer, close_message, observed).await;
}

/// Passes on the viewer's input.
async fn read(stream: &mut Stream, input: &ViewerInput, life: &Liveness, mut control: Rate) -> Ending {
    loop {
        let data = match stream.next().await {
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(Message::Binary(data))) => data,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Bytes::new(),
            Some(Ok(Message::Close(_))) | None => return Ending::Left,
            Some(Err(error)) => return socket::fault(error).map_or_else(Ending::Lost, Ending::Fault),
        };
        life.note();
        if data.is_empty() {
            // Input is bounded by its bytes; a message without any counts as control.
            if !control.take() {
                return Ending::Fault(socket::POLICY);
            }
            continue;
        }
        // Nothing is read while input waits for the program, so silence does not count.
        let _waiting = life.wait();
        // Errors are ignored: the session's events report how it ended.
        let _ = input.send(data).await;
    }
}

/// Passes on the terminal's output in whole characters, and pings.
async fn write(sink: &mut Sink, viewer: &mut Viewer, life: &Liveness, config: &Config) -> Ending {
    let mut pings = socket::pings(config.ping_interval);
    let mut characters = Characters::default();
    let mut flush_at: Option<Instant> = None;
    loop {
        let mut end = None;
        let messages = tokio::select! {
            event = viewer.next() => match event {
                Some(Event::Output(data)) => {
                    let pieces = characters.push(data);
                    flush_at = (!characters.is_empty()).then(|| Instant::now() + CHARACTER_TIMEOUT);
                    pieces.map(|piece| piece.map(Message::Binary))
                }
                Some(Event::Warning { limit, left }) => [Some(Message::Text(warning(limit, left).into())), None],
                Some(Event::Closed(how)) => {
                    end = Some(Ending::Session(Some(how)));
                    [characters.flush().map(Message::Binary), None]
                }
                Some(_) => continue,
                None => {
                    end = Some(Ending::Session(None));
                    [characters.flush().map(Message::Binary), None]
                }
            },
            () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => {
                flush_at = None;
                [characters.flush().map(Message::Binary), None]
            }
            _ = pings.tick() => [Some(socket::ping()), None],
        };
        for message in messages.into_iter().flatten() {
            if let Err(loss) = socket::send(sink, message, life).await {
                return Ending::Lost(loss);
            }
        }
        if let Some(end) = end {
            return end;
        }
    }
}
