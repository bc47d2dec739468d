//! The gateway over real sockets, with a WebSocket client that shares none of its code but tungstenite.

mod access;
mod admission;
mod bridge;
mod claims;
mod cross_origin;
mod development;
mod diagnose;
mod eicterm;
mod fairness;
mod files;
mod identity;
mod legacy;
mod limits;
mod members;
mod memory;
mod observed;
mod organizations;
mod rates;
mod ready;
mod revocation;
mod secrets;
mod serving;
mod sessions;
mod stalls;
mod tenant;
#[cfg(feature = "emulator")]
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use futures_util::future::{BoxFuture, ready};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Config, Gateway};
use crate::session::script::{Mode, SOON, Script};
use crate::workspace::{
    BearerToken, Directory, DirectoryError, FileDirectory, Principal, Workspace, WorkspaceId, always,
};

/// A workspace that the token `abc` opens.
const MINE: &str = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";
/// One that it does not.
const OTHERS: &str = "1a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";
/// One that it might, were it not removed.
const REMOVED: &str = "2a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";
/// An id of no workspace.
const NOWHERE: &str = "3a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";
/// The only origin that is allowed.
const ORIGIN: &str = "http://gateway.test:8080";
const HOST: &str = "gateway.test:8080";

fn directory() -> Arc<dyn Directory> {
    // printf %s abc | sha256sum
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let all = BearerToken::new("all").unwrap().digest();
    let text = format!(
        r#"
[[workspace]]
id = "{MINE}"
name = "mine"
instance = "i-1"
container = "ws-mine"
[[workspace]]
id = "{OTHERS}"
name = "others"
instance = "i-2"
[[workspace]]
id = "{REMOVED}"
name = "removed"
status = "removed"
instance = "i-3"
[[token]]
name = "ci"
sha256 = "{abc}"
workspaces = ["{MINE}", "{REMOVED}"]
[[token]]
name = "org"
sha256 = "{all}"
workspaces = "*"
"#
    );
    Arc::new(FileDirectory::parse(&text).unwrap())
}

/// A request to every route of the workspace `id`.
fn routes_to(id: &str) -> Vec<String> {
    [
        ("GET", ""),
        ("GET", "/terminal"),
        ("POST", "/terminal/ticket"),
        ("GET", "/terminal/diagnose"),
        ("GET", "/terminal/sessions"),
        ("DELETE", "/terminal/sessions/00000000-0000-4000-8000-000000000000"),
        ("PUT", "/files"),
        ("PUT", "/files/a"),
    ]
    .map(|(method, path)| format!("{method} /workspaces/{id}{path}"))
    .into()
}

/// A request that is refused: the workspace, what is shown, and the status of the answer.
type Refused = (&'static str, &'static [(&'static str, &'static str)], u16);

/// Who may not ask for a workspace.
const NOT_ADMITTED: [Refused; 8] = [
    (MINE, &[], 401),
    (MINE, &[("Authorization", "Bearer no")], 401),
    (OTHERS, &[("Authorization", "Bearer abc")], 401),
    (REMOVED, &[("Authorization", "Bearer abc")], 404),
    ("acme", &[("Authorization", "Bearer abc")], 401),
    (NOWHERE, &[("Authorization", "Bearer all")], 404),
    (MINE, &[("Authorization", "Bearer abc"), ("Origin", "https://evil.test")], 403),
    (MINE, &[("Authorization", "Bearer abc"), ("Host", "evil.test")], 403),
];

/// A directory whose database is down.
struct Down;

impl Directory for Down {
    always!(ready(Err(DirectoryError::new("connection refused"))));
}

/// A directory whose database does not answer.
struct Silent;

impl Directory for Silent {
    always!(std::future::pending());
}

/// A gateway on a loopback port.
struct Server {
    address: SocketAddr,
    gateway: Gateway,
    script: Arc<Script>,
    drain: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(script: Script) -> Self {
        Self::with(script, directory(), |_| {}, |_| Router::new()).await
    }

