//! The workspace that a caller claims to act for (docs/canvas.md, section 1.7).
//!
//! The header `X-Workspace-ID` restricts: a caller that names a workspace must be allowed to act for it, and that
//! workspace must be allowed to reach the other. Leaving it out opens nothing that the credential does not.

use axum::http::HeaderName;
use axum::http::request::Parts;

use super::Credential;
use super::headers::only;
use crate::gateway::State;
use crate::gateway::error::ApiError;
use crate::workspace::{Access, CredentialKind, Principal, WorkspaceId, can_communicate};

/// The header of the claim.
pub(in crate::gateway) const X_WORKSPACE_ID: HeaderName = HeaderName::from_static("x-workspace-id");

impl State {
    /// The workspace that the request claims to come from, if it names another one than `target` and may.
    pub(super) async fn check_claim(
        &self,
        parts: &Parts,
        target: &str,
        principal: &Principal,
        credential: &Credential,
    ) -> Result<Option<WorkspaceId>, ApiError> {
        let claimed = match only(&parts.headers, &X_WORKSPACE_ID) {
            None => return Ok(None),
            Some(Ok(claimed)) if claimed.is_empty() || claimed == target => return Ok(None),
            Some(claimed) => claimed.map_err(|()| ApiError::MalformedClaim)?,
        };
        let claimed: WorkspaceId = claimed.parse().map_err(|_| ApiError::MalformedClaim)?;
        let target = target.parse().map_err(|_| ApiError::NotFound)?;
        if claimed == target {
            return Ok(None);
        }
        if !may_speak_for(principal, credential, claimed) {
            return Err(ApiError::WrongClaim);
        }
        let may = self.ask(can_communicate(self.directory.as_ref(), claimed, target)).await?;
        if may { Ok(Some(claimed)) } else { Err(ApiError::Unrelated) }
    }
}

/// Returns whether a caller may claim to speak for `workspace`: a token may for its workspaces, an organization's token for
/// those that it opens, and a caller without a token for any. The administrator's token speaks for none, as on the
/// platform.
pub(in crate::gateway) fn may_speak_for(
    principal: &Principal,
    credential: &Credential,
    workspace: WorkspaceId,
) -> bool {
    match credential {
        Credential::Bearer(_) | Credential::Page(_) => match &principal.access {
            Access::Only(own) => own.contains(&workspace),
            _ => principal.kind == CredentialKind::Organization,
        },
        Credential::Session(_) | Credential::Development => true,
    }
}
