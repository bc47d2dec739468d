//! `POST /workspaces`, as much of the platform's control plane as its tutorial needs. `GET /workspaces/{id}` is
//! the gateway's own.

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::provision::Provisioner;
use super::workspaces::MAX_WORKSPACES;
use crate::workspace::{Status, Workspace, WorkspaceId};

/// A request for a workspace. Members that the demo does not use are returned verbatim.
#[derive(Debug, Deserialize)]
struct NewWorkspace {
    name: String,
    #[serde(default)]
    runtime: Option<String>,
    #[serde(default)]
    tier: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Created {
    id: WorkspaceId,
    name: String,
    status: Status,
    runtime: Option<String>,
    tier: Option<u32>,
}

/// Returns the routes, to be placed behind the gateway's checks.
pub(super) fn routes(provisioner: Provisioner) -> Router {
    Router::new().route("/workspaces", post(create)).with_state(provisioner)
}

async fn create(
    State(provisioner): State<Provisioner>,
    body: Result<Json<NewWorkspace>, JsonRejection>,
) -> Response {
    let Ok(Json(wanted)) = body else {
        return refuse(StatusCode::BAD_REQUEST, "the body must be JSON with a name");
    };
    let name = wanted.name.trim();
    let length = name.chars().count();
    if !(1..=Workspace::MAX_NAME_LEN).contains(&length) || name.chars().any(char::is_control) {
        return refuse(StatusCode::BAD_REQUEST, "the name must have 1 to 200 printable characters");
    }
    match provisioner.create(name) {
        Ok(workspace) => {
            tracing::info!(workspace = %workspace.id, "a workspace is being made");
            let created = Created {
                id: workspace.id,
                name: workspace.name,
                status: workspace.status,
                runtime: wanted.runtime,
                tier: wanted.tier,
            };
            (StatusCode::CREATED, Json(created)).into_response()
        }
        Err(_) => refuse(
            StatusCode::TOO_MANY_REQUESTS,
            &format!("this demo holds {MAX_WORKSPACES} workspaces at most"),
        ),
    }
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}
