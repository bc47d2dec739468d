//! What is counted of every request, and recorded of those that were denied.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::header::ORIGIN;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method};
use axum::response::Response;

use super::State;
use super::answer::Denied;
use super::audit::{Record, credential};
use super::auth::peer;
use crate::telemetry::metrics::OTHER;
use crate::workspace::{Principal, WorkspaceId};

/// How much of an origin is recorded, in characters: one that was refused may be anything.
const MAX_ORIGIN: usize = 200;

/// The routes whose denials are recorded: those of a workspace, and where a token is traded for a cookie.
const RECORDED: [&str; 2] = ["/workspaces/{id}", "/auth/session"];

/// Who asks: unset until that is known. A request's extension, for what is recorded of it whatever comes of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Asker(Arc<OnceLock<Principal>>);

impl Asker {
    /// Notes that the request with these extensions is `principal`'s.
    pub(super) fn is(extensions: &Extensions, principal: &Principal) {
        if let Some(Self(asker)) = extensions.get() {
            let _ = asker.set(principal.clone());
        }
    }
}

/// What is asked for.
pub(super) struct Asked {
    method: &'static str,
    /// The pattern of the route; the page's files have none.
    route: Option<MatchedPath>,
    workspace: Option<WorkspaceId>,
    origin: Option<String>,
    peer: IpAddr,
    asker: Asker,
}

impl Asked {
    /// What `parts` ask for; from now on they can be told who asks.
    pub(super) fn of(parts: &mut Parts) -> Self {
        let asker = Asker::default();
        parts.extensions.insert(asker.clone());
        Self {
            asker,
            method: method(&parts.method),
            route: parts.extensions.get::<MatchedPath>().cloned(),
            workspace: workspace(parts.uri.path()),
            origin: origin(&parts.headers),
            peer: peer(parts),
        }
    }

    /// It was answered with `response`, after `took`.
    pub(super) fn answered(&self, state: &State, response: &Response, took: Duration) {
        let route = self.route.as_ref().map_or("page", MatchedPath::as_str);
        let status = response.status();
        let metrics = &state.metrics;
        metrics.requests.with_label_values(&[self.method, route, status.as_str()]).inc();
        metrics.request_duration.with_label_values(&[self.method, route]).observe(took.as_secs_f64());
        let Some(Denied(reason)) = response.extensions().get() else { return };
        metrics.denials.with_label_values(&[*reason]).inc();
        if RECORDED.iter().any(|recorded| route.starts_with(recorded)) {
            let asker = self.asker.0.get();
            state.audit.record_denial(
                self.peer,
                &Record {
                    principal: asker.map(|principal| principal.name.clone()),
                    credential: asker.map(|principal| credential(principal.kind)),
                    reason: Some(reason),
                    method: Some(self.method.to_owned()),
                    route: Some(route.to_owned()),
                    status: Some(status.as_u16()),
                    workspace: self.workspace,
                    origin: self.origin.clone(),
                    peer: Some(self.peer),
                    ..Record::now("denied")
                },
            );
        }
    }
}

/// The workspace that a path names, if it is one's id.
fn workspace(path: &str) -> Option<WorkspaceId> {
    path.strip_prefix("/workspaces/")?.split('/').next()?.parse().ok()
}

/// The origin that a request names, whatever it is.
pub(super) fn origin(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(ORIGIN)?.as_bytes());
    Some(text.chars().take(MAX_ORIGIN).collect())
}

/// A method by its name; one that nobody knows is [`OTHER`], since a client may make up any number.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER)
}
