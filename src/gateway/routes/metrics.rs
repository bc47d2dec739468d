//! Metrics for Prometheus.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::gateway::State;

/// `GET /metrics`, if enabled, without authentication (docs/canvas.md, section 1.1).
pub(in crate::gateway) async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    if state.config().metrics { render(&state) } else { StatusCode::NOT_FOUND.into_response() }
}

/// The same on a separate address.
pub(in crate::gateway) async fn always(Shared(state): Shared<Arc<State>>) -> Response {
    render(&state)
}

fn render(state: &State) -> Response {
    let max_sessions = state.config().session.max_sessions;
    state.metrics.sessions_limit.set(i64::try_from(max_sessions).unwrap_or(i64::MAX));
    match state.metrics.render() {
        Ok((content_type, text)) => ([(CONTENT_TYPE, content_type)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
