//! What is said to a request that gets no further.

use std::time::Duration;

use axum::Json;
use axum::http::header::{RETRY_AFTER, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::audit::Unwritten;
use super::control_plane::ControlPlaneError;
use super::rate_limit::Allowance;
use crate::model::NotReady;
use crate::session::OpenError;
use crate::workspace::DirectoryError;

/// Why a request got no further, in a word: an extension of the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Denied(pub(super) &'static str);

/// Why a request gets no further. The bodies of 401, 404, 429 and 503 are the platform's.
#[derive(Debug)]
pub(super) enum Refusal {
    /// `Host` names nobody that we are.
    Host,
    /// `Origin` is not on the list.
    Origin,
    /// A page of another site made a browser send it, without an `Origin`.
    CrossSite,
    /// It is for another tenant: that there is this one is not told.
    WrongTenant,
    /// It names no tenant, and must.
    MissingTenant,
    /// The path has no workspace in it.
    MissingId,
    /// There is neither a bearer token nor a cookie that counts.
    MissingToken,
    /// There is one, and it is nobody's.
    InvalidToken,
    /// This peer sent too many wrong tokens.
    Throttled(Duration),
    /// This peer, or what it showed, sent too many requests.
    TooManyRequests(Allowance),
    /// The caller claims to be several workspaces, or none that there could be.
    MalformedClaim,
    /// The caller claims to be a workspace that is not theirs.
    WrongClaim,
    /// The workspace that the caller speaks for may not reach this one.
    Unrelated,
    /// The organization's token does not open this workspace, if there is one.
    OtherOrganization,
    /// There is no such workspace, or none that is the caller's: which of the two is not told.
    NotFound,
    /// The directory cannot answer.
    Unavailable(DirectoryError),
    /// The directory answers with what opens nothing, until somebody mends it.
    Unusable(DirectoryError),
    /// There is no such session in that workspace.
    SessionNotFound,
    /// The request is not as the route wants it: this is wrong with it.
    Request(String),
    /// The body has more bytes than these.
    TooLarge(usize),
    /// As much of this is under way as may be.
    Busy(&'static str),
    /// Files were not written: the body of the answer.
    Write(Value),
    /// The control plane cannot answer.
    ControlPlane(ControlPlaneError),
    /// Connecting is not worth trying.
    NotReady(NotReady),
    /// No more terminals may be opened.
    Terminals(OpenError),
    /// The terminal speaks WebSocket only.
    NotWebSocket,
    /// A WebSocket handshake that is malformed.
    Handshake(StatusCode, String),
    /// It took too long.
    Timeout,
    /// It cannot be recorded, and must be.
    Unrecorded,
    /// It panicked: a fault of this program.
    Panicked,
}

impl Refusal {
    /// The reason's stable name, as it stands in metrics and audit records.
    fn name(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Origin => "origin",
            Self::CrossSite => "cross-site",
            Self::WrongTenant => "wrong-tenant",
            Self::MissingTenant => "missing-tenant",
            Self::MissingId => "missing-id",
            Self::MissingToken => "missing-token",
            Self::InvalidToken => "invalid-token",
            Self::Throttled(_) => "throttled",
            Self::TooManyRequests(_) => "rate-limit",
            Self::MalformedClaim => "malformed-claim",
            Self::WrongClaim => "wrong-claim",
            Self::Unrelated => "unrelated",
            Self::OtherOrganization => "other-organization",
            Self::NotFound => "not-found",
            Self::Unavailable(_) => "directory",
            Self::Unusable(_) => "unusable-entry",
            Self::ControlPlane(_) => "control-plane",
            Self::SessionNotFound => "session-not-found",
            Self::Request(_) => "bad-request",
            Self::TooLarge(_) => "too-large",
            Self::Busy(_) => "busy",
            Self::Write(_) => "not-written",
            Self::NotReady(NotReady::Engine(_)) => "engine",
            Self::NotReady(NotReady::Container) => "container",
            Self::Terminals(OpenError::Draining) => "draining",
            Self::Terminals(OpenError::WorkspaceFull(_)) => "workspace-full",
            Self::Terminals(OpenError::UserFull(_)) => "user-full",
            Self::Terminals(OpenError::Full(_)) => "full",
            Self::NotWebSocket => "not-websocket",
            Self::Handshake(..) => "handshake",
            Self::Timeout => "timeout",
            Self::Unrecorded => "unrecorded",
            Self::Panicked => "panicked",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, body) = match &self {
            Self::Host => (StatusCode::FORBIDDEN, json!({"error": "host not allowed"})),
            Self::Origin => (StatusCode::FORBIDDEN, json!({"error": "origin not allowed"})),
            Self::CrossSite => {
                (StatusCode::FORBIDDEN, json!({"error": "requests of other sites' pages are not allowed"}))
            }
            Self::WrongTenant => (StatusCode::NOT_FOUND, Value::Null),
            Self::MissingTenant => (
                StatusCode::BAD_REQUEST,
                json!({
                    "error": "missing tenant routing header",
                    "code": "TENANT_ORG_HEADER_REQUIRED",
                    "required_header": "X-Molecule-Org-Id",
                    "detail": "name the organization of this gateway in X-Molecule-Org-Id",
                }),
            ),
            Self::MissingId => (StatusCode::UNAUTHORIZED, json!({"error": "missing workspace ID"})),
            Self::MissingToken => {
                (StatusCode::UNAUTHORIZED, json!({"error": "missing workspace auth token"}))
            }
            Self::InvalidToken => {
                (StatusCode::UNAUTHORIZED, json!({"error": "invalid workspace auth token"}))
            }
            Self::Throttled(after) | Self::TooManyRequests(Allowance { reset: after, .. }) => (
                StatusCode::TOO_MANY_REQUESTS,
                json!({"error": "rate limit exceeded", "retry_after": whole_seconds(*after)}),
            ),
            Self::MalformedClaim => {
                (StatusCode::BAD_REQUEST, json!({"error": "X-Workspace-ID must be one workspace's id"}))
            }
            Self::WrongClaim => {
                (StatusCode::UNAUTHORIZED, json!({"error": "invalid token for claimed workspace"}))
            }
            Self::Unrelated => (
                StatusCode::FORBIDDEN,
                json!({"error": "not authorized to access this workspace's terminal"}),
            ),
            Self::OtherOrganization => {
                (StatusCode::FORBIDDEN, json!({"error": "org token not authorized for this workspace's org"}))
            }
            Self::NotFound => (StatusCode::NOT_FOUND, json!({"error": "workspace not found"})),
            Self::SessionNotFound => (StatusCode::NOT_FOUND, json!({"error": "session not found"})),
            Self::Request(message) => (StatusCode::BAD_REQUEST, json!({"error": message})),
            Self::TooLarge(max) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                json!({"error": format!("the body is larger than {max} bytes")}),
            ),
            Self::Busy(message) => (
                StatusCode::TOO_MANY_REQUESTS,
                json!({"error": message, "code": "busy", "retry_after": RETRY_SECONDS}),
            ),
            Self::Write(body) => (StatusCode::INTERNAL_SERVER_ERROR, body.clone()),
            Self::Unavailable(error) => {
                tracing::error!(error = error as &dyn std::error::Error, "directory outage");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    json!({
                        "error": "platform datastore unavailable — retry shortly",
                        "code": "platform_unavailable",
                    }),
                )
            }
            // Neither a 503, since trying again does not help, nor a 4xx, since it is no fault of the caller's.
            Self::Unusable(error) => {
                tracing::error!(error = error as &dyn std::error::Error, "wrong entry in the directory");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    json!({
                        "error": "the platform's entry of this workspace is wrong: an operator has to mend it",
                        "code": "workspace_unusable",
                    }),
                )
            }
            Self::ControlPlane(error) => {
                tracing::error!(error = error as &dyn std::error::Error, "control plane outage");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    json!({
                        "error": "control plane unavailable — retry shortly",
                        "code": "control_plane_unavailable",
                    }),
                )
            }
            Self::NotReady(error @ NotReady::Engine(_)) => {
                tracing::error!(error = error as &dyn std::error::Error, "no container engine");
                (StatusCode::SERVICE_UNAVAILABLE, json!({"error": error.to_string()}))
            }
            Self::NotReady(error) => (StatusCode::NOT_FOUND, json!({"error": error.to_string()})),
            Self::Terminals(error) => {
                let message = error.to_string();
                match error {
                    OpenError::Draining => {
                        (StatusCode::SERVICE_UNAVAILABLE, json!({"error": message, "code": "draining"}))
                    }
                    OpenError::Full(_) => (
                        StatusCode::SERVICE_UNAVAILABLE,
                        json!({"error": message, "code": "too_many_terminals"}),
                    ),
                    // The caller's own share, as any other rate or quota of theirs.
                    OpenError::WorkspaceFull(_) | OpenError::UserFull(_) => (
                        StatusCode::TOO_MANY_REQUESTS,
                        json!({
                            "error": message,
                            "code": "too_many_terminals",
                            "retry_after": RETRY_SECONDS,
                        }),
                    ),
                }
            }
            Self::NotWebSocket => (
                StatusCode::UPGRADE_REQUIRED,
                json!({"error": "a terminal is a WebSocket: connect with ws:// or wss://"}),
            ),
            Self::Handshake(status, message) => (*status, json!({"error": message})),
            Self::Panicked => (
                StatusCode::INTERNAL_SERVER_ERROR,
                json!({"error": "the gateway failed at this request", "code": "internal"}),
            ),
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, json!({"error": "the request took too long"})),
            Self::Unrecorded => (
                StatusCode::SERVICE_UNAVAILABLE,
                json!({
                    "error": "the audit log cannot be written, and no terminal opens without it",
                    "code": "audit_unavailable",
                }),
            ),
        };
        let mut response =
            if body.is_null() { status.into_response() } else { (status, Json(body)).into_response() };
        response.extensions_mut().insert(Denied(self.name()));
        let headers = response.headers_mut();
        match self {
            Self::Throttled(after) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
            }
            Self::TooManyRequests(allowance) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(allowance.reset)));
                allowance.write(headers);
            }
            Self::Unavailable(_)
            | Self::ControlPlane(_)
            | Self::Terminals(_)
            | Self::Busy(_)
            | Self::Unrecorded => {
                headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
            }
            Self::NotWebSocket => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            }
            _ => {}
        }
        response
    }
}

impl From<DirectoryError> for Refusal {
    fn from(error: DirectoryError) -> Self {
        if error.is_outage() { Self::Unavailable(error) } else { Self::Unusable(error) }
    }
}

impl From<ControlPlaneError> for Refusal {
    fn from(error: ControlPlaneError) -> Self {
        Self::ControlPlane(error)
    }
}

impl From<Unwritten> for Refusal {
    fn from(Unwritten: Unwritten) -> Self {
        Self::Unrecorded
    }
}

impl From<NotReady> for Refusal {
    fn from(error: NotReady) -> Self {
        Self::NotReady(error)
    }
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Self {
        Self::Terminals(error)
    }
}

/// When to come back after a 503, or when too much is under way, in seconds.
const RETRY_SECONDS: u64 = 2;

/// `duration` in seconds, rounded up, at least 1.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}
