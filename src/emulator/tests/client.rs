//! A client built from eice_proto and an independent WebSocket library.

use std::sync::Arc;

use bytes::Bytes;
use eice_proto::sigv4::{PayloadHash, Request, Scope, sign};
use eice_proto::{Credentials, MaxDuration, RemotePort, Timestamp, TunnelRequest};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::emulator::EmulatorAccess;

/// An HTTP response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

/// The parameters of an openTunnel; tests change some of them.
pub(super) struct Ask {
    pub(super) endpoint: String,
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) duration: Option<u64>,
    pub(super) credentials: Credentials,
    pub(super) now: Timestamp,
    pub(super) region: String,
}

impl Ask {
    /// Returns the default instance, as its first principal.
    pub(super) fn new(access: &EmulatorAccess) -> Self {
        Self {
            endpoint: "eice-0123456789abcdef0".into(),
            address: "10.0.1.23".into(),
            port: 22,
            duration: None,
            credentials: access.credentials(),
            now: Timestamp::from(std::time::SystemTime::now()),
            region: access.region().into(),
        }
    }

    /// Returns the path and query of the presigned URL.
    pub(super) fn path(&self, access: &EmulatorAccess) -> String {
        let authority = access.tunnel_authority().parse().unwrap();
        let endpoint = self.endpoint.parse().unwrap();
        let mut request = TunnelRequest::new(authority, endpoint, self.address.parse().unwrap())
            .with_port(RemotePort::new(self.port).unwrap());
        if let Some(seconds) = self.duration {
            request = request.with_max_duration(MaxDuration::from_secs(seconds).unwrap());
        }
        request.presign(&self.credentials, &self.region, self.now, Some(60)).path_and_query().to_owned()
    }
}

pub(super) async fn tls(access: &EmulatorAccess) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(access.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(access.tunnel_addr()).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Returns a request head as aws-cli sends it, for a test to change.
pub(super) fn head(access: &EmulatorAccess, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nUser-Agent: test/1\r\n\r\n",
        access.tunnel_authority()
    )
}

/// Sends `head` and reads the whole response, or the head of a 101.
pub(super) async fn raw(access: &EmulatorAccess, head: &str) -> (Answer, TlsStream<TcpStream>) {
    let mut stream = tls(access).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        let byte = stream.read_u8().await.unwrap();
        bytes.push(byte);
    }
    let head = String::from_utf8(bytes).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map(|n| n.parse().unwrap());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    (Answer { status, head, body: String::from_utf8(body).unwrap() }, stream)
}

pub(super) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Opens a tunnel with a WebSocket library.
pub(super) async fn open(access: &EmulatorAccess, ask: &Ask) -> Result<Socket, WsError> {
    let url = format!("wss://{}{}", access.tunnel_authority(), ask.path(access));
    let stream = tls(access).await.map_err(WsError::Io)?;
    let (socket, _) = tokio_tungstenite::client_async(url.into_client_request()?, stream).await?;
    Ok(socket)
}

/// Returns a tunnel as a byte stream.
pub(super) fn bytes(mut socket: Socket) -> DuplexStream {
    let (near, far) = tokio::io::duplex(256 * 1024);
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(far);
        let mut buffer = vec![0; 32 * 1024];
        loop {
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(Message::Binary(data))) => {
                        if write.write_all(&data).await.is_err() {
                            break;
                        }
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => break,
                },
                count = read.read(&mut buffer) => match count {
                    Ok(count) if count > 0 => {
                        let data = Bytes::copy_from_slice(&buffer[..count]);
                        if socket.send(Message::Binary(data)).await.is_err() {
                            break;
                        }
                    }
                    _ => break,
                },
            }
        }
    });
    near
}

/// One signed API call.
pub(super) struct Call<'a> {
    pub(super) access: &'a EmulatorAccess,
    pub(super) credentials: Credentials,
    pub(super) now: Timestamp,
}

impl<'a> Call<'a> {
    pub(super) fn new(access: &'a EmulatorAccess) -> Self {
        let now = Timestamp::from(std::time::SystemTime::now());
        Self { access, credentials: access.credentials(), now }
    }

    pub(super) async fn ec2(&self, query: &str) -> Answer {
        let body = format!("{query}&Version=2016-11-15");
        self.send("ec2", None, "application/x-www-form-urlencoded; charset=utf-8", &body).await
    }

    pub(super) async fn sts(&self, query: &str) -> Answer {
        let body = format!("{query}&Version=2011-06-15");
        self.send("sts", None, "application/x-www-form-urlencoded; charset=utf-8", &body).await
    }

    pub(super) async fn push_key(&self, instance: &str, user: &str, key: &str) -> Answer {
        let body = serde_json::json!({ "InstanceId": instance, "InstanceOSUser": user, "SSHPublicKey": key });
        let target = "AWSEC2InstanceConnectService.SendSSHPublicKey";
        self.json("ec2-instance-connect", target, &body.to_string()).await
    }

    pub(super) async fn events(&self, body: &serde_json::Value) -> Answer {
        let target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";
        self.json("cloudtrail", target, &body.to_string()).await
    }

    pub(super) async fn json(&self, service: &str, target: &str, body: &str) -> Answer {
        self.send(service, Some(target), "application/x-amz-json-1.1", body).await
    }

    async fn send(&self, service: &str, target: Option<&str>, kind: &str, body: &str) -> Answer {
        let host = self.access.api_addr().to_string();
        let mut headers = vec![("Host", host.as_str()), ("Content-Type", kind)];
        headers.extend(target.map(|target| ("X-Amz-Target", target)));
        let payload = PayloadHash::of(body.as_bytes());
        let request = Request { method: "POST", path: "/", params: &[], headers: &headers, payload };
        let scope = Scope::new(self.access.region(), service);
        let signed = sign(&request, &self.credentials, &scope, self.now);
        let mut text = String::from("POST / HTTP/1.1\r\nConnection: close\r\nUser-Agent: test/1\r\n");
        for (name, value) in headers.iter().copied().chain(signed.headers()) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        http(self.access, &text).await
    }
}

/// Sends `request` to the API's port and reads the response until the connection ends.
pub(super) async fn http(access: &EmulatorAccess, request: &str) -> Answer {
    let mut stream = TcpStream::connect(access.api_addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
