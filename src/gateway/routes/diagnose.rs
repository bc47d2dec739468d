//! Why a terminal does not open.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::timeout;
use tracing::Instrument as _;

use crate::gateway::State;
use crate::gateway::auth::Admitted;
use crate::gateway::diagnoses::{Diagnosed, Walk};
use crate::gateway::error::ApiError;
use crate::gateway::shares::Exceeded;
use crate::model::StageEvent;
use crate::workspace::Workspace;

/// `GET /workspaces/{id}/terminal/diagnose`: walks through every stage of connecting, opens no terminal, and answers
/// with what stands in the way, in the shape of `docs/doctor.md`. The status is 200 whatever it finds
/// (docs/canvas.md, section 8).
pub(in crate::gateway) async fn diagnose(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let Admitted { principal, workspace, .. } = state.admit(&parts, &id).await?;
    tracing::info!(principal = principal.name, workspace = %workspace.id, "diagnosis requested");
    let config = state.config();
    let limits = (config.max_diagnoses, config.max_diagnoses_per_user);
    let walk = state.diagnoses.join(workspace.id, &principal.name, limits, || walk(&state, workspace));
    let walk = walk.map_err(|exceeded| match exceeded {
        Exceeded::Total => ApiError::Busy("too many diagnoses are under way"),
        Exceeded::Share(_) => ApiError::Busy("too many diagnoses of yours are under way"),
    })?;
    Ok(match walk.await {
        Diagnosed::Report(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        Diagnosed::Unable => {
            let body = json!({"error": "this gateway has no way to diagnose such a workspace"});
            (StatusCode::NOT_IMPLEMENTED, Json(body)).into_response()
        }
        Diagnosed::Late => {
            let body = json!({"error": "the diagnosis did not end in its time"});
            (StatusCode::GATEWAY_TIMEOUT, Json(body)).into_response()
        }
    })
}

/// A walk that holds nothing of the request that began it, since others may wait for it.
fn walk(state: &State, workspace: Workspace) -> Walk {
    let connect = Arc::clone(&state.connect);
    let limit = state.config().diagnose_timeout;
    let span = tracing::info_span!("diagnosis", workspace = %workspace.id);
    let walk = async move {
        let walking = connect.diagnose(&workspace.target, &|_: StageEvent| {});
        match timeout(limit, walking).await {
            Ok(Some(report)) => {
                let first_failure = report.first_failure().map(|step| step.name.name());
                tracing::info!(ok = report.is_ok(), first_failure, "diagnosed");
                serde_json::to_vec(&report).map_or(Diagnosed::Unable, |json| Diagnosed::Report(json.into()))
            }
            Ok(None) => Diagnosed::Unable,
            Err(_) => Diagnosed::Late,
        }
    };
    Box::pin(walk.instrument(span))
}
