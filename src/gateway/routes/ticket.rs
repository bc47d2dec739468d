//! Issues tickets.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Json;
use axum::extract::{Path, Request, State as Shared};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::gateway::State;
use crate::gateway::auth::{Admitted, origin};
use crate::gateway::error::ApiError;

/// `POST /workspaces/{id}/terminal/ticket`: issues a ticket that opens one terminal there, once, as the second
/// subprotocol.
pub(in crate::gateway) async fn ticket(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let Admitted { principal, grant, .. } = state.admit(&parts, &id).await?;
    let left = principal.valid_for(SystemTime::now());
    let ttl = left.map_or(state.tickets.ttl(), |left| left.min(state.tickets.ttl()));
    let ticket = state.tickets.issue(grant, origin(&parts.headers), ttl, Instant::now());
    Ok(Json(json!({"ticket": ticket, "expires_in": ttl.as_secs()})).into_response())
}
