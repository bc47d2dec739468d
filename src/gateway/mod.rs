//! L4 · The browser's side: routes, authentication, the terminal's protocol, the page.
//!
//! The gateway uses the sessions, the directory of workspaces and the L1 traits; it never learns how a host came
//! to be. In order, a request passes: Host, Origin, the tenant, its peer's allowance, authentication, access, and only
//! then its handler or the WebSocket upgrade. No credential is read from a path or a query.
//!
//! | route | |
//! |---|---|
//! | `GET /workspaces/{id}/terminal` | the terminal, a WebSocket |
//! | `POST /workspaces/{id}/terminal/ticket` | what a browser shows to open it, once |
//! | `GET /workspaces/{id}/terminal/diagnose` | why it does not open |
//! | `GET /workspaces/{id}/terminal/sessions`, `DELETE …/{session}` | the open terminals of a workspace, and the end of one |
//! | `GET /terminal/sessions` | those of all workspaces that the caller may open |
//! | `PUT /workspaces/{id}/files`, `PUT /workspaces/{id}/files/{*path}` | files of a workspace |
//! | `GET /workspaces`, `GET /workspaces/{id}` | what the caller may open |
//! | `POST /auth/session`, `DELETE /auth/session` | a bearer token traded for a cookie, and the cookie's end |
//! | `GET /auth/session` | who the caller is |
//! | `GET /health` | that the process answers; whatever `Host` says |
//! | `GET /ready` | that terminals can be opened; whatever `Host` says |
//! | `GET /buildinfo` | name and version of the program; whatever `Host` says |
//! | `GET /metrics` | what is counted, for Prometheus; whatever `Host` says |
//! | `GET /` and other paths | the page |
//!
//! `docs/gateway.md` describes each.

mod access_log;
mod audit;
mod auth;
mod bounded;
mod characters;
mod config;
mod connection_limit;
mod control_plane;
mod cookies;
mod cors;
mod diagnoses;
pub mod eicterm;
mod error;
mod grants;
mod layers;
mod legacy;
mod linger;
mod lookups;
mod observe;
mod origin;
mod owned;
mod page;
mod platform;
mod rate;
mod rate_limit;
mod routes;
mod sampler;
mod secret;
mod serve;
mod shares;
mod socket;
mod stall;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod throttle;
mod tickets;
mod tls;

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post, put};
use tokio_util::task::TaskTracker;

use crate::model::Connect;
use crate::session::Sessions;
use crate::telemetry::metrics::Metrics;
use crate::workspace::Directory;

pub use audit::{Audit, AuditFile};
pub use config::Config;
pub use origin::{Host, InvalidOrigin, Origin};
pub use platform::{
    ControlPlane, Environment, InvalidControlPlane, InvalidTrustedNetwork, Platform, TrustedNetwork,
};
pub use serve::Listening;
pub use tls::{Pair, Tls, TlsError, TlsFiles};

use control_plane::Members;
use cookies::Cookies;
use diagnoses::Diagnoses;
use grants::Grants;
use layers::Deadline;
use lookups::Lookups;
use rate_limit::RateLimits;
use sampler::Sampler;
use shares::{Party, Shares};
use throttle::Throttle;
use tickets::Tickets;

/// How many tokens that are not known to be good are looked up at once: fewer than the database has connections.
const MAX_TOKEN_LOOKUPS: usize = 4;

/// How many sessions that are not known to be good the control plane is asked for at once: half of what it may be asked.
const MAX_SESSION_LOOKUPS: usize = control_plane::MAX_QUESTIONS / 2;

/// How long a token that was wrong is not looked up again.
const WRONG_TOKEN_TTL: Duration = Duration::from_secs(5);

/// The gateway. Cheap to clone; the clones share everything.
#[derive(Clone, Debug)]
pub struct Gateway {
    state: Arc<State>,
}

