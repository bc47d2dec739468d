//! Errors of requests, as responses.

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

/// The reason of a refusal, in a word: an extension of the response.
#[derive(Clone, Copy, Debug)]
pub(super) struct DenyReason(pub(super) &'static str);

/// Why a request is refused. The bodies of 401, 404, 429 and 503 are the platform's.
#[derive(Debug)]
pub(super) enum ApiError {
    /// `Host` is not one of ours.
    Host,
    /// `Origin` is not on the list.
    Origin,
    /// A page of another site made a browser send it, without an `Origin`.
    CrossSite,
    /// It is for another tenant; the response does not reveal this one.
    WrongTenant,
    /// It names no tenant, and must.
    MissingTenant,
    /// The path has no workspace in it.
    MissingId,
    /// There is neither a bearer token nor a valid cookie.
    MissingToken,
    /// The credential is unknown.
    InvalidToken,
    /// This peer sent too many wrong tokens.
    Throttled(Duration),
    /// The peer or credential sent too many requests.
    TooManyRequests(Allowance),
    /// The claimed workspace is malformed or ambiguous.
    MalformedClaim,
    /// The caller may not act for the claimed workspace.
    WrongClaim,
    /// The claimed workspace may not reach this one.
    Unrelated,
    /// The organization's token does not open this workspace, if there is one.
    OtherOrganization,
    /// A missing workspace and somebody else's return the same 404.
    NotFound,
    /// The directory is out.
    Unavailable(DirectoryError),
    /// The directory's record of the workspace is invalid, until an operator fixes it.
    Unusable(DirectoryError),
    /// There is no such session in that workspace.
    SessionNotFound,
    /// The request is malformed: the reason.
    Request(String),
    /// The body exceeds this many bytes.
    TooLarge(usize),
    /// A concurrency limit is reached.
    Busy(&'static str),
    /// Files were not written: the body of the response.
    Write(Value),
    /// The control plane is out.
    ControlPlane(ControlPlaneError),
    /// The target is not ready.
    NotReady(NotReady),
    /// No more terminals may be opened.
    Terminals(OpenError),
    /// The terminal speaks WebSocket only.
    NotWebSocket,
    /// A WebSocket handshake that is malformed.
    Handshake(StatusCode, String),
    /// It took too long.
    Timeout,
    /// It cannot be audited, which is required.
    Unrecorded,
    /// The handler panicked: a fault of this program.
    Panicked,
}

impl ApiError {
    /// Returns the reason's stable name in metrics and audit records.
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

impl IntoResponse for ApiError {
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
            // Not a 503, since a retry does not help, and not a 4xx, since the caller is not at fault.
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
                    // The caller's own share, like any other quota.
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
        response.extensions_mut().insert(DenyReason(self.name()));
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

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        if error.is_outage() { Self::Unavailable(error) } else { Self::Unusable(error) }
    }
}

impl From<ControlPlaneError> for ApiError {
    fn from(error: ControlPlaneError) -> Self {
        Self::ControlPlane(error)
    }
}

impl From<Unwritten> for ApiError {
    fn from(Unwritten: Unwritten) -> Self {
        Self::Unrecorded
    }
}

impl From<NotReady> for ApiError {
    fn from(error: NotReady) -> Self {
        Self::NotReady(error)
    }
}

impl From<OpenError> for ApiError {
    fn from(error: OpenError) -> Self {
        Self::Terminals(error)
    }
}

/// The `Retry-After` of a 503 or a concurrency limit, in seconds.
const RETRY_SECONDS: u64 = 2;

/// Returns `duration` in seconds, rounded up, at least 1.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}
