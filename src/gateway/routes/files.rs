//! Writing a workspace's files (docs/canvas.md, section 5).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State as Shared};
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};

use super::file_map::FileMap;
use crate::files;
use crate::files::workspace::{CONTAINER_FOLDER, File, MAX_FILES, RelPath, folder, write_all};
use crate::gateway::State;
use crate::gateway::auth::Admitted;
use crate::gateway::error::ApiError;
use crate::gateway::shares::{Exceeded, Party, Permit};
use crate::model::{StageError, StageEvent, Target, escape_control};
use crate::workspace::Workspace;

/// The longest error text per file, in bytes: it quotes the instance.
const MAX_ERROR_TEXT: usize = 500;

/// How much memory the bodies of requests that write files may take, and those of one user, in bodies of the largest
/// size.
const MAX_BODIES: usize = 16;
const MAX_BODIES_PER_USER: usize = 4;

/// The part of a path that names a file; absent where the path ends before it.
#[derive(Debug, Deserialize)]
pub(in crate::gateway) struct Place {
    id: String,
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
struct Content {
    content: String,
}

#[derive(Deserialize)]
struct Contents {
    files: FileMap,
}

/// `PUT /workspaces/{id}/files/{*path}`: writes one file, as a whole or not at all.
pub(in crate::gateway) async fn write_one(
    Shared(state): Shared<Arc<State>>,
    place: Result<Path<Place>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let Ok(Path(Place { id, path })) = place else {
        // A path that is not UTF-8 is invalid; only authenticated callers learn that.
        state.authenticate(&parts).await?;
        return Err(ApiError::Request("invalid path".into()));
    };
    let admitted = state.admit(&parts, &id).await?;
    let rel: RelPath = path.parse().map_err(|_| ApiError::Request("invalid path".into()))?;
    let (Content { content }, _memory) = state.read_json(&admitted, &parts, body).await?;
    let _permit = state.begin_writing(&admitted)?;
    match state.write_files(&admitted, &[File::new(rel, content)]).await?.pop() {
        None => Ok(Json(json!({"status": "saved", "path": path})).into_response()),
        Some((_, text)) => Err(ApiError::Write(json!({"error": format!("failed to write file: {text}")}))),
    }
}

/// `PUT /workspaces/{id}/files`: writes several files, each as a whole or not at all.
pub(in crate::gateway) async fn write_several(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let admitted = state.admit(&parts, &id).await?;
    let (Contents { files }, _memory) = state.read_json(&admitted, &parts, body).await?;
    let count = files.count();
    if count > MAX_FILES {
        return Err(ApiError::Request(format!("too many files ({count}), max {MAX_FILES}")));
    }
    // The platform calls a path that it does not take a body that it does not take.
    let invalid = || ApiError::Request("invalid request body".into());
    let mut wanted = BTreeMap::new();
    for (path, content) in files.files {
        let rel: RelPath = path.parse().map_err(|_| invalid())?;
        // Two spellings of one path: the result would be ambiguous.
        if wanted.insert(rel, content).is_some() {
            return Err(invalid());
        }
    }
    let wanted: Vec<_> = wanted.into_iter().map(|(rel, content)| File::new(rel, content)).collect();
    let _permit = state.begin_writing(&admitted)?;
    let failed = state.write_files(&admitted, &wanted).await?;
    if let Some((path, text)) = failed.first() {
        let error = format!("failed to write file {}: {text}", escape_control(path));
        let written = count - failed.len();
        let failed: BTreeMap<_, _> = failed.iter().cloned().collect();
        return Err(ApiError::Write(json!({"error": error, "failed": failed, "written": written})));
    }
    let workspace = &admitted.workspace;
    let source = if matches!(workspace.target, Target::Local(_)) { "container" } else { "ec2-ssh" };
    let body = json!({"status": "replaced", "workspace": workspace.id, "files": count, "source": source});
    Ok(Json(body).into_response())
}

impl State {
    /// Takes one of the connections for files. A request whose body is not here yet has none.
    fn begin_writing(&self, admitted: &Admitted) -> Result<Permit<Party>, ApiError> {
        let config = self.config();
        let shares = [
            (Party::User(admitted.principal.name.clone()), config.max_file_requests_per_user),
            (Party::Workspace(admitted.workspace.id), config.max_file_requests_per_workspace),
        ];
        let permit = self.writers.take(config.max_file_requests, shares);
        permit.map_err(|exceeded| {
            ApiError::Busy(match exceeded {
                Exceeded::Total => "too many requests that write files are under way",
                Exceeded::Share(0) => "too many requests of yours that write files are under way",
                Exceeded::Share(_) => "too many requests that write files of this workspace are under way",
            })
        })
    }

