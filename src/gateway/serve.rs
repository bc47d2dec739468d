//! Connections: accepted, bounded, served, drained.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use super::room::{Place, Room};
use super::{Config, Gateway};
use crate::listen::accept;

/// How much of a request's head is read, in bytes.
const MAX_HEAD: usize = 32 << 10;

impl Gateway {
    /// Serves `routes` (usually [`Self::router`], perhaps merged with more) on `listener` until `drain` is ready.
    ///
    /// Then new terminals are refused with 503 and the open ones are told and closed with 1001. It returns when
    /// all is closed, or when [`Config::drain_timeout`] passed and the rest was cut. Dropping the future drains
    /// without waiting.
    ///
    /// # Errors
    /// When the listener cannot be used at all.
    pub async fn serve(
        &self,
        listener: TcpListener,
        routes: Router,
        drain: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        listener.local_addr()?;
        let state = &self.state;
        let _drained = DrainOnDrop(self);
        let stopping = CancellationToken::new();
        let mut server = Server {
            routes,
            config: state.config(),
            room: Room::new(state.config().max_connections),
            stopping: stopping.clone(),
            // Aborts what is left when it is dropped.
            connections: JoinSet::new(),
        };
        tokio::select! {
            never = server.accept(&listener) => match never {},
            () = drain => {}
        }

        let deadline = tokio::time::Instant::now() + state.config().drain_timeout;
        tracing::info!(live = state.sessions.live(), "draining");
        state.sessions.drain();
        state.viewers.close();
        // Still accepting: who comes now is told 503, not left without an answer.
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
}

/// Ends the sessions when serving ends in whatever way.
struct DrainOnDrop<'a>(&'a Gateway);

impl Drop for DrainOnDrop<'_> {
    fn drop(&mut self) {
        self.0.state.sessions.drain();
    }
}

struct Server {
    routes: Router,
    config: Arc<Config>,
    room: Room,
    stopping: CancellationToken,
    connections: JoinSet<()>,
}

impl Server {
    async fn accept(&mut self, listener: &TcpListener) -> std::convert::Infallible {
        loop {
            let (stream, peer) = accept(listener).await;
            let place = self.room.place().await;
            self.spawn(stream, peer, Arc::new(place));
            while self.connections.try_join_next().is_some() {}
        }
    }

    fn spawn(&mut self, stream: TcpStream, peer: SocketAddr, place: Arc<Place>) {
        let routes = self.routes.clone();
        let stopping = self.stopping.clone();
        let timeout = self.config.header_read_timeout;
        self.connections.spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                place.asks();
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                let (answer, place) = (routes.clone().call(request), Arc::clone(&place));
                async move {
                    let answer = answer.await;
                    // A terminal is no connection of ours any more; sessions have limits of their own.
                    if !answer.as_ref().is_ok_and(|answer| answer.status() == StatusCode::SWITCHING_PROTOCOLS)
                    {
                        place.rests();
                    }
                    answer
                }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(timeout)
                .max_buf_size(MAX_HEAD)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = place.evicted() => return tracing::debug!(%peer, "a quiet connection made room"),
                () = stopping.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, %peer, "connection ended");
            }
        });
    }
}
