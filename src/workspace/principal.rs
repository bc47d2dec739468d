//! Authenticated callers, and the workspaces that they may open.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::WorkspaceId;

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Principal {
    /// The name in logs and audit records. Not a secret.
    pub name: String,
    /// The kind of credential that was presented.
    pub kind: CredentialKind,
    /// The workspaces that the caller may open.
    pub access: Access,
    /// When the credential expires, if it does. Nothing that is derived from it is valid any longer.
    pub expires_at: Option<SystemTime>,
}

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialKind {
    /// The platform's administrator.
    Admin,
    /// A token of an organization: it speaks for every workspace that it opens.
    Organization,
    /// A token of one workspace or a few: it speaks for those alone.
    Workspace,
    /// A member of the organization, by a browser's session.
    Member,
    /// None: development mode admits local peers.
    Development,
}

/// A set of workspaces.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Every one.
    All,
    /// These.
    Only(BTreeSet<WorkspaceId>),
}

impl Principal {
    /// Returns the owner of a token: an organization's if it opens everything.
    #[must_use]
    pub fn new(name: impl Into<String>, access: Access) -> Self {
        let kind = match access {
            Access::All => CredentialKind::Organization,
            Access::Only(_) => CredentialKind::Workspace,
        };
        Self { name: name.into(), kind, access, expires_at: None }
    }

    /// Returns the owner of a credential of that kind.
    #[must_use]
    pub fn of_kind(name: impl Into<String>, kind: CredentialKind, access: Access) -> Self {
        Self { name: name.into(), kind, access, expires_at: None }
    }

    /// Sets when the credential expires.
    #[must_use]
    pub fn expiring_at(mut self, expires_at: Option<SystemTime>) -> Self {
        self.expires_at = expires_at;
        self
    }

    /// Returns how long the credential is valid at `now`; `None` if it does not expire.
    #[must_use]
    pub fn valid_for(&self, now: SystemTime) -> Option<Duration> {
        self.expires_at.map(|at| at.duration_since(now).unwrap_or_default())
    }

    /// Returns whether the caller may open the workspace `id`.
    #[must_use]
    pub fn may_open(&self, id: WorkspaceId) -> bool {
        match &self.access {
            Access::All => true,
            Access::Only(ids) => ids.contains(&id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_is_exact() {
        let (mine, other) = (WorkspaceId::random(), WorkspaceId::random());
        let principal = Principal::new("ci", Access::Only([mine].into()));
        assert!(principal.may_open(mine) && !principal.may_open(other));
        assert!(Principal::new("admin", Access::All).may_open(other));
        assert!(!Principal::new("none", Access::Only(BTreeSet::new())).may_open(mine));
    }
}
