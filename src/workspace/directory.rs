//! The trait [`Directory`] and its types.

use std::error::Error;
use std::fmt;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{BearerToken, PlatformVersion, Principal, WorkspaceId};
use crate::model::Target;

/// Knows the workspaces and the tokens.
///
/// [`Principal::may_open`] decides whether a principal may open a workspace. The gateway checks it, so an implementation
/// need not, except to keep its list short.
pub trait Directory: Send + Sync {
    /// Returns the owner of `token`; `None` if it is invalid.
    ///
    /// # Errors
    /// [`DirectoryError`] when the directory cannot answer now.
    fn authenticate<'a>(
        &'a self,
        token: &'a BearerToken,
    ) -> BoxFuture<'a, Result<Option<Principal>, DirectoryError>>;

    /// Re-validates a token that was valid before. That is no use of the token and is not recorded. The default is
    /// [`Self::authenticate`], for a directory that records no uses.
    ///
    /// # Errors
    /// [`DirectoryError`] when the directory cannot answer now.
    fn recheck<'a>(
        &'a self,
        token: &'a BearerToken,
    ) -> BoxFuture<'a, Result<Option<Principal>, DirectoryError>> {
        self.authenticate(token)
    }

    /// Returns the workspace `id`, if it exists.
    ///
    /// # Errors
    /// [`DirectoryError`] when the directory cannot answer now.
    fn find(&self, id: WorkspaceId) -> BoxFuture<'_, Result<Option<Workspace>, DirectoryError>>;

    /// Returns the workspaces that `principal` may open, ordered by name.
    ///
    /// # Errors
    /// [`DirectoryError`] when the directory cannot answer now.
    fn list<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Vec<Workspace>, DirectoryError>>;

    /// Returns the position of the workspace `id` in its tree, whatever its status and target, if it exists.
    ///
    /// # Errors
    /// [`DirectoryError`] when the directory cannot answer now.
    fn lineage(&self, id: WorkspaceId) -> BoxFuture<'_, Result<Option<Lineage>, DirectoryError>> {
        Box::pin(async move { Ok(self.find(id).await?.map(|found| Lineage { parent: found.parent })) })
    }

    /// The platform whose rules apply, as far as it is known so far. The default is the newest one.
    fn platform_version(&self) -> PlatformVersion {
        PlatformVersion::default()
    }

    /// Checks that it can answer now, for a readiness probe. The default always can.
    ///
    /// # Errors
    /// [`DirectoryError`] when it cannot.
    fn check(&self) -> BoxFuture<'_, Result<Health, DirectoryError>> {
        Box::pin(std::future::ready(Ok(Health::default())))
    }

    /// Records what was done in a workspace, best effort: a failure is only logged. The default records nothing.
    fn note(&self, _activity: Activity) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Waits until everything recorded so far is written or given up, before the process ends. The default returns at
    /// once.
    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The state of a directory that can answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The platform whose database it is.
    pub platform: Option<PlatformVersion>,
    /// Differences to what this version was checked against, by stable names. The log has the details.
    pub warnings: Vec<&'static str>,
}

/// The position of a workspace in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Its parent.
    pub parent: Option<WorkspaceId>,
}

/// What was done in a workspace: a row of the platform's `activity_logs` (docs/canvas.md, section 10).
#[derive(Clone, Debug)]
pub struct Activity {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// What: `terminal.open` or `terminal.close`.
    pub method: &'static str,
    /// For people, in a line.
    pub summary: String,
    /// The record, as JSON.
    pub details: serde_json::Value,
    /// How long it took, where it took time.
    pub took: Option<std::time::Duration>,
    /// What went wrong, if anything did.
    pub error: Option<String>,
}

impl fmt::Debug for dyn Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Directory")
    }
}

const OUTAGE: &str = "is unavailable";
const UNUSABLE: &str = "has an entry that cannot be used";

/// The directory cannot answer: its database is down, or an entry is invalid. It never means "not found".
#[derive(Debug, thiserror::Error)]
#[error("the directory of workspaces {}", if *is_outage { OUTAGE } else { UNUSABLE })]
pub struct DirectoryError {
    is_outage: bool,
    source: Box<dyn Error + Send + Sync>,
}

impl DirectoryError {
    /// Returns an outage with its cause.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { is_outage: true, source: source.into() }
    }

    /// Returns the error for an invalid entry.
    #[must_use]
    pub fn unusable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { is_outage: false, source: source.into() }
    }

    /// Returns whether a retry may help. An invalid entry stays invalid until an operator fixes it.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        self.is_outage
    }
}

