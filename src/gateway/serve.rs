//! Connections: accepted, bounded, served, drained.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use super::connection_limit::{ConnectionLimit, Slot};
use super::linger::Lingering;
use super::{Gateway, Tls, stall};
use crate::listen;
use crate::telemetry::metrics::GaugeGuard;

/// The largest request head, in bytes.
const MAX_HEAD: usize = 32 << 10;

/// The most connections of a metrics-only listener.
const MAX_METRICS_CONNECTIONS: usize = 16;

/// The open files of a terminal: its socket and its tunnel.
const FILES_PER_TERMINAL: usize = 2;

/// The shortest interval between two warnings about missing files.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Returns how many connections to serve at once. At most half of the `files` that may be open are for them, the rest is
/// for terminals, their tunnels and the directory.
fn connection_limit(max_connections: usize, max_sessions: usize, files: Option<usize>) -> usize {
    let limit = files.map_or(max_connections, |files| max_connections.min(files / 2)).max(1);
    let needed = max_sessions.saturating_mul(FILES_PER_TERMINAL).saturating_add(max_connections);
    if files.is_some_and(|files| files < needed) {
        tracing::warn!(
            open_files = files,
            needed,
            max_connections,
            max_sessions,
            served = limit,
            "the limit of open files is too low for max_connections and max_sessions; raise it (LimitNOFILE, ulimit -n)"
        );
    }
    limit
}

impl Gateway {
    /// Serves `routes` (usually [`Self::router`], perhaps merged with more) on `listener` until `drain` is ready.
    ///
    /// Then new terminals are refused with 503 and the open ones are closed with 1001. Returns when all are closed, or
    /// after [`drain_timeout`](super::Config::drain_timeout), which cuts the rest. Dropping the future drains without
    /// waiting.
    ///
    /// # Errors
    /// The listener cannot be used at all.
    pub async fn serve(
        &self,
        listener: impl Into<Listening>,
        routes: Router,
        drain: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let Listening { listener, tls } = listener.into();
        listener.local_addr()?;
        self.tell_who_gets_in();
        let state = &self.state;
        let config = state.config();
        let max = connection_limit(config.max_connections, config.session.max_sessions, listen::file_limit());
        let _drained = DrainOnDrop(self);
        let stopping = CancellationToken::new();
        let mut server = Server {
            routes,
            gateway: self,
            tls: tls.clone(),
            room: ConnectionLimit::new(max),
            lingering: Lingering::new(),
            warned: None,
            stopping: stopping.clone(),
            // Aborts the remaining tasks on drop.
            connections: JoinSet::new(),
        };
        let certificate = async {
            match &tls {
                Some(tls) => tls.follow().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            never = server.accept(&listener) => match never {},
            never = certificate => match never {},
            () = drain => {}
        }

        let deadline = Instant::now() + state.config().drain_timeout;
        tracing::info!(live = state.sessions.live(), "draining");
        state.metrics.draining.set(1);
        state.sessions.drain();
        state.viewers.close();
        // Still accepting: new requests get 503 instead of a refused connection.
        let quiet = async { tokio::join!(state.sessions.idle(), state.viewers.wait()) };
        tokio::select! {
            never = server.accept(&listener) => match never {},
            quiet = timeout_at(deadline, quiet) => if quiet.is_err() {
                tracing::warn!(live = state.sessions.live(), "terminals did not close in time");
            },
        }
        drop(listener);
        stopping.cancel();
        let finished = async { while server.connections.join_next().await.is_some() {} };
        if timeout_at(deadline, finished).await.is_err() {
            tracing::warn!("connections did not close in time; cut");
        }
        Ok(())
    }
    /// Serves [`Self::metrics_router`] on `listener`, a few connections at once, until the future is dropped.
    pub async fn serve_metrics(&self, listener: TcpListener) -> std::convert::Infallible {
        let mut server = Server {
            gateway: self,
            routes: self.metrics_router(),
            tls: None,
            room: ConnectionLimit::new(MAX_METRICS_CONNECTIONS),
            lingering: Lingering::new(),
            warned: None,
            stopping: CancellationToken::new(),
            connections: JoinSet::new(),
        };
        server.accept(&listener).await
    }
}

/// A gateway's listener.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl Listening {
    /// Returns `listener` with TLS by `tls`.
    #[must_use]
    pub fn tls(listener: TcpListener, tls: Arc<Tls>) -> Self {
        Self { listener, tls: Some(tls) }
    }
}

impl From<TcpListener> for Listening {
    /// Returns `listener` for plain HTTP, behind a proxy that terminates TLS.
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None }
    }
}

