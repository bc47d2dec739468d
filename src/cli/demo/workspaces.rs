//! The demo's workspaces, in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

use crate::workspace::{
    Access, BearerToken, Directory, DirectoryError, Principal, Status, TokenDigest, Workspace, WorkspaceId,
};

/// The most workspaces that a demo holds: each is a container.
pub(super) const MAX_WORKSPACES: usize = 20;

/// The workspaces and the one token that opens them. Clones share them.
#[derive(Clone)]
pub(super) struct Workspaces {
    token: TokenDigest,
    all: Arc<Mutex<BTreeMap<WorkspaceId, Workspace>>>,
}

/// [`MAX_WORKSPACES`] exist already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Workspaces {
    /// Creates an empty directory, opened by the token with this digest.
    pub(super) fn new(token: TokenDigest) -> Self {
        Self { token, all: Arc::default() }
    }

    /// Adds a workspace.
    pub(super) fn add(&self, workspace: Workspace) -> Result<(), Full> {
        let mut all = self.lock();
        if all.len() >= MAX_WORKSPACES {
            return Err(Full);
        }
        all.insert(workspace.id, workspace);
        Ok(())
    }

    /// Changes the workspace `id`, if it exists.
    pub(super) fn edit(&self, id: WorkspaceId, edit: impl FnOnce(&mut Workspace)) {
        if let Some(workspace) = self.lock().get_mut(&id) {
            edit(workspace);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkspaceId, Workspace>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory for Workspaces {
    fn authenticate<'a>(
        &'a self,
        token: &'a BearerToken,
    ) -> BoxFuture<'a, Result<Option<Principal>, DirectoryError>> {
        let known = token.digest() == self.token;
        Box::pin(std::future::ready(Ok(known.then(|| Principal::new("demo", Access::All)))))
    }

    fn find(&self, id: WorkspaceId) -> BoxFuture<'_, Result<Option<Workspace>, DirectoryError>> {
        Box::pin(std::future::ready(Ok(self.lock().get(&id).cloned())))
    }

    fn list<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Vec<Workspace>, DirectoryError>> {
        let mut mine: Vec<_> =
            self.lock().values().filter(|workspace| principal.may_open(workspace.id)).cloned().collect();
        mine.sort_by(|a, b| a.name.cmp(&b.name));
        Box::pin(std::future::ready(Ok(mine)))
    }
}

impl fmt::Debug for Workspaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses: Vec<(WorkspaceId, Status)> =
            self.lock().values().map(|workspace| (workspace.id, workspace.status)).collect();
        f.debug_struct("Workspaces").field("all", &statuses).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::InstanceTarget;

    fn workspace(name: &str) -> Workspace {
        let target = InstanceTarget::new("i-0123456789abcdef0".parse().unwrap());
        Workspace::new(WorkspaceId::random(), name, target)
    }

    #[tokio::test]
    async fn token_opens_all_up_to_limit() {
        let token = BearerToken::new("right").unwrap();
        let workspaces = Workspaces::new(token.digest());
        assert!(workspaces.authenticate(&BearerToken::new("wrong").unwrap()).await.unwrap().is_none());
        let principal = workspaces.authenticate(&token).await.unwrap().unwrap();
        for n in 0..MAX_WORKSPACES {
            workspaces.add(workspace(&format!("w{n:02}"))).unwrap();
        }
        assert_eq!(workspaces.add(workspace("more")), Err(Full));
        let listed = workspaces.list(&principal).await.unwrap();
        assert_eq!(listed.len(), MAX_WORKSPACES);
        assert!(listed.windows(2).all(|pair| pair[0].name <= pair[1].name));
        workspaces.edit(listed[0].id, |workspace| workspace.status = Status::Ready);
        assert_eq!(workspaces.find(listed[0].id).await.unwrap().unwrap().status, Status::Ready);
    }
}
