//! The protocol of today's Canvas client: messages in are stdin, BINARY out is stdout, TEXT out is an error.

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::Config;
use super::observe::Observation;
use super::rate::Rate;
use super::socket::{self, Goodbye, Life, Loss, Sink, Stream};
use super::text::{Farewell, warning};
use crate::session::{End, Event, Viewer, ViewerInput};

/// How the bridging ended.
enum Ending {
    /// The session did, in this way.
    Session(Option<End>),
    /// The viewer closed the socket.
    Left,
    /// The viewer broke a rule: the close code.
    Fault(u16),
    /// Nothing more can be said.
    Lost(Loss),
}

/// Bridges `socket` and `viewer` until either ends, and says goodbye.
pub(super) async fn serve(socket: WebSocket, mut viewer: Viewer, config: &Config, observed: &Observation) {
    let (mut sink, mut stream) = socket.split();
    let life = Life::new();
    let input = viewer.input();
    let overdue = socket::overdue(&viewer);
    let ending = tokio::select! {
        ending = read(&mut stream, &input, &life, Rate::new(config.max_control_rate)) => ending,
        ending = write(&mut sink, &mut viewer, &life, config) => ending,
        // Between two pings a viewer that is alive may well be silent.
        () = life.ended(config.dead_peer_timeout.max(config.ping_interval * 2)) => Ending::Lost(Loss::Gone),
        () = overdue => Ending::Session(viewer.end().await),
    };
    let goodbye = match ending {
        Ending::Session(end) => {
            let Farewell { line, code, reason } = Farewell::new(end.as_ref());
            Ok(Goodbye { lines: line.into_iter().collect(), close: Some((code, reason)) })
        }
        Ending::Fault(code) => Ok(Goodbye::fault(code, |reason| format!("Error: {reason}\r\n"))),
        Ending::Left => Ok(Goodbye::default()),
        Ending::Lost(loss) => Err(loss),
    };
    socket::close(sink, stream, viewer, goodbye, observed).await;
}

/// Passes on what the viewer types.
async fn read(stream: &mut Stream, input: &ViewerInput, life: &Life, mut control: Rate) -> Ending {
    loop {
        let data = match stream.next().await {
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(Message::Binary(data))) => data,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) if control.take() => Bytes::new(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ending::Fault(socket::POLICY),
            Some(Ok(Message::Close(_))) | None => return Ending::Left,
            Some(Err(error)) => return socket::fault(error).map_or_else(Ending::Lost, Ending::Fault),
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

/// Passes on what the terminal says, and pings.
async fn write(sink: &mut Sink, viewer: &mut Viewer, life: &Life, config: &Config) -> Ending {
    let mut pings = socket::pings(config.ping_interval);
    loop {
        let message = tokio::select! {
            event = viewer.next() => match event {
                Some(Event::Output(data)) => Message::Binary(data),
                Some(Event::Warning { limit, left }) => Message::Text(warning(limit, left).into()),
                Some(Event::Closed(end)) => return Ending::Session(Some(end)),
                Some(_) => continue,
                None => return Ending::Session(None),
            },
            _ = pings.tick() => socket::ping(),
        };
        if let Err(loss) = socket::send(sink, message, life).await {
            return Ending::Lost(loss);
        }
    }
}
