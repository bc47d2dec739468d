//! Credentials and grants.

use std::sync::Arc;

use crate::gateway::State;
use crate::gateway::control_plane::SessionCookies;
use crate::gateway::cookies::PageCookie;
use crate::gateway::error::ApiError;
use crate::gateway::secret::Fingerprint;
use crate::workspace::{Access, BearerToken, CredentialKind, Principal, WorkspaceId};

/// A validated credential. `Debug` shows no secrets.
#[derive(Clone, Debug)]
pub(in crate::gateway) enum Credential {
    /// A bearer token.
    Bearer(Arc<BearerToken>),
    /// A cookie of our page, which represents a token until sign-out.
    Page(PageCookie),
    /// The cookies of a session with the control plane.
    Session(SessionCookies),
    /// None: development mode.
    Development,
}

/// What a terminal was opened with; re-validated while it is open.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Grant {
    pub(in crate::gateway) credential: Credential,
    pub(in crate::gateway) workspace: WorkspaceId,
    /// The workspace that the caller claimed, if another one.
    pub(in crate::gateway) caller: Option<WorkspaceId>,
}

/// Why a credential is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum AuthMode {
    /// A request uses it. The control plane's answer may be cached.
    Use,
    /// A terminal is open with it. The control plane is queried now, and the directory does not count it as a use.
    Recheck,
}

impl Credential {
    /// Returns its fingerprint.
    pub(in crate::gateway) fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::Bearer(token) => Some(Fingerprint::of_token(token)),
            Self::Page(cookie) => Some(cookie.fingerprint),
            Self::Session(cookies) => Some(cookies.fingerprint()),
            Self::Development => None,
        }
    }

    /// Returns the fingerprint for rate limits: a page's cookie counts as its token.
    pub(in crate::gateway) fn counts_as(&self) -> Option<Fingerprint> {
        match self {
            Self::Page(cookie) => Some(Fingerprint::of_token(&cookie.token)),
            _ => self.fingerprint(),
        }
    }
}

impl State {
    /// Returns the owner of `credential`; `None` if it is no longer valid.
    pub(in crate::gateway) async fn whose(
        &self,
        credential: &Credential,
        purpose: AuthMode,
    ) -> Result<Option<Principal>, ApiError> {
        match credential {
            Credential::Bearer(token) => self.owner_of(token, purpose).await,
            Credential::Page(cookie) if cookie.is_signed_out() => Ok(None),
            Credential::Page(cookie) => self.owner_of(&cookie.token, purpose).await,
            Credential::Session(cookies) => {
                let config = self.config();
                let Some(plane) = &config.platform.control_plane else { return Ok(None) };
                Ok(self.members.member(plane, cookies, purpose).await?)
            }
            Credential::Development => {
                let principal = Principal::of_kind("development", CredentialKind::Development, Access::All);
                Ok(Some(principal).filter(|_| self.config().platform.is_development()))
            }
        }
    }

    /// Returns whether `token` is the administrator's; compares digests in constant time.
    pub(super) fn is_admin(&self, token: &BearerToken) -> bool {
        self.config().platform.admin_token.is_some_and(|admin| admin == token.digest())
    }

    /// Returns the owner of `token`: the administrator, or the directory's answer.
    pub(super) async fn owner_of(
        &self,
        token: &BearerToken,
        purpose: AuthMode,
    ) -> Result<Option<Principal>, ApiError> {
        if self.is_admin(token) {
            return Ok(Some(Principal::of_kind("admin-token", CredentialKind::Admin, Access::All)));
        }
        match purpose {
            AuthMode::Use => self.ask(self.directory.authenticate(token)).await,
            AuthMode::Recheck => self.ask(self.directory.recheck(token)).await,
        }
    }
}
