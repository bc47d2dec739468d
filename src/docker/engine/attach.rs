//! An exec is started over a connection that its streams then have to themselves.

use std::pin::Pin;

use bytes::{Buf as _, Bytes};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::Address;
use super::error::{EngineError, innermost};

/// How much of a refusal is read, in bytes.
const MAX_REFUSAL: usize = 4096;

/// The streams of an exec: what is written goes to its stdin, what is read is the rest. The end of either is told to the
/// other side.
pub(super) type Attached = TokioIo<Upgraded>;

/// Starts the exec `id` of the engine at `address`.
pub(super) async fn start(address: &Address, id: &str, tty: bool) -> Result<Attached, EngineError> {
    let lost = |error| EngineError::unreachable(address, error);
    match address {
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(lost)?;
            exchange(address, stream, id, tty).await
        }
        Address::Tcp(authority) => {
            let stream = TcpStream::connect(authority).await.map_err(lost)?;
            // A keystroke is a packet.
            stream.set_nodelay(true).map_err(lost)?;
            exchange(address, stream, id, tty).await
        }
    }
}

async fn exchange(
    address: &Address,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    id: &str,
    tty: bool,
) -> Result<Attached, EngineError> {
    let lost = |error: hyper::Error| EngineError::unreachable(address, innermost(error));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    // It ends with the exchange: what comes of it has the stream from then on.
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to the Docker engine ended");
        }
    });
    let host = match address {
        Address::Unix(_) => "docker",
        Address::Tcp(authority) => authority,
    };
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/exec/{id}/start"))
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "tcp")
        .body(format!(r#"{{"Detach":false,"Tty":{tty}}}"#))
        .map_err(|error| EngineError::Nonsense(error.into()))?;
    let response = sender.send_request(request).await.map_err(lost)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(response).await);
    }
    Ok(TokioIo::new(hyper::upgrade::on(response).await.map_err(lost)?))
}

/// What an answer says that is not what was asked for.
async fn refusal(response: Response<Incoming>) -> EngineError {
    let (head, mut body) = response.into_parts();
    let mut text: Vec<u8> = Vec::new();
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let data: Bytes = frame.into_data().unwrap_or_default();
        text.extend_from_slice(data.take(MAX_REFUSAL - text.len()).chunk());
        if text.len() == MAX_REFUSAL {
            break;
        }
    }
    let status = head.status.as_u16();
    let message = match serde_json::from_slice::<serde_json::Value>(&text) {
        Ok(json) => json["message"].as_str().map(str::to_owned),
        Err(_) => None,
    };
    let message = message.unwrap_or_else(|| String::from_utf8_lossy(&text).trim().to_owned());
    let message = if message.is_empty() { head.status.to_string() } else { message };
    EngineError::Refused { status, message }
}
