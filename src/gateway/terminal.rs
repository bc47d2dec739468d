//! `GET /workspaces/{id}/terminal`: everything before the upgrade.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, Request, State as Shared};
use axum::http::header::UPGRADE;
use axum::response::Response;

use super::access_log::origin;
use super::auth::{Admitted, peer};
use super::error::ApiError;
use super::observe::Observation;
use super::{State, eicterm, legacy};
use crate::session;

/// The read buffer of a socket, in bytes, allocated once per open terminal.
const READ_BUFFER: usize = 16 << 10;

/// The buffered bytes from which a socket writes.
const WRITE_BUFFER: usize = 32 << 10;

/// The most bytes that a socket buffers for writing: more than a piece of output, a last line and a few pongs.
const MAX_WRITE_BUFFER: usize = 512 << 10;

/// Authenticates, finds the workspace, checks that it is ready, upgrades, and only then connects.
pub(super) async fn open(
    Shared(state): Shared<Arc<State>>,
    id: Result<Path<String>, PathRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    // A path that is not text names no workspace.
    let id = id.map_or_else(|_| char::REPLACEMENT_CHARACTER.into(), |Path(id)| id);
    let Admitted { principal, workspace, grant } = state.admit_to_terminal(&parts, &id).await?;
    state.connect.ready(&workspace.target).await?;
    let upgrade = upgrade.map_err(|rejection| {
        if parts.headers.contains_key(UPGRADE) {
            ApiError::Handshake(rejection.status(), rejection.body_text())
        } else {
            ApiError::NotWebSocket
        }
    })?;
    let owner = session::Owner::new(workspace.id.to_string(), principal.name.clone());
    let place = state.sessions.reserve(owner)?;
    tracing::info!(
        principal = principal.name, workspace = %workspace.id, session = %place.session(),
        "terminal requested"
    );

    let held = state.hold(place.session(), grant);
    let upgrade = upgrade.protocols([eicterm::NAME]);
    let is_eicterm = upgrade.selected_protocol().is_some();
    let protocol = if is_eicterm { eicterm::NAME } else { "legacy" };
    let from = (peer(&parts), origin(&parts.headers));
    let observed = Observation::new(&state, place.session(), (&principal, &workspace), from, protocol);
    observed.requested().await?;
    let observed = Arc::new(observed);
    let max_message = if is_eicterm { 1 + eicterm::MAX_FRAME } else { state.config().max_message };
    let viewers = state.viewers.clone();
    Ok(upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(max_message)
        .max_frame_size(max_message)
        .on_failed_upgrade(|error| tracing::debug!(%error, "the upgrade failed"))
        .on_upgrade(move |socket| {
            viewers.track_future(async move {
                let _held = held;
                let _viewer = observed.attached();
                let request = session::Request::new(workspace.target).observed_by(observed.clone());
                if is_eicterm {
                    eicterm::serve(socket, place, request, &state.config(), &observed).await;
                } else {
                    legacy::serve(socket, place.open(request), &state.config(), &observed).await;
                }
            })
        }))
}
