//! A browser tab on a local workspace, by `eicterm.v1`.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::gateway::{Gateway, PUBLIC_NAME, bearer};
use crate::lab::{Source, Transcript};

/// How long a message, or an expected output, may take.
const SOON: Duration = Duration::from_secs(30);

/// A browser tab that uses `eicterm.v1`.
pub(super) struct Tab {
    socket: WebSocketStream<TcpStream>,
    transcript: Transcript,
    messages: Vec<Value>,
}

impl Tab {
    pub(super) async fn open(gateway: &Gateway, cols: u16, rows: u16) -> Self {
        let addr = gateway.program.addr();
        let mut request =
            format!("ws://{addr}/workspaces/{}/terminal", gateway.workspace).into_client_request().unwrap();
        for (name, value) in [
            ("authorization", bearer()),
            ("host", PUBLIC_NAME.into()),
            ("sec-websocket-protocol", "eicterm.v1".into()),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(addr).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let mut tab = Self { socket, transcript: Transcript::default(), messages: Vec::new() };
        let attach = format!("\u{10}{{\"cols\":{cols},\"rows\":{rows}}}");
        tab.send(attach.as_bytes()).await;
        tab
    }

    pub(super) async fn send(&mut self, frame: &[u8]) {
        self.socket.send(Message::Binary(frame.to_vec().into())).await.unwrap();
    }

    pub(super) async fn types(&mut self, text: &str) {
        self.send(&[b"\0", text.as_bytes()].concat()).await;
    }

    /// Reads until the terminal printed `text`, and returns the `stage` messages that came meanwhile.
    pub(super) async fn until_output(&mut self, text: &str) -> Vec<Value> {
        self.read_until(text, SOON).await;
        let messages = std::mem::take(&mut self.messages);
        messages.into_iter().filter(|message| message["t"] == "stage").collect()
    }

    /// Reads to the end; returns the `exit` message and the close code.
    pub(super) async fn finish(mut self) -> (Value, Option<u16>) {
        let (mut exit, mut close) = (Value::Null, None);
        while let Some(Ok(message)) = timeout(SOON, self.socket.next()).await.expect("it ends in time") {
            match message {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if message["t"] == "exit" {
                        exit = message;
                    }
                }
                Message::Close(frame) => close = frame.map(|frame| frame.code.into()),
                _ => {}
            }
        }
        (exit, close)
    }
}

impl Source for Tab {
    fn transcript(&mut self) -> &mut Transcript {
        &mut self.transcript
    }

    async fn read_more(&mut self) -> Result<(), String> {
        match self.socket.next().await {
            Some(Ok(Message::Binary(data))) => self.transcript.push(&data),
            Some(Ok(Message::Text(text))) => self.messages.push(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }
}
