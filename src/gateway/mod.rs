//! L4 · The browser's side: routes, authentication, the terminal's protocol, the page.
//!
//! The gateway uses the sessions, the directory of workspaces and the L1 traits; it never learns how a host came
//! to be. In order, a request passes: Host, Origin, authentication, access, and only then its handler or the
//! WebSocket upgrade.

mod config;
mod origin;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

use crate::session::Sessions;
use crate::terminal::Connect;
use crate::workspace::Directory;

pub use config::Config;
pub use origin::{Host, InvalidOrigin, Origin};

/// The gateway. Cheap to clone; the clones share everything.
#[derive(Clone, Debug)]
pub struct Gateway {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    config: Config,
    #[allow(dead_code)]
    directory: Arc<dyn Directory>,
    sessions: Sessions,
}

/// The routes of a gateway with `config`, for whoever needs no more than them: [`Gateway::router`].
#[must_use]
pub fn router(config: Config, directory: Arc<dyn Directory>, connect: Arc<dyn Connect>) -> Router {
    Gateway::new(config, directory, connect).router()
}

impl Gateway {
    /// A gateway to the workspaces of `directory`, whose hosts come from `connect`.
    #[must_use]
    pub fn new(config: Config, directory: Arc<dyn Directory>, connect: Arc<dyn Connect>) -> Self {
        let sessions = Sessions::new(config.session.clone(), connect);
        Self { state: Arc::new(State { config, directory, sessions }) }
    }

    /// Every route of the gateway, the page's included. Other routers may be merged with it.
    #[must_use]
    pub fn router(&self) -> Router {
        Router::new()
    }

    /// `routes` behind the gateway's own checks of Host, Origin and credentials, and with its limits and headers.
    ///
    /// A handler finds out who asks by the extractor `Extension<workspace::Principal>`. Merge the result with
    /// [`Self::router`].
    #[must_use]
    pub fn protect(&self, routes: Router) -> Router {
        routes
    }

    /// The live sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.state.sessions
    }

    /// Serves `routes` (usually [`Self::router`], perhaps merged with more) on `listener` until `drain` is ready,
    /// then refuses new terminals, tells the open ones, and returns when all is closed or the deadline
    /// [`Config::drain_timeout`] passed.
    ///
    /// # Errors
    /// When the listener cannot be used at all.
    pub async fn serve(
        &self,
        listener: TcpListener,
        routes: Router,
        drain: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let _ = &self.state.config;
        axum::serve(listener, routes).with_graceful_shutdown(drain).await
    }
}
