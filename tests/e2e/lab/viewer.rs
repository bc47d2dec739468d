//! Today's Canvas client: TEXT frames are keystrokes, BINARY frames are output, a TEXT frame is an error.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{Error, Message};

/// How long the gateway may take to say what is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A browser tab with a terminal in it.
pub(crate) struct Viewer {
    socket: WebSocketStream<TcpStream>,
    unread: Vec<u8>,
}

/// How a terminal ended for its viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Farewell {
    /// Output that nobody waited for.
    pub(crate) output: String,
    /// The errors, each a TEXT frame.
    pub(crate) errors: Vec<String>,
    /// The close frame's code and reason; none when the socket just broke.
    pub(crate) close: Option<(u16, String)>,
}

impl Viewer {
    /// Opens the terminal of `workspace` with a bearer token.
    pub(crate) async fn open(gateway: SocketAddr, workspace: &str, token: &str) -> Self {
        Self::try_open(gateway, workspace, &[("authorization", &format!("Bearer {token}"))])
            .await
            .expect("the upgrade")
    }

    /// The same with any headers; the status of a refusal.
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
            Ok((socket, _)) => Ok(Self { socket, unread: Vec::new() }),
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

    /// Reads until `text` came, and returns all up to its end.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            // What was searched already: a flood is searched once.
            let mut searched = 0;
            loop {
                let mut windows = self.unread[searched..].windows(text.len());
                if let Some(at) = windows.position(|window| window == text.as_bytes()) {
                    let said: Vec<u8> = self.unread.drain(..searched + at + text.len()).collect();
                    return String::from_utf8_lossy(&said).into_owned();
                }
                searched = self.unread.len().saturating_sub(text.len());
                let so_far = || String::from_utf8_lossy(&self.unread).into_owned();
                match timeout(ANSWER_TIMEOUT, self.socket.next()).await {
                    Ok(Some(Ok(Message::Binary(data)))) => self.unread.extend_from_slice(&data),
                    Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                    Ok(other) => panic!("{caller}: {other:?} before {text:?}, after {:?}", so_far()),
                    Err(_) => panic!("{caller}: no {text:?} in {ANSWER_TIMEOUT:?}, but {:?}", so_far()),
                }
            }
        }
    }

    /// Reads until so many pings came, and nothing else.
    pub(crate) async fn pings(&mut self, count: usize) {
        let mut came = 0;
        while came < count {
            match timeout(ANSWER_TIMEOUT, self.socket.next()).await.expect("a ping in time") {
                Some(Ok(Message::Ping(_))) => came += 1,
                Some(Ok(Message::Binary(data))) => self.unread.extend_from_slice(&data),
                other => panic!("{other:?} after {came} pings"),
            }
        }
    }

    /// Reads to the end.
    pub(crate) async fn finish(mut self) -> Farewell {
        let (mut errors, mut close) = (Vec::new(), None);
        loop {
            match timeout(ANSWER_TIMEOUT, self.socket.next()).await.expect("it ends in time") {
                Some(Ok(Message::Binary(data))) => self.unread.extend_from_slice(&data),
                Some(Ok(Message::Text(text))) => errors.push(text.to_string()),
                Some(Ok(Message::Close(frame))) => {
                    close =
                        Some(frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
        }
        Farewell { output: String::from_utf8_lossy(&self.unread).into_owned(), errors, close }
    }

    /// Closes the tab.
    pub(crate) async fn leave(mut self) {
        let _ = self.socket.close(None).await;
        while let Some(Ok(_)) =
            timeout(ANSWER_TIMEOUT, self.socket.next()).await.expect("the close is answered")
        {}
    }

    /// Vanishes without a word, as a browser that is killed: the kernel closes its socket.
    pub(crate) fn vanish(self) {
        drop(self);
    }
}
