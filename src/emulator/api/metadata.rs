//! The instance metadata service at 169.254.169.254: the keys pushed to an instance.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use eice_proto::InstanceId;

use super::Api;

/// Handles `GET …/latest/meta-data/instance-id`.
pub(super) async fn instance_id(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<String, StatusCode> {
    let id: InstanceId = id.parse().map_err(|_| StatusCode::NOT_FOUND)?;
    api.world.instance(&id).map(|instance| instance.spec.id.to_string()).ok_or(StatusCode::NOT_FOUND)
}

/// Handles `GET …/latest/meta-data/managed-ssh-keys/active-keys/USER/`: one key per line; 404 without keys, as
/// the instance's `eic_run_authorized_keys` expects.
pub(super) async fn active_keys(
    State(api): State<Api>,
    Path((id, user)): Path<(String, String)>,
) -> Result<String, StatusCode> {
    let id: InstanceId = id.parse().map_err(|_| StatusCode::NOT_FOUND)?;
    let keys = api.world.active_keys(&id, &user);
    if keys.is_empty() {
        return Err(StatusCode::NOT_FOUND);
    }
    Ok(keys.iter().map(|key| format!("{key}\n")).collect())
}