/// A workspace and how its terminal is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name, for people.
    pub name: String,
    /// Its status.
    pub status: Status,
    /// The target of its terminal.
    pub target: Target,
    /// A remark that the page shows, such as "a local shell instead of a container".
    pub note: Option<String>,
    /// What kind of agent runs in it, in the platform's words: it decides where the workspace's files are.
    pub runtime: Option<String>,
    /// The workspace above it.
    pub parent: Option<WorkspaceId>,
}

impl Workspace {
    /// The longest name, in characters.
    pub const MAX_NAME_LEN: usize = 200;

    /// The workspace `id`, called `name`, online, with its terminal in `target`.
    ///
    /// A shell inside a container gets `MOLECULE_WS_ID=<id>` unless the target sets that already.
    #[must_use]
    pub fn new(id: WorkspaceId, name: impl Into<String>, target: impl Into<Target>) -> Self {
        let target = with_workspace_id(target.into(), id);
        Self {
            id,
            name: name.into(),
            status: Status::Online,
            target,
            note: None,
            runtime: None,
            parent: None,
        }
    }

    /// The same workspace in `status`.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// The same workspace with a remark for the page.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// The variable with the id of the shell's workspace.
const ID_VARIABLE: &str = "MOLECULE_WS_ID";

fn with_workspace_id(mut target: Target, id: WorkspaceId) -> Target {
    use crate::model::Shell;

    let env = match &mut target {
        Target::Instance(instance) => match &mut instance.shell {
            Shell::Container(shell) => Some(&mut shell.env),
            Shell::Login | Shell::Command(_) => None,
        },
        Target::Local(local) => Some(&mut local.env),
    };
    if let Some(env) = env
        && !env.iter().any(|(name, _)| name.as_str() == ID_VARIABLE)
        && let Ok(name) = ID_VARIABLE.parse()
    {
        env.push((name, id.to_string()));
    }
    target
}

/// What a workspace is doing, in the platform's words (its enum `workspace_status`), and `ready`, which its
/// tutorial waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// Being made.
    Provisioning,
    /// The machine runs, and its agent has not reported yet.
    AwaitingAgent,
    /// In use.
    #[default]
    Online,
    /// In use; the word of the platform's tutorial.
    Ready,
    /// Not heard of lately.
    Offline,
    /// In use, with faults.
    Degraded,
    /// It could not be made.
    Failed,
    /// Taken away: it cannot be opened.
    Removed,
    /// Stopped for now.
    Paused,
    /// Being stopped until it is used.
    Hibernating,
    /// Stopped until it is used.
    Hibernated,
    /// The directory has a word for it that we do not know.
    #[serde(skip_deserializing)]
    Unknown,
}

impl Status {
    /// Returns the status in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::AwaitingAgent => "awaiting_agent",
            Self::Online => "online",
            Self::Ready => "ready",
            Self::Offline => "offline",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Removed => "removed",
            Self::Paused => "paused",
            Self::Hibernating => "hibernating",
            Self::Hibernated => "hibernated",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContainerShell, InstanceTarget, Shell};

    fn env_of(workspace: &Workspace) -> Vec<(String, String)> {
        let instance = workspace.target.instance().unwrap();
        match &instance.shell {
            Shell::Container(shell) => {
                shell.env.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn container_shells_know_their_workspace() {
        let id = WorkspaceId::random();
        let mut target = InstanceTarget::new("i-1".parse().unwrap());
        assert!(env_of(&Workspace::new(id, "a", target.clone())).is_empty());

        let mut shell = ContainerShell::new("ws".parse().unwrap());
        target.shell = Shell::Container(shell.clone());
        let added = env_of(&Workspace::new(id, "a", target.clone()));
        assert_eq!(added, [("MOLECULE_WS_ID".to_owned(), id.to_string())]);

        shell.env.push(("MOLECULE_WS_ID".parse().unwrap(), "mine".into()));
        target.shell = Shell::Container(shell);
        let kept = env_of(&Workspace::new(id, "a", target));
        assert_eq!(kept, [("MOLECULE_WS_ID".to_owned(), "mine".to_owned())]);
    }

    #[test]
    fn status_words_are_the_platforms() {
        for status in
            [Status::AwaitingAgent, Status::Online, Status::Ready, Status::Hibernating, Status::Unknown]
        {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
