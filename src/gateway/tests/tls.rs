//! TLS with real certificates and a real client.

use std::path::Path;
use std::time::Duration;

use futures_util::SinkExt as _;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::gateway::{Listening, Pair, Tls, TlsError, TlsFiles};

const NAME: &str = "gateway.test";

/// A gateway behind TLS, and its files.
struct Secure {
    server: Server,
    tls: Arc<Tls>,
    dir: tempfile::TempDir,
}

fn files(dir: &Path) -> TlsFiles {
    TlsFiles::new(dir.join("cert.pem"), dir.join("key.pem"))
}

/// Writes a new certificate and its key, and returns the certificate.
fn write(dir: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![NAME.into()]).unwrap();
    std::fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    cert.der().clone()
}

async fn start(
    tune: impl FnOnce(Tls) -> Tls,
    handshake_timeout: Duration,
) -> (Secure, CertificateDer<'static>) {
    let dir = tempfile::tempdir().unwrap();
    let certificate = write(dir.path());
    let script = Arc::new(script(Mode::Open));
    let config = Config::new(vec![format!("https://{HOST}").parse().unwrap()]);
    let gateway = Gateway::new(config, directory(), script.clone());
    let pair = Pair::load(&files(dir.path())).unwrap();
    let tls = Arc::new(tune(Tls::new(pair, handshake_timeout, gateway.metrics().clone())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (drain, drained) = oneshot::channel::<()>();
    let task = tokio::spawn({
        let (gateway, routes) = (gateway.clone(), gateway.router());
        let listening = Listening::tls(listener, tls.clone());
        async move { gateway.serve(listening, routes, async { drop(drained.await) }).await }
    });
    let server = Server { address, gateway, script, drain: Some(drain), task };
    (Secure { server, tls, dir }, certificate)
}

impl Secure {
    /// A connection that trusts `certificate` alone.
    async fn connect(&self, certificate: &CertificateDer<'static>) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(self.server.address).await.unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        timeout(SOON, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
    }

    fn counted(&self, outcome: &str) -> u64 {
        self.server.gateway.metrics().tls_handshakes.with_label_values(&[outcome]).get()
    }

    fn reloads(&self, outcome: &str) -> u64 {
        self.server.gateway.metrics().reloads.with_label_values(&["certificate", outcome]).get()
    }
}

/// Requests `/health` on a connection that stays open.
async fn health(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(format!("GET /health HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"{\"status\":\"ok\"}") {
        answer.push(timeout(SOON, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(answer).unwrap()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let all = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, all).await.unwrap_or_else(|_| panic!("{what} did not happen"));
}

#[tokio::test]
async fn tls_terminal_is_drained() {
    let (mut secure, certificate) = start(|tls| tls, SOON).await;
    let mut stream = secure.connect(&certificate).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let answer = health(&mut stream).await.to_lowercase();
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    let mut request = format!("wss://{HOST}/workspaces/{MINE}/terminal").into_client_request().unwrap();
    request.headers_mut().insert("authorization", "Bearer abc".parse().unwrap());
    let tls = secure.connect(&certificate).await.unwrap();
    let (mut socket, _) = timeout(SOON, client_async(request, tls)).await.unwrap().unwrap();
    socket.send(Message::text("x")).await.unwrap();
    secure.server.script.until("input", |seen| seen.written == b"x").await;
    secure.server.drain();
    let close = loop {
        match timeout(SOON, futures_util::StreamExt::next(&mut socket)).await.unwrap() {
            Some(Ok(Message::Close(frame))) => break frame.unwrap(),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(u16::from(close.code), 1001);
    let _ = socket.close(None).await;
    drop(socket);
    timeout(SOON, &mut secure.server.task).await.unwrap().unwrap().unwrap();
    // The idle connection was closed, not reset.
    let mut rest = Vec::new();
    timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!((rest.len(), secure.counted("completed")), (0, 2));
}

#[tokio::test]
async fn new_certificate_serves_new_connections() {
    let (secure, old) = start(|tls| tls, SOON).await;
    let mut open = secure.connect(&old).await.unwrap();
    health(&mut open).await;
    let new = write(secure.dir.path());
    secure.tls.replace(Pair::load(&files(secure.dir.path())).unwrap());
    assert!(secure.connect(&old).await.is_err(), "the old one is gone");
    health(&mut secure.connect(&new).await.unwrap()).await;
    health(&mut open).await;
    assert_eq!((secure.reloads("applied"), secure.reloads("failed")), (1, 0));
    assert!(secure.server.gateway.metrics().certificate_not_after.get() > 1e9);
}

#[tokio::test]
async fn bad_files_keep_the_old_certificate() {
    let (secure, old) = start(|tls| tls.looking_every(Duration::from_millis(20)), SOON).await;
    std::fs::write(secure.dir.path().join("cert.pem"), "nonsense").unwrap();
    until("the failure", || secure.reloads("failed") == 1).await;
    health(&mut secure.connect(&old).await.unwrap()).await;
    let new = write(secure.dir.path());
    until("the reload", || secure.reloads("applied") >= 1).await;
    health(&mut secure.connect(&new).await.unwrap()).await;
}

#[tokio::test]
async fn missing_handshake_times_out() {
    let (secure, certificate) = start(|tls| tls, Duration::from_millis(50)).await;
    // Also a handshake record that announces 512 bytes.
    for sent in [&b""[..], &[22, 3, 1, 2, 0, 1]] {
        let mut slow = TcpStream::connect(secure.server.address).await.unwrap();
        slow.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(SOON, slow.read_to_end(&mut answer)).await.expect("it was left waiting");
    }
    until("the timeouts", || secure.counted("timeout") == 2).await;
    // After the handshake, the connection may be idle.
    health(&mut secure.connect(&certificate).await.unwrap()).await;
}

#[tokio::test]
async fn plain_http_gets_400() {
    let (secure, _) = start(|tls| tls, SOON).await;
    let mut plain = TcpStream::connect(secure.server.address).await.unwrap();
    plain.write_all(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    plain.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(SOON, plain.read_to_string(&mut answer)).await.unwrap().expect("no reset");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("use https://\n"), "{answer}");
    until("the count", || secure.counted("plain") == 1).await;

    let mut broken = TcpStream::connect(secure.server.address).await.unwrap();
    broken.write_all(&[22; 600]).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(SOON, broken.read_to_end(&mut answer)).await.expect("it was left waiting");
    until("the count", || secure.counted("failed") == 1).await;
}

#[test]
fn pair_errors_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    assert!(matches!(Pair::load(&files), Err(TlsError::Read { path, .. }) if path == files.cert));
    write(dir.path());
    assert!(Pair::load(&files).unwrap().not_after().is_some());
    // The key of another certificate.
    let other = tempfile::tempdir().unwrap();
    write(other.path());
    std::fs::copy(other.path().join("key.pem"), &files.key).unwrap();
    assert!(matches!(Pair::load(&files), Err(TlsError::Pair { .. })));
    std::fs::copy(&files.cert, &files.key).unwrap();
    assert!(matches!(Pair::load(&files), Err(TlsError::Pem { what: "private key", .. })));
    std::fs::write(&files.cert, "").unwrap();
    assert!(matches!(Pair::load(&files), Err(TlsError::Pem { what: "certificate", .. })));
}
