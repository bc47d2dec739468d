//! The access log: metrics of every request, and audit records of denied ones.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::header::ORIGIN;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method};
use axum::response::Response;

use super::State;
use super::audit::{Record, credential};
use super::auth::peer;
use super::error::DenyReason;
use crate::telemetry::metrics::OTHER;
use crate::workspace::{Principal, WorkspaceId};

/// How much of an origin is recorded, in characters: a refused one may be any text.
const MAX_ORIGIN: usize = 200;

/// The routes whose denials are recorded: those of a workspace, and sign-in.
const RECORDED: [&str; 2] = ["/workspaces/{id}", "/auth/session"];

/// The authenticated caller, set late; a request extension, so that failed requests are attributed too.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller(Arc<OnceLock<Principal>>);

impl Caller {
    /// Sets the caller of the request with these extensions.
    pub(super) fn is(extensions: &Extensions, principal: &Principal) {
        if let Some(Self(asker)) = extensions.get() {
            let _ = asker.set(principal.clone());
        }
    }
}

/// The request, for metrics and audit records.
pub(super) struct RequestLog {
    method: &'static str,
    /// The pattern of the route; the page's files have none.
    route: Option<MatchedPath>,
    workspace: Option<WorkspaceId>,
    origin: Option<String>,
    peer: IpAddr,
    asker: Caller,
}

impl RequestLog {
    /// Describes the request `parts`, and adds the caller's extension to them.
    pub(super) fn of(parts: &mut Parts) -> Self {
        let asker = Caller::default();
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

    /// Counts and records `response`, sent after `took`.
    pub(super) fn answered(&self, state: &State, response: &Response, took: Duration) {
        let route = self.route.as_ref().map_or("page", MatchedPath::as_str);
        let status = response.status();
        let metrics = &state.metrics;
        metrics.requests.with_label_values(&[self.method, route, status.as_str()]).inc();
        metrics.request_duration.with_label_values(&[self.method, route]).observe(took.as_secs_f64());
        let Some(DenyReason(reason)) = response.extensions().get() else { return };
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

/// Returns the workspace in a path, if it is a valid id.
fn workspace(path: &str) -> Option<WorkspaceId> {
    path.strip_prefix("/workspaces/")?.split('/').next()?.parse().ok()
}

/// Returns the origin that a request names, valid or not.
pub(super) fn origin(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(ORIGIN)?.as_bytes());
    Some(text.chars().take(MAX_ORIGIN).collect())
}

/// Returns the method's name; an unknown one is [`OTHER`], since a client may invent any number.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER)
}
