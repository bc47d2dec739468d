//! Creates workspaces: containers of the local engine, or local shells instead.

use std::sync::Arc;

use eice_proto::InstanceId;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::engine::{Engine, EngineError};
use super::image;
use super::workspaces::{Full, Workspaces};
use crate::model::{ContainerName, ContainerShell, InstanceTarget, OsUser, Shell, escape_control};
use crate::workspace::{Status, Workspace, WorkspaceId};

/// Creates workspaces. Clones share everything.
#[derive(Clone, Debug)]
pub(super) struct Provisioner {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    workspaces: Workspaces,
    instance: InstanceId,
    os_user: OsUser,
    kind: Kind,
    image: OnceCell<String>,
    wanted_image: Option<String>,
    /// Cancels slow operations such as fetching an image.
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The kind of workspaces.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A container.
    Container(Engine),
    /// A local shell, with the reason.
    Local(String),
}

impl Kind {
    /// Returns the note that the page shows for a workspace.
    fn note(&self) -> String {
        match self {
            Self::Container(_) => "a container of the local Docker engine".into(),
            Self::Local(why) => format!("a local shell instead of a container: {why}"),
        }
    }
}

impl Provisioner {
    /// Creates workspaces on `instance`.
    pub(super) fn new(
        workspaces: Workspaces,
        instance: InstanceId,
        kind: Kind,
        wanted_image: Option<String>,
    ) -> Self {
        let shared = Shared {
            workspaces,
            instance,
            os_user: OsUser::default(),
            kind,
            image: OnceCell::new(),
            wanted_image,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Starts creating a workspace called `name` and returns it in the state provisioning.
    pub(super) fn create(&self, name: &str) -> Result<Workspace, Full> {
        let id = WorkspaceId::random();
        let container = format!("eice-demo-{id}");
        let mut target = InstanceTarget::new(self.shared.instance.clone());
        target.os_user = self.shared.os_user.clone();
        target.shell = match (&self.shared.kind, container.parse::<ContainerName>()) {
            (Kind::Container(_), Ok(container)) => Shell::Container(ContainerShell::new(container)),
            _ => Shell::Command(local_shell(id)),
        };
        let workspace = Workspace::new(id, name, target)
            .with_status(Status::Provisioning)
            .with_note(self.shared.kind.note());
        self.shared.workspaces.add(workspace.clone())?;
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            match shared.make(id, &container).await {
                Ok(()) => shared.workspaces.edit(id, |workspace| workspace.status = Status::Ready),
                Err(error) => {
                    tracing::warn!(workspace = %id, %error, "a workspace cannot be made");
                    shared.workspaces.edit(id, |workspace| {
                        workspace.status = Status::Failed;
                        workspace.note = Some(escape_control(&error.to_string()));
                    });
                }
            }
        });
        Ok(workspace)
    }

    /// Removes the containers of killed demos, in the background.
    pub(super) fn remove_leftovers(&self) {
        if let Kind::Container(engine) = &self.shared.kind {
            let engine = engine.clone();
            self.shared.tasks.spawn(async move {
                if let Err(error) = engine.remove_leftovers().await {
                    tracing::warn!(%error, "containers of an earlier demo may be left");
                }
            });
        }
    }

    /// Waits for pending operations and removes all containers.
    pub(super) async fn close(&self) -> Result<(), EngineError> {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        // Each command of the engine has a timeout, so this ends.
        self.shared.tasks.wait().await;
        match &self.shared.kind {
            Kind::Container(engine) => engine.remove_own().await,
            Kind::Local(_) => Ok(()),
        }
    }
}

impl Shared {
    async fn make(&self, id: WorkspaceId, container: &str) -> Result<(), EngineError> {
        let Kind::Container(engine) = &self.kind else { return Ok(()) };
        let image = self.image.get_or_try_init(|| image::image(engine, self.wanted_image.as_deref()));
        let image = tokio::select! {
            image = image => image?,
            () = self.stop.cancelled() => return Ok(()),
        };
        if self.stop.is_cancelled() {
            return Ok(());
        }
        // Not abandoned half way: what the engine has begun to make could not be removed then.
        engine.start(container, image, &[("MOLECULE_WS_ID", &id.to_string())]).await
    }
}

/// Returns the command line of a local shell with the workspace's variable. An id needs no quoting.
fn local_shell(id: WorkspaceId) -> String {
    format!("export MOLECULE_WS_ID={id}; command -v bash >/dev/null && exec bash; exec sh")
}
