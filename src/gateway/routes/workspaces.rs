//! The workspaces that the caller may open.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State as Shared};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use crate::gateway::State;
use crate::gateway::auth::Admitted;
use crate::gateway::error::ApiError;
use crate::model::{Shell, Target};
use crate::workspace::{Principal, Status, Workspace, WorkspaceId};

/// A workspace as JSON: what a user needs to choose it; of its target, only where it runs.
#[derive(Debug, Serialize)]
pub(in crate::gateway) struct Summary {
    id: WorkspaceId,
    name: String,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl From<Workspace> for Summary {
    fn from(workspace: Workspace) -> Self {
        let Workspace { id, name, status, target, note, .. } = workspace;
        let (instance, container) = match target {
            Target::Instance(target) => {
                let container = match &target.shell {
                    Shell::Container(shell) => Some(shell.container.to_string()),
                    _ => None,
                };
                (Some(target.instance.to_string()), container)
            }
            Target::Local(target) => (None, target.candidates.first().map(ToString::to_string)),
        };
        Self { id, name, status, instance, container, note }
    }
}

/// `GET /workspaces`: lists the workspaces that the caller may open.
pub(in crate::gateway) async fn list(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Json<Vec<Summary>>, ApiError> {
    let (parts, _) = request.into_parts();
    let principal = state.authenticate(&parts).await?;
    let workspaces = state.ask(state.directory.list(&principal)).await?;
    let mine = workspaces.into_iter().filter(|workspace| is_open_to(&principal, workspace));
    Ok(Json(mine.map(Summary::from).collect()))
}

/// `GET /workspaces/{id}`: returns one of them; without authentication its status only, if the configuration allows it.
pub(in crate::gateway) async fn show(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    match state.admit(&parts, &id).await {
        Ok(Admitted { workspace, .. }) => Ok(Json(Summary::from(workspace)).into_response()),
        Err(ApiError::MissingToken) if state.config().public_status => {
            let id: WorkspaceId = id.parse().map_err(|_| ApiError::NotFound)?;
            let workspace = state.ask(state.directory.find(id)).await?.ok_or(ApiError::NotFound)?;
            Ok(Json(json!({"id": workspace.id, "status": workspace.status})).into_response())
        }
        Err(refusal) => Err(refusal),
    }
}

impl State {
    /// Returns the workspace `id` if it exists and `principal` may open it; otherwise the same error for both.
    pub(in crate::gateway) async fn find(
        &self,
        principal: &Principal,
        id: &str,
    ) -> Result<Workspace, ApiError> {
        let id: WorkspaceId = id.parse().map_err(|_| ApiError::NotFound)?;
        let found = self.ask(self.directory.find(id)).await?;
        found.filter(|workspace| is_open_to(principal, workspace)).ok_or(ApiError::NotFound)
    }
}

fn is_open_to(principal: &Principal, workspace: &Workspace) -> bool {
    principal.may_open(workspace.id) && workspace.status != Status::Removed
}
