//! Starts an exec on a connection of its own, which then carries the exec's streams.

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

use super::address::Address;
use super::error::{EngineError, innermost};

/// The most bytes of an error response that are read.
const MAX_ERROR_BODY: usize = 4096;

/// The streams of an exec: writes go to its stdin, reads come from its output. A shutdown of either direction
/// reaches the other side.
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
            // Send keystrokes without delay.
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
    // The task ends with the exchange; the upgraded stream outlives it.
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
        .map_err(|error| EngineError::Invalid(error.into()))?;
    let response = sender.send_request(request).await.map_err(lost)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(read_error(response).await);
    }
    Ok(TokioIo::new(hyper::upgrade::on(response).await.map_err(lost)?))
}

/// Turns a response other than 101 into an error.
async fn read_error(response: Response<Incoming>) -> EngineError {
    let (head, mut body) = response.into_parts();
    let mut text: Vec<u8> = Vec::new();
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let data: Bytes = frame.into_data().unwrap_or_default();
        text.extend_from_slice(data.take(MAX_ERROR_BODY - text.len()).chunk());
        if text.len() == MAX_ERROR_BODY {
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