    async fn with(
        script: Script,
        directory: Arc<dyn Directory>,
        configure: impl FnOnce(&mut Config),
        more: impl FnOnce(&Gateway) -> Router,
    ) -> Self {
        let mut config = Config::new(vec![ORIGIN.parse().unwrap()]);
        configure(&mut config);
        let script = Arc::new(script);
        let gateway = Gateway::new(config, directory, script.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (drain, drained) = oneshot::channel::<()>();
        let routes = gateway.router().merge(more(&gateway));
        let task = tokio::spawn({
            let gateway = gateway.clone();
            async move { gateway.serve(listener, routes, async { drop(drained.await) }).await }
        });
        Self { address, gateway, script, drain: Some(drain), task }
    }

    /// A request with these lines after the request line; `Host` is added unless there is one.
    async fn http(&self, request: &str, headers: &[(&str, &str)]) -> Answer {
        self.http_with_body(request, headers, "").await
    }

    async fn http_with_body(&self, request: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!("{request} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("Host: {HOST}\r\n");
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n" + body).as_bytes()).await.unwrap();
        let mut text = Vec::new();
        timeout(SOON, stream.read_to_end(&mut text)).await.unwrap().unwrap();
        Answer::parse(&String::from_utf8(text).unwrap())
    }

    /// A WebSocket to the terminal of the workspace that is ours, as a page of ours opens it.
    async fn terminal(&self) -> Socket {
        let path = format!("/workspaces/{MINE}/terminal");
        self.socket(&path, &[("Origin", ORIGIN), ("Authorization", "Bearer abc")]).await.unwrap()
    }

    /// A WebSocket, or the answer that refused it.
    async fn socket(&self, path: &str, headers: &[(&str, &str)]) -> Result<Socket, Answer> {
        let mut request = format!("ws://{HOST}{path}").into_client_request().unwrap();
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        match timeout(SOON, client_async(request, stream)).await.unwrap() {
            Ok((socket, _)) => Ok(socket),
            Err(WsError::Http(response)) => Err(Answer {
                status: response.status().as_u16(),
                headers: response.headers().clone(),
                body: String::from_utf8(response.into_body().unwrap_or_default()).unwrap(),
            }),
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until no session is live.
    async fn idle(&self) {
        timeout(SOON, self.gateway.sessions().idle()).await.expect("a session stayed");
    }

    /// One that drains and is not done: an open terminal of its, which is given back, does not close.
    async fn held_in_draining() -> (Self, Socket) {
        let mut script = script(Mode::Open);
        script.hangs_on_close = true;
        let mut server = Self::start(script).await;
        let socket = server.terminal().await;
        server.script.until("the terminal", |seen| !seen.requests.is_empty()).await;
        server.drain();
        server.script.until("the close", |seen| seen.terminal_closes == 1).await;
        (server, socket)
    }

    fn drain(&mut self) {
        drop(self.drain.take());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Socket = WebSocketStream<TcpStream>;

async fn next(socket: &mut Socket) -> Option<Result<Message, WsError>> {
    use futures_util::StreamExt as _;
    timeout(SOON, socket.next()).await.expect("nothing came in time")
}

/// Reads until the close frame: the BINARY bytes, the TEXT, and the code and reason of the close.
async fn read_to_close(socket: &mut Socket) -> (Vec<u8>, String, Option<(u16, String)>) {
    let (mut binary, mut text) = (Vec::new(), String::new());
    loop {
        match next(socket).await {
            Some(Ok(Message::Binary(data))) => binary.extend_from_slice(&data),
            Some(Ok(Message::Text(data))) => text.push_str(&data),
            Some(Ok(Message::Close(frame))) => {
                let close = frame.map(|frame| (u16::from(frame.code), frame.reason.to_string()));
                return (binary, text, close);
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return (binary, text, None),
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse::<http::HeaderName>().unwrap(), value.parse::<http::HeaderValue>().unwrap())
        });
        let mut all = http::HeaderMap::new();
        headers.for_each(|(name, value)| {
            all.append(name, value);
        });
        Self { status, headers: all, body: body.to_owned() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
}

fn script(mode: Mode) -> Script {
    Script::new(mode)
}
