//! The current Canvas client: TEXT frames are keystrokes, BINARY frames are output, a TEXT frame is an error.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::transcript::{Source, Transcript};

/// How long the gateway may take for one message.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long [`Viewer::until`] waits, however much other output comes meanwhile.
const UNTIL_TIMEOUT: Duration = Duration::from_secs(120);

/// A browser tab with a terminal.
pub(crate) struct Viewer {
    socket: WebSocketStream<TcpStream>,
    transcript: Transcript,
}

/// How a terminal ended for its viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The remaining output.
    pub(crate) output: String,
    /// The errors, each a TEXT frame.
    pub(crate) errors: Vec<String>,
    /// The close frame's code and reason; `None` when the socket ended without one.
    pub(crate) close: Option<(u16, String)>,
}

impl Viewer {
    /// Opens the terminal of `workspace` with a bearer token.
    pub(crate) async fn open(gateway: SocketAddr, workspace: &str, token: &str) -> Self {
        Self::try_open(gateway, workspace, &[("authorization", &format!("Bearer {token}"))])
            .await
            .expect("the upgrade")
    }

    /// The same with any headers; returns the status of a refusal.
    pub(crate) async fn try_open(
        gateway: SocketAddr,
        workspace: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, StatusCode> {
        let url = format!("ws://{gateway}/workspaces/{workspace}/terminal");
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(gateway).await.unwrap();
        match timeout(ANSWER_TIMEOUT, tokio_tungstenite::client_async(request, stream)).await.unwrap() {
            Ok((socket, _)) => Ok(Self { socket, transcript: Transcript::default() }),
            Err(Error::Http(response)) => Err(response.status()),
            Err(error) => panic!("the upgrade broke: {error}"),
        }
    }

    /// Types `text` and Enter.
    pub(crate) async fn line(&mut self, text: &str) {
        self.key(&format!("{text}\r")).await;
    }

    /// Types or pastes `text`.
    pub(crate) async fn key(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Reads until `text` has come, and returns the output up to its end.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> impl Future<Output = String> {
        self.read_until(text, UNTIL_TIMEOUT)
    }

    /// Reads until `count` pings have come; anything but output in between fails.
    pub(crate) async fn pings(&mut self, count: usize) {
        let mut received = 0;
        while received < count {
            match timeout(ANSWER_TIMEOUT, self.socket.next()).await.expect("a ping in time") {
                Some(Ok(Message::Ping(_))) => received += 1,
                Some(Ok(Message::Binary(data))) => self.transcript.push(&data),
                other => panic!("{other:?} after {received} pings"),
            }
        }
    }

    /// Reads to the end.
    pub(crate) async fn finish(mut self) -> Closed {
        let (mut errors, mut close) = (Vec::new(), None);
        loop {
            match timeout(ANSWER_TIMEOUT, self.socket.next()).await.expect("it ends in time") {
                Some(Ok(Message::Binary(data))) => self.transcript.push(&data),
                Some(Ok(Message::Text(text))) => errors.push(text.to_string()),
                Some(Ok(Message::Close(frame))) => {
                    close =
                        Some(frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
        }
        Closed { output: self.transcript.into_text(), errors, close }
    }

    /// Closes the tab.
    pub(crate) async fn leave(mut self) {
        let _ = self.socket.close(None).await;
        while let Some(Ok(_)) =
            timeout(ANSWER_TIMEOUT, self.socket.next()).await.expect("the close is answered")
        {}
    }

    /// Disappears like a killed browser: the kernel closes the socket without a close frame.
    pub(crate) fn vanish(self) {
        drop(self);
    }
}

impl Source for Viewer {
    fn transcript(&mut self) -> &mut Transcript {
        &mut self.transcript
    }

    async fn read_more(&mut self) -> Result<(), String> {
        match self.socket.next().await {
            Some(Ok(Message::Binary(data))) => self.transcript.push(&data),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }
}
