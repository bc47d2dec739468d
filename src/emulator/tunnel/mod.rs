//! openTunnel: TLS, the upgrade with its checks, then frames to a target and back.

mod admit;
mod answer;
mod codec;
mod connection;
mod head;
mod pump;
mod shaped_stream;
mod target;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::tls::Tls;
use super::world::World;
use crate::listen::accept;

/// The most TCP connections at once, in any state.
const MAX_CONNECTIONS: usize = 1024;

/// Serves tunnels until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    world: Arc<World>,
    tls: Arc<Tls>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&listener) => accepted,
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else { continue };
        let (world, tls, stop) = (Arc::clone(&world), Arc::clone(&tls), stop.clone());
        let shaping = tasks.clone();
        tasks.spawn(async move {
            connection::run(stream, peer, &world, &tls, &stop, &shaping).await;
            drop(permit);
        });
    }
}
