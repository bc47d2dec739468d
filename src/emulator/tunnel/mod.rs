//! openTunnel: TLS, the upgrade with its checks, then frames to a target and back.

mod admit;
mod answer;
mod codec;
mod connection;
mod head;
mod link;
mod pump;
mod target;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::tls::Tls;
use super::world::World;

/// The most TCP connections at once, whatever became of them.
const MAX_CONNECTIONS: usize = 1024;
/// How long after a failed accept the next is tried: it fails when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves tunnels until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    world: Arc<World>,
    tls: Arc<Tls>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let _ = stream.set_nodelay(true);
        let (world, tls, stop) = (Arc::clone(&world), Arc::clone(&tls), stop.clone());
        let shaping = tasks.clone();
        tasks.spawn(async move {
            connection::run(stream, peer, &world, &tls, &stop, &shaping).await;
            drop(place);
        });
    }
}
