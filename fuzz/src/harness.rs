//! A gateway with one workspace, whose terminal records its input and prints nothing, and in-memory connections to it.
//! Shared by the targets that test the whole gateway.

use std::future::{pending, ready};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eice::gateway::{Config, Gateway};
use eice::model::{
    Connect, Control, Host, HostIds, Input, Output, Signal, Size, StageError, StageObserver, Target,
    Terminal, TerminalEvent, TerminalRequest,
};
use eice::workspace::FileDirectory;
use futures_util::future::BoxFuture;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tower_service::Service as _;

pub const WORKSPACE: &str = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";
pub const HOST: &str = "acme.example";
pub const ORIGIN: &str = "http://acme.example";
/// The token that opens the workspace.
pub const TOKEN: &str = "the-one-token-that-opens-it";
/// printf %s "$TOKEN" | sha256sum
const DIGEST: &str = "c5ea91d370fbdd106874eddd5dc064e3db73ac19d749e5422baa8b916ba908dd";

/// Buffer size of an in-memory connection, in bytes.
const PIPE: usize = 64 << 10;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The input that the terminal got.
#[derive(Clone, Debug)]
pub struct TerminalStub(watch::Sender<Vec<u8>>);

impl TerminalStub {
    pub fn new() -> Self {
        Self(watch::Sender::default())
    }

    pub fn taken(&self) -> Vec<u8> {
        self.0.borrow().clone()
    }

    /// Waits until the input is at least as long as `expected`.
    pub async fn has_taken(&self, expected: &[u8]) {
        let mut taken = self.0.subscribe();
        let enough = taken.wait_for(|taken| taken.len() >= expected.len());
        let waited = timeout(PATIENCE, enough).await.is_ok();
        assert!(waited && self.taken() == expected, "{:?} instead of {expected:?}", self.taken());
    }
}

/// Returns a gateway to `stub`, configured by `configure`.
pub fn gateway(stub: &TerminalStub, configure: impl FnOnce(&mut Config)) -> Gateway {
    let mut config = Config::new(vec![ORIGIN.parse().expect("an origin")]);
    configure(&mut config);
    let directory = format!(
        "[[workspace]]\nid = {WORKSPACE:?}\nname = \"w\"\ninstance = \"i-1\"\n[[token]]\nname = \"t\"\n\
         sha256 = {DIGEST:?}\nworkspaces = \"*\"\n"
    );
    let directory = FileDirectory::parse(&directory).expect("a directory");
    Gateway::new(config, Arc::new(directory), Arc::new(stub.clone()))
}

/// Returns a connection to `gateway`, served until it is closed.
pub fn connection(gateway: &Gateway) -> DuplexStream {
    let (client, server) = tokio::io::duplex(PIPE);
    let routes = gateway.router();
    tokio::spawn(async move {
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            routes.clone().call(request.map(axum::body::Body::new))
        });
        let _ = http1::Builder::new().serve_connection(TokioIo::new(server), service).with_upgrades().await;
    });
    client
}

/// Returns an open terminal socket, with the subprotocol `offer` if given.
pub async fn terminal(gateway: &Gateway, offer: Option<&str>) -> DuplexStream {
    let mut client = connection(gateway);
    let offer = offer.map(|offer| format!("Sec-WebSocket-Protocol: {offer}\r\n")).unwrap_or_default();
    let head = format!(
        "GET /workspaces/{WORKSPACE}/terminal HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {TOKEN}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
    );
    client.write_all(head.as_bytes()).await.expect("a handshake");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(timeout(PATIENCE, client.read_u8()).await.expect("in time").expect("an answer"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    client
}

impl Connect for TerminalStub {
    fn connect<'a>(
        &'a self,
        _: &'a Target,
        _: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Box<dyn Host>, StageError>> {
        Box::pin(ready(Ok(Box::new(self.clone()) as Box<dyn Host>)))
    }
}

impl Host for TerminalStub {
    fn open_terminal<'a>(
        &'a self,
        _: &'a TerminalRequest,
        _: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Terminal, StageError>> {
        let (input, output, control) = (Box::new(self.clone()), Box::new(Silent), Box::new(Silent));
        Box::pin(ready(Ok(Terminal { input, output, control })))
    }

    fn ids(&self) -> HostIds {
        HostIds::default()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}

impl Input for TerminalStub {
    fn write(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.0.send_modify(|taken| taken.extend_from_slice(&data));
        Box::pin(ready(Ok(())))
    }

    fn end(&mut self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(ready(Ok(())))
    }
}

/// An output that never prints.
struct Silent;

impl Output for Silent {
    fn next(&mut self) -> BoxFuture<'_, Option<io::Result<TerminalEvent>>> {
        Box::pin(pending())
    }
}

impl Control for Silent {
    fn resize(&self, _: Size) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(ready(Ok(())))
    }

    fn signal(&self, _: Signal) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(ready(Ok(())))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}
