//! The name and version of this program.

use axum::Json;
use axum::response::IntoResponse;
use serde_json::json;

/// `GET /buildinfo`: the name and version of this program. The platform's own route has its commit in `git_sha`; that
/// member is missing here, so that a deployment check never mistakes the gateway for the platform.
pub(in crate::gateway) async fn build_info() -> impl IntoResponse {
    Json(json!({"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")}))
}