/// The state of every request.
#[derive(Debug)]
struct State {
    config: RwLock<Arc<Config>>,
    directory: Arc<dyn Directory>,
    connect: Arc<dyn Connect>,
    sessions: Sessions,
    diagnoses: Diagnoses,
    /// The requests that write files, once their bodies are here.
    writers: Shares<Party>,
    /// The bodies of such requests, in bytes, by user.
    bodies: Shares<String>,
    probe: routes::health::Probe,
    cookies: Cookies,
    members: Members,
    grants: Grants,
    rates: RateLimits,
    /// The requests of known users that are in progress.
    in_progress: Shares<String>,
    /// The peers that sent unknown tokens or tickets.
    wrong_tokens: Throttle<IpAddr>,
    token_lookups: Lookups,
    session_lookups: Lookups,
    /// Which refusals are logged.
    refusals: Sampler,
    /// Whether it was logged that an unconfigured proxy is in front.
    warned_of_proxy: AtomicBool,
    tickets: Tickets,
    /// The open sockets, closing ones included, and their pending activities.
    viewers: TaskTracker,
    metrics: Metrics,
    audit: Audit,
    /// The activities that wait for the directory, by user.
    activities: Shares<String>,
}

/// Returns the routes of a gateway with `config`, to serve them by other means than [`Gateway::serve`].
pub fn router(config: Config, directory: Arc<dyn Directory>, connect: Arc<dyn Connect>) -> Router {
    Gateway::new(config, directory, connect).router()
}

impl Gateway {
    /// A gateway to the workspaces of `directory`, whose hosts come from `connect`.
    #[must_use]
    pub fn new(config: Config, directory: Arc<dyn Directory>, connect: Arc<dyn Connect>) -> Self {
        let metrics = Metrics::new();
        let state = State {
            sessions: Sessions::new(config.session.clone(), Arc::clone(&connect)),
            connect,
            diagnoses: Diagnoses::default(),
            writers: Shares::default(),
            bodies: Shares::default(),
            probe: routes::health::Probe::default(),
            cookies: Cookies::new(&config),
            members: Members::new(),
            grants: Grants::default(),
            rates: RateLimits::new(),
            in_progress: Shares::default(),
            wrong_tokens: Throttle::new(),
            token_lookups: Lookups::new(MAX_TOKEN_LOOKUPS, WRONG_TOKEN_TTL),
            // What the control plane said of strangers is kept with its other answers.
            session_lookups: Lookups::new(MAX_SESSION_LOOKUPS, Duration::ZERO),
            refusals: Sampler::new(),
            warned_of_proxy: AtomicBool::new(false),
            tickets: Tickets::new(config.ticket_ttl),
            viewers: TaskTracker::new(),
            audit: Audit::new(metrics.clone()),
            metrics,
            activities: Shares::default(),
            directory,
            config: RwLock::new(Arc::new(config)),
        };
        Self { state: Arc::new(state) }
    }