impl Gateway {
    /// Logs the ways to authenticate.
    fn tell_who_gets_in(&self) {
        let config = self.state.config();
        let platform = &config.platform;
        tracing::info!(
            admin_token = platform.admin_token.is_some(),
            control_plane = platform.control_plane.as_ref().map(tracing::field::debug),
            org_id = platform.org_id,
            trusted_proxies = config.trusted_proxies,
            "accepted credentials besides the directory's tokens"
        );
        if platform.is_development() {
            tracing::warn!(from = ?platform.at_hand, "development mode: no credential is required");
        }
    }
}

/// Ends the sessions when serving ends, also by a panic.
struct DrainOnDrop<'a>(&'a Gateway);

impl Drop for DrainOnDrop<'_> {
    fn drop(&mut self) {
        self.0.state.sessions.drain();
    }
}

struct Server<'a> {
    gateway: &'a Gateway,
    routes: Router,
    tls: Option<Arc<Tls>>,
    room: ConnectionLimit,
    lingering: Lingering,
    /// The time of the last warning about missing files.
    warned: Option<Instant>,
    stopping: CancellationToken,
    connections: JoinSet<()>,
}

impl Server<'_> {
    async fn accept(&mut self, listener: &TcpListener) -> std::convert::Infallible {
        loop {
            let (stream, peer) = match listen::try_accept(listener).await {
                Ok(accepted) => accepted,
                Err(error) if listen::is_out_of_files(&error) => {
                    self.free_a_file(&error).await;
                    continue;
                }
                Err(error) => {
                    listen::on_accept_error(&error).await;
                    continue;
                }
            };
            let place = self.room.place().await;
            self.spawn(stream, peer, place);
            while self.connections.try_join_next().is_some() {}
        }
    }

    /// Closes lingering connections, or the longest-idle one. Without any, waits a moment.
    async fn free_a_file(&mut self, error: &io::Error) {
        if self.warned.is_none_or(|warned| warned.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            tracing::warn!(%error, "out of files; idle connections are closed. Raise the limit (LimitNOFILE, ulimit -n)");
        }
        while self.connections.try_join_next().is_some() {}
        if self.lingering.cut().await {
            return;
        }
        if self.room.evict() {
            let _ = timeout(listen::PAUSE, self.connections.join_next()).await;
            return;
        }
        sleep(listen::PAUSE).await;
    }

    fn spawn(&mut self, stream: TcpStream, peer: SocketAddr, place: Slot) {
        let state = &self.gateway.state;
        stall::end_within(&stream, state.config().write_stall_timeout);
        let open = GaugeGuard::count(state.metrics.connections.clone());
        let connection = Connection {
            routes: self.routes.clone(),
            peer,
            place: Arc::new(place),
            stopping: self.stopping.clone(),
            header_read_timeout: state.config().header_read_timeout,
        };
        let tls = self.tls.clone();
        let stream = self.lingering.closes(stream);
        self.connections.spawn(async move {
            let _open = open;
            match tls {
                None => connection.serve(stream).await,
                Some(tls) => {
                    let stream = tokio::select! {
                        stream = tls.accept(stream) => stream,
                        () = connection.place.evicted() => None,
                        () = connection.stopping.cancelled() => None,
                    };
                    if let Some(stream) = stream {
                        connection.serve(stream).await;
                    }
                }
            }
        });
    }
}

/// One connection, from its first request.
struct Connection {
    routes: Router,
    peer: SocketAddr,
    place: Arc<Slot>,
    stopping: CancellationToken,
    header_read_timeout: Duration,
}

impl Connection {
    /// Serves requests of `stream` until it ends, is evicted, or serving stops.
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { routes, peer, place, stopping, header_read_timeout } = self;
        let service = service_fn(|request: Request<Incoming>| {
            place.asks();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let (answer, place) = (routes.clone().call(request), Arc::clone(&place));
            async move {
                let answer = answer.await;
                // A terminal no longer counts as a connection; sessions have their own limits.
                if !answer.as_ref().is_ok_and(|answer| answer.status() == StatusCode::SWITCHING_PROTOCOLS) {
                    place.rests();
                }
                answer
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_read_timeout)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = place.evicted() => return tracing::debug!(%peer, "idle connection evicted"),
            () = stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "connection ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_use_half_the_files() {
        assert_eq!(connection_limit(4096, 1000, None), 4096);
        assert_eq!(connection_limit(4096, 1000, Some(1 << 20)), 4096);
        assert_eq!(connection_limit(4096, 1000, Some(1024)), 512);
        assert_eq!(connection_limit(100, 10, Some(1024)), 100);
        assert_eq!(connection_limit(100, 10, Some(1)), 1);
    }
}
