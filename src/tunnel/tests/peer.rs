//! A scripted endpoint: TLS, the upgrade, and then the test's script.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use eice_proto::{Credentials, PresignedUrl, Timestamp, TunnelRequest};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::model::{StageEvent, StageState, error_chain};
use crate::tunnel::{Config, DialTimeouts, Dialer, Error, ProxyConfig, Tunnel};

/// A secret that must not appear in any error text.
pub(super) const SECRET_TOKEN: &str = "canary-session-token";

/// A self-signed certificate for `name`, and the server that uses it.
pub(super) struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) acceptor: TlsAcceptor,
}

pub(super) fn identity(name: &str, is_expired: bool) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if is_expired {
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    }
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    Identity { certificate, acceptor: TlsAcceptor::from(Arc::new(config)) }
}

/// A listening endpoint that runs `script` on its first connection.
pub(super) struct Peer {
    pub(super) port: u16,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs `script` on the first connection to the returned port.
pub(super) async fn listen<F>(script: impl FnOnce(TcpStream) -> F + Send + 'static) -> (u16, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        script(stream).await;
    });
    (port, task)
}

/// Runs `script` on the bare TCP connection.
pub(super) async fn tcp_peer<F>(
    identity: Identity,
    script: impl FnOnce(TcpStream, TlsAcceptor) -> F + Send + 'static,
) -> Peer
where
    F: Future<Output = ()> + Send + 'static,
{
    let (port, task) = listen(|stream| script(stream, identity.acceptor)).await;
    Peer { port, certificate: identity.certificate, task }
}

/// Runs `script` on the TLS connection with the head of the upgrade.
pub(super) async fn tls_peer<F>(
    script: impl FnOnce(TlsStream<TcpStream>, String) -> F + Send + 'static,
) -> Peer
where
    F: Future<Output = ()> + Send + 'static,
{
    tcp_peer(identity("localhost", false), |stream, acceptor| async move {
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        let head = read_head(&mut stream).await;
        script(stream, head).await;
    })
    .await
}

/// Runs `script` on the connection after an accepted upgrade.
pub(super) async fn tunnel_peer<F>(script: impl FnOnce(TlsStream<TcpStream>) -> F + Send + 'static) -> Peer
where
    F: Future<Output = ()> + Send + 'static,
{
    tls_peer(|mut stream, head| async move {
        stream.write_all(accepted(&head).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        script(stream).await;
    })
    .await
}

/// Reads up to the empty line.
pub(super) async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut head = BytesMut::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend_from_slice(&[stream.read_u8().await.unwrap()]);
    }
    String::from_utf8(head.to_vec()).unwrap()
}

/// Returns the 101 that answers `head`.
pub(super) fn accepted(head: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nx-amzn-RequestId: req-1\r\n\r\n",
        eice_proto::handshake::accept_key(key)
    )
}

/// Encodes a frame as a server sends it.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ 0..126 => out.push(u8::try_from(n).unwrap()),
        n if n <= 0xffff => {
            out.push(126);
            out.extend(u16::try_from(n).unwrap().to_be_bytes());
        }
        n => {
            out.push(127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    out.extend(payload);
    out
}

/// Returns the URL of `localhost:port`, signed with a token that must not appear anywhere.
pub(super) fn url(authority: &str) -> PresignedUrl {
    let credentials = Credentials::new("AKIDEXAMPLE", "canary-secret-key", Some(SECRET_TOKEN.into()));
    TunnelRequest::new(
        authority.parse().unwrap(),
        "eice-0123456789abcdef0".parse().unwrap(),
        "10.0.1.23".parse().unwrap(),
    )
    .presign(&credentials, "eu-west-1", Timestamp::from_unix(1_785_326_400), Some(60))
}

/// Returns settings that trust only `certificate`.
pub(super) fn trusting(certificate: &CertificateDer<'static>) -> Config {
    Config {
        native_roots: false,
        extra_ca: vec![certificate.clone()],
        proxy: ProxyConfig::none(),
        ..Config::default()
    }
}

/// Shortens the timeouts to what a test can wait for.
pub(super) fn impatient(config: Config) -> Config {
    let each = Duration::from_millis(150);
    Config { timeouts: DialTimeouts { tcp: each, proxy: each, tls: each, upgrade: each }, ..config }
}

/// Dials `localhost:port` and collects the stages.
pub(super) async fn dial_stages(config: Config, port: u16) -> (Result<Tunnel, Error>, Vec<String>) {
    let stages = Mutex::new(Vec::new());
    let observer = |event: StageEvent| {
        let word = match event.state {
            StageState::Started => "started",
            StageState::Passed(_) => "passed",
            _ => "failed",
        };
        stages.lock().unwrap().push(format!("{} {word}", event.stage));
    };
    let dialer = Dialer::new(config).unwrap();
    let result = dialer.dial(&url(&format!("localhost:{port}")), None, &observer).await;
    if let Err(error) = &result {
        let text = format!("{} {error:?}", error_chain(error));
        for secret in [SECRET_TOKEN, "canary", "X-Amz-Signature", "hunter2"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    (result, stages.into_inner().unwrap())
}

/// Dials `peer`.
pub(super) async fn dial(peer: &Peer) -> Result<Tunnel, Error> {
    dial_stages(trusting(&peer.certificate), peer.port).await.0
}
