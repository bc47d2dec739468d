//! The routes besides the terminal.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::State;
use super::answer::Refusal;
use super::auth::{Admitted, bearer, origin, peer};
use crate::terminal::{Shell, Target};
use crate::workspace::{Principal, Status, Workspace, WorkspaceId};

/// `GET /health`: that the process answers, to whoever asks.
pub(super) async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `POST /auth/session`: trades a bearer token for a cookie that no script can read.
pub(super) async fn sign_in(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let token = bearer(&parts.headers)?.ok_or(Refusal::MissingToken)?;
    let principal = state.authenticate_bearer(&token, peer(&parts)).await?;
    // The cookie that it replaces opens nothing any more.
    state.cookies.revoke(&parts.headers);
    let cookie = state.cookies.issue(token, Instant::now());
    let body = json!({"name": principal.name, "expires_in": state.config().cookie_ttl.as_secs()});
    let mut response = Json(body).into_response();
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}

/// `POST /workspaces/{id}/terminal/ticket`: what opens one terminal there, once, as a second subprotocol.
pub(super) async fn ticket(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let Admitted { principal, workspace } = state.admit(&parts, &id).await?;
    let origin = origin(&parts.headers);
    let ticket = state.tickets.issue(principal, workspace.id, origin, Instant::now());
    Ok(Json(json!({"ticket": ticket, "expires_in": state.tickets.ttl().as_secs()})).into_response())
}

/// `DELETE /auth/session`: makes the cookie invalid, here and in the browser.
pub(super) async fn sign_out(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let cookie = state.cookies.revoke(request.headers());
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    response
}

/// A workspace as JSON: what a person needs to choose it, and nothing of how it is reached but where it runs.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
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

/// `GET /workspaces`: what the caller may open.
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Json<Vec<Summary>>, Refusal> {
    let (parts, _) = request.into_parts();
    let principal = state.authenticate(&parts).await?;
    let workspaces = state.ask(state.directory.list(&principal)).await?;
    let mine = workspaces.into_iter().filter(|workspace| is_open_to(&principal, workspace));
    Ok(Json(mine.map(Summary::from).collect()))
}

/// `GET /workspaces/{id}`: one of them; to somebody unknown its status only, and that only where the
/// configuration says so.
pub(super) async fn show(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    match state.authenticate(&parts).await {
        Ok(principal) => {
            let workspace = state.find(&principal, &id).await?;
            Ok(Json(Summary::from(workspace)).into_response())
        }
        Err(Refusal::MissingToken) if state.config().public_status => {
            let id: WorkspaceId = id.parse().map_err(|_| Refusal::NotFound)?;
            let workspace = state.ask(state.directory.find(id)).await?.ok_or(Refusal::NotFound)?;
            Ok(Json(json!({"id": workspace.id, "status": workspace.status})).into_response())
        }
        Err(refusal) => Err(refusal),
    }
}

impl State {
    /// The workspace `id` when it is there and is `principal`'s; which of the two is wrong is not told.
    pub(super) async fn find(&self, principal: &Principal, id: &str) -> Result<Workspace, Refusal> {
        let id: WorkspaceId = id.parse().map_err(|_| Refusal::NotFound)?;
        let found = self.ask(self.directory.find(id)).await?;
        found.filter(|workspace| is_open_to(principal, workspace)).ok_or(Refusal::NotFound)
    }
}

fn is_open_to(principal: &Principal, workspace: &Workspace) -> bool {
    principal.may_open(workspace.id) && workspace.status != Status::Removed
}
