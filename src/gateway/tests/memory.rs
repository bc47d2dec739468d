//! A directory in memory that can change and fail during a test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::SystemTime;

use super::*;
use crate::model::InstanceTarget;
use crate::workspace::{Access, CredentialKind, Lineage, Status};

#[derive(Default)]
pub(super) struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    tokens: BTreeMap<String, Principal>,
    workspaces: BTreeMap<WorkspaceId, Workspace>,
    is_down: bool,
    /// Workspaces with invalid entries.
    wrong: BTreeSet<WorkspaceId>,
    /// The queries, in order.
    asked: Vec<&'static str>,
}

impl Memory {
    /// Adds a workspace below `parent`.
    pub(super) fn workspace(&self, parent: Option<WorkspaceId>) -> WorkspaceId {
        let id = WorkspaceId::random();
        let mut workspace = Workspace::new(id, "w", InstanceTarget::new("i-1".parse().unwrap()));
        workspace.parent = parent;
        self.inner().workspaces.insert(id, workspace);
        id
    }

    /// Lets `token` open these workspaces; without any, all of them, as an organization's token does.
    pub(super) fn token(&self, token: &str, opens: &[WorkspaceId]) {
        let access =
            if opens.is_empty() { Access::All } else { Access::Only(opens.iter().copied().collect()) };
        let digest = BearerToken::new(token).unwrap().digest().to_string();
        self.inner().tokens.insert(digest, Principal::new(token, access));
    }

    /// Lets `token` of an organization open these workspaces until it expires.
    pub(super) fn anchored_token(&self, token: &str, opens: &[WorkspaceId], expires_at: Option<SystemTime>) {
        let access = Access::Only(opens.iter().copied().collect());
        let principal =
            Principal::of_kind(token, CredentialKind::Organization, access).expiring_at(expires_at);
        let digest = BearerToken::new(token).unwrap().digest().to_string();
        self.inner().tokens.insert(digest, principal);
    }

    pub(super) fn revoke(&self, token: &str) {
        self.inner().tokens.remove(&BearerToken::new(token).unwrap().digest().to_string());
    }

    pub(super) fn change(&self, id: WorkspaceId, change: impl FnOnce(&mut Workspace)) {
        change(self.inner().workspaces.get_mut(&id).unwrap());
    }

    pub(super) fn set_status(&self, id: WorkspaceId, status: Status) {
        self.change(id, |workspace| workspace.status = status);
    }

    pub(super) fn delete(&self, id: WorkspaceId) {
        self.inner().workspaces.remove(&id);
    }

    pub(super) fn set_down(&self, is_down: bool) {
        self.inner().is_down = is_down;
    }

    /// Makes the entry of `id` invalid.
    pub(super) fn spoil(&self, id: WorkspaceId) {
        self.inner().wrong.insert(id);
    }

    /// Returns the queries since the last call.
    pub(super) fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.inner().asked)
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn answer<'a, T: Send + 'a>(
        &'a self,
        question: &'static str,
        answer: impl FnOnce(&Inner) -> Result<T, DirectoryError> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, DirectoryError>> {
        Box::pin(async move {
            let mut inner = self.inner();
            inner.asked.push(question);
            if inner.is_down { Err(DirectoryError::new("down")) } else { answer(&inner) }
        })
    }
}

impl Directory for Memory {
    fn authenticate<'a>(
        &'a self,
        token: &'a BearerToken,
    ) -> BoxFuture<'a, Result<Option<Principal>, DirectoryError>> {
        let digest = token.digest().to_string();
        self.answer("authenticate", move |inner| Ok(inner.tokens.get(&digest).cloned()))
    }

    fn find(&self, id: WorkspaceId) -> BoxFuture<'_, Result<Option<Workspace>, DirectoryError>> {
        self.answer("find", move |inner| match inner.wrong.contains(&id) {
            true => Err(DirectoryError::unusable("the row says \"canary\"")),
            false => Ok(inner.workspaces.get(&id).cloned()),
        })
    }

    fn list<'a>(&'a self, _: &'a Principal) -> BoxFuture<'a, Result<Vec<Workspace>, DirectoryError>> {
        self.answer("list", |inner| Ok(inner.workspaces.values().cloned().collect()))
    }

    fn lineage(&self, id: WorkspaceId) -> BoxFuture<'_, Result<Option<Lineage>, DirectoryError>> {
        self.answer("lineage", move |inner| {
            Ok(inner.workspaces.get(&id).map(|workspace| Lineage { parent: workspace.parent }))
        })
    }
}
