//! Whether the gateway is there, and whether it can work, for whoever watches over it.

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

/// How long what the directory said of itself is believed: a probe that anybody may send is no way to burden it.
const BELIEVED: Duration = Duration::from_secs(1);

/// When a probe that failed is worth repeating, in seconds.
const RETRY_SECONDS: &str = "2";

/// What the directory last said of itself, and when.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Probe(Mutex<Option<(Instant, bool)>>);

/// `GET /health`: that the process answers, to whoever asks. A page of any origin may learn that much, without reading
/// the answer: it tells a gateway that does not let it in from one that is not there.
pub(in crate::gateway) async fn health() -> impl IntoResponse {
    let of_any_origin = (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
    ([of_any_origin], Json(json!({"status": "ok"})))
}

/// `GET /ready`: whether terminals can be opened now, to whoever asks; what is in the way in a word each.
pub(in crate::gateway) async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    let mut reasons = Vec::new();
    if state.sessions.is_draining() {
        reasons.push("draining");
    }
    if !state.directory_answers().await {
        reasons.push("directory");
    }
    if reasons.is_empty() {
        return Json(json!({"status": "ready"})).into_response();
    }
    let body = Json(json!({"status": "not ready", "reasons": reasons}));
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, RETRY_SECONDS)], body).into_response()
}

impl State {
    /// Whether the directory can answer. Probes that come together wait for one question.
    async fn directory_answers(&self) -> bool {
        let mut last = self.probe.0.lock().await;
        if let Some((at, answers)) = *last
            && at.elapsed() < BELIEVED
        {
            return answers;
        }
        let answers = match self.ask(self.directory.check()).await {
            Ok(()) => true,
            Err(refusal) => {
                tracing::warn!(?refusal, "the directory does not answer a probe");
                false
            }
        };
        *last = Some((Instant::now(), answers));
        answers
    }
}