    /// The body of a request that may be larger than others', as JSON, and its part of the memory for bodies.
    async fn read_json<T: DeserializeOwned>(
        &self,
        admitted: &Admitted,
        parts: &Parts,
        body: Body,
    ) -> Result<(T, Permit<String>), ApiError> {
        let config = self.config();
        let announced = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > config.max_files_body as u64) {
            return Err(ApiError::TooLarge(config.max_files_body));
        }
        let max = config.max_files_body;
        let take = |amount: usize| {
            let share = (admitted.principal.name.clone(), max.saturating_mul(MAX_BODIES_PER_USER));
            let taken = self.bodies.take_many(amount, max.saturating_mul(MAX_BODIES), [share]);
            taken.map_err(|_| ApiError::Busy("too much is being written"))
        };
        let reading = timeout(config.request_timeout, read(body, max, take));
        let (bytes, memory) = reading.await.map_err(|_| ApiError::Timeout)??;
        let value = serde_json::from_slice(&bytes);
        Ok((value.map_err(|_| ApiError::Request("invalid request body".into()))?, memory))
    }

    /// Writes `files` over one connection. Returns the failed ones with their error texts.
    async fn write_files(
        &self,
        admitted: &Admitted,
        files: &[File],
    ) -> Result<Vec<(String, String)>, ApiError> {
        let Admitted { principal, workspace, .. } = admitted;
        if files.is_empty() {
            return Ok(Vec::new());
        }
        self.connect.ready(&workspace.target).await?;
        let limit = self.config().files_timeout;
        let deadline = Instant::now() + limit;
        let connecting = self.connect.connect(&workspace.target, &|_: StageEvent| {});
        let host = match timeout_at(deadline, connecting).await {
            Ok(Ok(host)) => host,
            Ok(Err(error)) => return Err(unreached(workspace, &told_of_stage(&error))),
            Err(_) => return Err(unreached(workspace, &format!("not connected within {limit:?}"))),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let results = write_all(host.as_ref(), folder_of(workspace), files, left).await;
        if timeout(self.config().session.close_timeout, host.close()).await.is_err() {
            tracing::warn!("the connection did not close in time; dropped");
        }
        let failed: Vec<_> = files
            .iter()
            .zip(results)
            .filter_map(|(file, result)| Some((file.path.as_str().to_owned(), error_text(&result.err()?))))
            .collect();
        tracing::info!(
            principal = principal.name, workspace = %workspace.id,
            files = files.len(), failed = failed.len(), "files written"
        );
        Ok(failed)
    }
}

/// Reads `body` to its end, which comes within `max` bytes, each of which is taken from the memory for bodies as it
/// comes: a body that was only announced takes nothing.
async fn read(
    body: Body,
    max: usize,
    take: impl Fn(usize) -> Result<Permit<String>, ApiError>,
) -> Result<(Bytes, Permit<String>), ApiError> {
    let mut pieces = body.into_data_stream();
    let mut bytes = BytesMut::new();
    let mut memory = take(0)?;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| ApiError::Request("invalid request body".into()))?;
        if piece.len() > max - bytes.len() {
            return Err(ApiError::TooLarge(max));
        }
        memory.absorb(take(piece.len())?);
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes.freeze(), memory))
}

/// Returns the location of `workspace`'s files: its local container, else the instance.
fn folder_of(workspace: &Workspace) -> &'static str {
    match &workspace.target {
        Target::Local(_) => CONTAINER_FOLDER,
        Target::Instance(_) => folder(workspace.runtime.as_deref().unwrap_or_default()),
    }
}

/// Returns the error for an unreachable workspace: no file was written.
fn unreached(workspace: &Workspace, text: &str) -> ApiError {
    tracing::info!(workspace = %workspace.id, error = text, "no file was written");
    ApiError::Write(json!({"error": format!("failed to write file: {text}")}))
}

/// Returns the error text for a file that was not written. It quotes the instance: escaped, and at most
/// [`MAX_ERROR_TEXT`] bytes.
fn error_text(error: &files::TransferError) -> String {
    let mut line = escape_control(&error.to_string());
    if let files::TransferError::Open(cause) = error {
        let _ = write!(line, ": {cause}");
    }
    finish(line, error.hint())
}

/// Returns the text of a failed stage: its message and hint, without quotes of the remote.
fn told_of_stage(error: &StageError) -> String {
    finish(error.to_string(), error.hint())
}

fn finish(mut line: String, hint: Option<&str>) -> String {
    if let Some(hint) = hint {
        let _ = write!(line, ". {}", escape_control(hint));
    }
    if line.len() > MAX_ERROR_TEXT {
        line.truncate(line.floor_char_boundary(MAX_ERROR_TEXT));
        line.push('…');
    }
    line
}
