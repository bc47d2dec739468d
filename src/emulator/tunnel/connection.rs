//! One TCP connection: TLS, the upgrade, the pump.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admit::{Rejected, admit};
use super::answer;
use super::head::{Head, HeadError};
use super::pump::Pump;
use super::shaped_stream::ShapedStream;
use crate::emulator::faults::{AcceptFault, Faults, UpgradeFault};
use crate::emulator::tls::Tls;
use crate::emulator::world::World;

/// The time limit of each of TLS, the request's head and the response.
const STAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves one connection from its accept to its end.
pub(super) async fn run(
    stream: TcpStream,
    peer: SocketAddr,
    world: &Arc<World>,
    tls: &Tls,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    let faults = world.faults.snapshot();
    let mut link = ShapedStream::new(stream, &faults, stop, tasks);
    match faults.accept {
        Some(AcceptFault::Drop) => return,
        Some(AcceptFault::Hang) => return hang(&mut link, stop).await,
        None => {}
    }
    let accepting = TlsAcceptor::from(tls.config(faults.certificate)).accept(link);
    let stream = tokio::select! {
        accepted = timeout(STAGE_TIMEOUT, accepting) => match accepted {
            Ok(Ok(stream)) => stream,
            _ => return,
        },
        () = stop.cancelled() => return,
    };
    // A pending request is dropped when the emulator ends; an open tunnel sends its own close message.
    if let Some(pump) = tokio::select! {
        pump = upgrade(stream, peer, world, &faults, stop) => pump,
        () = stop.cancelled() => None,
    } {
        pump.run(stop).await;
    }
}

/// Reads and discards data without ever responding, until the client gives up.
async fn hang<S: tokio::io::AsyncRead + Unpin>(stream: &mut S, stop: &CancellationToken) {
    let mut buffer = [0_u8; 4096];
    let reading = async { while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {} };
    tokio::select! {
        () = reading => {}
        () = stop.cancelled() => {}
    }
}

/// Handles the upgrade; returns `None` when it does not result in a tunnel.
async fn upgrade(
    mut stream: TlsStream<ShapedStream>,
    peer: SocketAddr,
    world: &Arc<World>,
    faults: &Faults,
    stop: &CancellationToken,
) -> Option<Pump> {
    let request_id = uuid::Uuid::new_v4().to_string();
    let mut buffer = BytesMut::with_capacity(4096);
    let head = match timeout(STAGE_TIMEOUT, Head::read(&mut stream, &mut buffer)).await {
        Ok(Ok(head)) => head,
        Ok(Err(HeadError::Io(_))) | Err(_) => return None,
        Ok(Err(error)) => {
            let rejected = Rejected::new(400, "InvalidRequest", error.to_string());
            respond(stream, &answer::rejected(&rejected, &request_id)).await;
            return None;
        }
    };
    let admitted = match admit(world, &head, peer.ip(), &request_id) {
        Ok(admitted) => admitted,
        Err(rejected) => {
            tracing::debug!(status = rejected.status, code = rejected.code, "openTunnel rejected");
            respond(stream, &answer::rejected(&rejected, &request_id)).await;
            return None;
        }
    };
    tokio::time::sleep(Duration::from_millis(faults.upgrade_delay_ms)).await;
    let key = head.header("sec-websocket-key").unwrap_or_default();
    let switching = answer::switching(key, &request_id, faults.upgrade.as_ref());
    match &faults.upgrade {
        Some(UpgradeFault::DropBefore) => {
            stream.into_inner().0.finish().await;
            return None;
        }
        Some(UpgradeFault::Hang) => {
            hang(&mut stream, stop).await;
            return None;
        }
        Some(UpgradeFault::Refuse(refusal)) => {
            respond(stream, &answer::prescribed(refusal, &request_id)).await;
            return None;
        }
        Some(UpgradeFault::DropMid) => {
            let half = switching.as_bytes().split_at(switching.len() / 2).0;
            let _ = write(&mut stream, half).await;
            stream.into_inner().0.finish().await;
            return None;
        }
        _ => {}
    }
    write(&mut stream, switching.as_bytes()).await.ok()?;
    if faults.upgrade == Some(UpgradeFault::DropAfter) {
        stream.into_inner().0.finish().await;
        return None;
    }
    Some(Pump::new(stream, buffer, Arc::clone(world), admitted, faults.clone()))
}

async fn write(stream: &mut TlsStream<ShapedStream>, bytes: &[u8]) -> std::io::Result<()> {
    let writing = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    timeout(STAGE_TIMEOUT, writing).await.map_err(std::io::Error::from)?
}

/// Sends a complete response, then closes the connection cleanly.
async fn respond(mut stream: TlsStream<ShapedStream>, text: &str) {
    if write(&mut stream, text.as_bytes()).await.is_ok() {
        let _ = timeout(STAGE_TIMEOUT, stream.shutdown()).await;
        stream.into_inner().0.drain().await;
    }
}
