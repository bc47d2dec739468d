//! Lists and ends open terminals.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::Json;
use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use crate::gateway::State;
use crate::gateway::auth::Admitted;
use crate::gateway::error::ApiError;
use crate::proto::Timestamp;
use crate::session::{Kill, Summary};
use crate::workspace::WorkspaceId;

/// An open terminal as JSON.
#[derive(Debug, Serialize)]
pub(in crate::gateway) struct Session {
    id: Uuid,
    workspace: String,
    user: String,
    /// RFC 3339, in seconds.
    opened_at: String,
    age_secs: u64,
    /// Bytes of input.
    input_bytes: u64,
    /// Bytes of output.
    output_bytes: u64,
}

impl From<Summary> for Session {
    fn from(summary: Summary) -> Self {
        let since_epoch = summary.opened_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            id: summary.id,
            workspace: summary.owner.workspace,
            user: summary.owner.user,
            opened_at: Timestamp::from_unix(since_epoch.as_secs()).rfc3339(),
            age_secs: summary.age.as_secs(),
            input_bytes: summary.input_bytes,
            output_bytes: summary.output_bytes,
        }
    }
}

/// `GET /workspaces/{id}/terminal/sessions`: lists the open terminals of a workspace, oldest first.
pub(in crate::gateway) async fn in_workspace(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Vec<Session>>, ApiError> {
    let (parts, _) = request.into_parts();
    let Admitted { workspace, .. } = state.admit(&parts, &id).await?;
    Ok(Json(sessions(&state, |of| of == workspace.id)))
}

/// `GET /terminal/sessions`: lists those of every workspace that the caller may open, oldest first.
pub(in crate::gateway) async fn everywhere(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Json<Vec<Session>>, ApiError> {
    let (parts, _) = request.into_parts();
    let principal = state.authenticate(&parts).await?;
    Ok(Json(sessions(&state, |of| principal.may_open(of))))
}

/// `DELETE /workspaces/{id}/terminal/sessions/{session}`: ends a terminal; its viewer is closed with 4404.
pub(in crate::gateway) async fn end(
    Shared(state): Shared<Arc<State>>,
    Path((id, session)): Path<(String, String)>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let (parts, _) = request.into_parts();
    let Admitted { principal, workspace, .. } = state.admit(&parts, &id).await?;
    let session: Uuid = session.parse().map_err(|_| ApiError::SessionNotFound)?;
    // A session of another workspace is not found.
    let is_here = sessions(&state, |of| of == workspace.id).iter().any(|known| known.id == session);
    if !is_here || !state.sessions.kill(session, Kill::Request) {
        return Err(ApiError::SessionNotFound);
    }
    tracing::info!(principal = principal.name, workspace = %workspace.id, %session, "terminal ended by request");
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the sessions of the workspaces that `wanted` selects.
fn sessions(state: &State, wanted: impl Fn(WorkspaceId) -> bool) -> Vec<Session> {
    let all = state.sessions.list().into_iter();
    all.filter(|session| session.owner.workspace.parse().is_ok_and(&wanted)).map(Session::from).collect()
}
