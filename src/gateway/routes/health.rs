//! Whether the gateway is there, for whoever watches over it.

use axum::Json;
use serde_json::{Value, json};

/// `GET /health`: that the process answers, to whoever asks.
pub(in crate::gateway) async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}