    /// Every route of the gateway, the page's included. Other routers may be merged with it.
    pub fn router(&self) -> Router {
        use routes::{build_info, diagnose, files, health, metrics, sessions, sign_in, ticket, workspaces};

        let state = &self.state;
        let quick = Router::new()
            .route("/workspaces/{id}/terminal", get(terminal::open))
            .route("/workspaces/{id}/terminal/ticket", post(ticket::ticket))
            .route("/workspaces/{id}/terminal/sessions", get(sessions::in_workspace))
            .route("/workspaces/{id}/terminal/sessions/{session}", delete(sessions::end))
            .route("/terminal/sessions", get(sessions::everywhere))
            .route("/workspaces/{id}", get(workspaces::show))
            .route("/workspaces", get(workspaces::list))
            .route("/auth/session", get(sign_in::identity).post(sign_in::sign_in).delete(sign_in::sign_out));
        let slow = Router::new()
            .route("/workspaces/{id}/terminal/diagnose", get(diagnose::diagnose))
            .route("/workspaces/{id}/files", put(files::write_several))
            .route("/workspaces/{id}/files/", put(files::write_one))
            .route("/workspaces/{id}/files/{*path}", put(files::write_one));
        // What a request may take before its handler's own time begins: to be admitted, and to send its body.
        let slow = self.within(slow, |config| {
            config.request_timeout * 2 + config.files_timeout.max(config.diagnose_timeout)
        });
        let checked = self.within(quick, |config| config.request_timeout).merge(slow);
        let checked = self.guard(checked.with_state(Arc::clone(state)));
        let page = self.within(Router::new().fallback(page::page), |config| config.request_timeout);
        let page = page
            .layer(from_fn_with_state(Arc::clone(state), rate_limit::limit_page))
            .layer(from_fn_with_state(Arc::clone(state), auth::guard_page));
        let open = Router::new()
            .route("/health", get(health::health))
            .route("/ready", get(health::ready))
            .route("/buildinfo", get(build_info::build_info))
            .route("/metrics", get(metrics::metrics));
        let open = self.within(open, |config| config.request_timeout);
        let open = open.layer(from_fn_with_state(Arc::clone(state), rate_limit::limit_probes));
        self.finish(checked.merge(page).merge(open.with_state(Arc::clone(state))))
    }

    /// `/metrics` alone, for an address of its own, whatever [`Config::metrics`] says.
    pub fn metrics_router(&self) -> Router {
        let routes = Router::new().route("/metrics", get(routes::metrics::always));
        let routes = routes.layer(from_fn_with_state(Arc::clone(&self.state), rate_limit::limit_probes));
        self.finish(routes.with_state(Arc::clone(&self.state)))
    }

    /// `routes` behind the gateway's own checks of Host, Origin and credentials, and with its limits and headers.
    ///
    /// A handler finds out who asks by the extractor `Extension<workspace::Principal>`. Merge the result with
    /// [`Self::router`]; the same path with another method is no conflict.
    pub fn protect(&self, routes: Router) -> Router {
        let known = from_fn_with_state(Arc::clone(&self.state), auth::require_principal);
        let routes = self.within(routes.layer(known), |config| config.request_timeout);
        self.finish(self.guard(routes))
    }

    /// The live sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.state.sessions
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.state.metrics
    }

    /// The audit log.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.state.audit
    }

    /// Goes on with `config` from the next request on. What is open stays as it is; how many connections are served
    /// at once, and how large a body may be, stays as it was.
    pub fn reconfigure(&self, config: Config) {
        self.state.sessions.reconfigure(config.session.clone());
        self.state.cookies.reconfigure(&config);
        self.state.tickets.set_ttl(config.ticket_ttl);
        *self.state.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        // What another control plane said counts for nothing.
        self.state.members.forget();
        self.state.token_lookups.forget();
    }

    /// `routes`, each request to which has the time that `of` says.
    fn within<S: Clone + Send + Sync + 'static>(
        &self,
        routes: Router<S>,
        of: fn(&Config) -> Duration,
    ) -> Router<S> {
        let deadline = Deadline { state: Arc::clone(&self.state), of };
        routes.layer(from_fn_with_state(deadline, layers::in_time))
    }

    /// `routes` for requests that `Host`, `Origin`, the tenant and the peer's allowance let in.
    fn guard(&self, routes: Router) -> Router {
        let state = &self.state;
        routes
            .layer(from_fn_with_state(Arc::clone(state), rate_limit::limit))
            .layer(cors::layer(state))
            .layer(from_fn_with_state(Arc::clone(state), rate_limit::limit_preflights))
            .layer(from_fn_with_state(Arc::clone(state), auth::guard))
    }

    fn finish(&self, routes: Router) -> Router {
        routes
            .layer(DefaultBodyLimit::max(self.state.config().max_body))
            .layer(from_fn(layers::survive))
            .layer(from_fn_with_state(Arc::clone(&self.state), layers::finish))
    }
}

impl State {
    /// The settings as they are now.
    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}
