//! What is said to a request that gets no further.

use std::time::Duration;

use axum::Json;
use axum::http::header::{RETRY_AFTER, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::control_plane::ControlPlaneError;
use super::rate_limit::Allowance;
use crate::session::OpenError;
use crate::workspace::DirectoryError;

/// Why a request gets no further. The bodies of 401, 429 and 503 are the platform's.
#[derive(Debug)]
pub(super) enum Refusal {
    /// `Host` names nobody that we are.
    Host,
    /// `Origin` is not on the list.
    Origin,
    /// It is for another tenant: that there is this one is not told.
    WrongTenant,
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
    /// There is no such workspace, or none that is the caller's: which of the two is not told.
    NotFound,
    /// The directory cannot answer.
    Unavailable(DirectoryError),
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
    /// No more terminals may be opened.
    Terminals(OpenError),
    /// The terminal speaks WebSocket only.
    NotWebSocket,
    /// A WebSocket handshake that is malformed.
    Handshake(StatusCode, String),
    /// It took too long.
    Timeout,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, body) = match &self {
            Self::Host => (StatusCode::FORBIDDEN, json!({"error": "host not allowed"})),
            Self::Origin => (StatusCode::FORBIDDEN, json!({"error": "origin not allowed"})),
            Self::WrongTenant => return StatusCode::NOT_FOUND.into_response(),
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
            Self::Terminals(error) => {
                let code = if *error == OpenError::Draining { "draining" } else { "too_many_terminals" };
                (StatusCode::SERVICE_UNAVAILABLE, json!({"error": error.to_string(), "code": code}))
            }
            Self::NotWebSocket => (
                StatusCode::UPGRADE_REQUIRED,
                json!({"error": "a terminal is a WebSocket: connect with ws:// or wss://"}),
            ),
            Self::Handshake(status, message) => (*status, json!({"error": message})),
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, json!({"error": "the request took too long"})),
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        match self {
            Self::Throttled(after) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
            }
            Self::TooManyRequests(allowance) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(allowance.reset)));
                allowance.write(headers);
            }
            Self::Unavailable(_) | Self::ControlPlane(_) | Self::Terminals(_) | Self::Busy(_) => {
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
        Self::Unavailable(error)
    }
}

impl From<ControlPlaneError> for Refusal {
    fn from(error: ControlPlaneError) -> Self {
        Self::ControlPlane(error)
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
