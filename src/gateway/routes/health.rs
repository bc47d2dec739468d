//! Liveness and readiness, for load balancers and monitoring.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::gateway::State;
use crate::workspace::Health;

/// How long the directory's last answer is used: anybody may send probes, which must not load the database.
const BELIEVED: Duration = Duration::from_secs(1);

/// Seconds to wait after a failed probe.
const RETRY_SECONDS: &str = "2";

/// The directory's last answer, `None` for an outage, and its time.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Probe(Mutex<Option<(Instant, Option<Health>)>>);

/// `GET /health`: answers while the process does. A page of any origin may learn that much, without reading the answer: it
/// distinguishes a gateway that refuses the page from an unreachable one.
pub(in crate::gateway) async fn health() -> impl IntoResponse {
    let of_any_origin = (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
    ([of_any_origin], Json(json!({"status": "ok"})))
}

/// `GET /ready`: reports whether terminals can be opened now; else the reasons, one word each. It names the platform whose database
/// it is, and warnings.
pub(in crate::gateway) async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    let mut reasons = Vec::new();
    if state.sessions.is_draining() {
        reasons.push("draining");
    }
    let health = state.directory_health().await;
    if health.is_none() {
        reasons.push("directory");
    }
    let status = if reasons.is_empty() { "ready" } else { "not ready" };
    let mut body = json!({"status": status});
    if !reasons.is_empty() {
        body["reasons"] = json!(reasons);
    }
    let Health { platform, warnings } = health.unwrap_or_default();
    if let Some(platform) = platform {
        body["platform"] = json!(platform.as_str());
    }
    if !warnings.is_empty() {
        body["warnings"] = json!(warnings);
    }
    if reasons.is_empty() {
        return Json(body).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, RETRY_SECONDS)], Json(body)).into_response()
}

impl State {
    /// Returns the state of the directory, if it can answer. Concurrent probes share one query.
    async fn directory_health(&self) -> Option<Health> {
        let mut last = self.probe.0.lock().await;
        if let Some((at, health)) = &*last
            && at.elapsed() < BELIEVED
        {
            return health.clone();
        }
        let health = match self.ask(self.directory.check()).await {
            Ok(health) => Some(health),
            Err(refusal) => {
                tracing::warn!(?refusal, "the directory does not answer a probe");
                None
            }
        };
        *last = Some((Instant::now(), health.clone()));
        health
    }
}
