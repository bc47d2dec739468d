//! Terminals in local containers, over the API of a container engine.
//!
//! A local workspace is found by name among the containers that carry the platform's label (docs/canvas.md, section 4).
//! Each terminal is two execs in its container: the shell, and a watcher whose stdin this program holds open.
//! When this program ends for any reason, SIGKILL included, that stdin ends too, and the watcher ends every
//! process of the terminal: an exec would outlive everything else. The shell starts only when the watcher is
//! running and the PTY has its size.
//!
//! `bollard` handles everything but the streams: it takes bytes below 3 at the beginning of a PTY's output for
//! a frame header. The output of a started exec is read here, with backpressure.

mod address;
mod attach;
mod client;
mod config;
mod diagnose;
mod error;
mod find;
mod host;
mod open;
mod output;
mod script;
mod start;
mod terminal;
mod watch;

use std::fmt;

use crate::model::{Host, LocalTarget, NotReady, Report, Stage, StageError, StageObserver, staged};

pub use address::{Address, InvalidAddress};
pub use config::{EngineConfig, InvalidLabel, Label};
pub use diagnose::{no_engine, report_without_engine};

use client::Client;
use host::LocalHost;

/// A container engine. Cheap to clone; clones share their state.
///
/// It connects on the first request, and every request uses its own connection: an engine that was down or
/// restarted needs no recovery here.
#[derive(Clone)]
pub struct Engine {
    client: Client,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("config", self.client.config()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Returns a client of the engine that `config` names.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// Returns whether a container of `target` runs.
    ///
    /// # Errors
    /// [`NotReady::Engine`] when the engine does not respond, [`NotReady::Container`] when no running container
    /// with the label has one of the names.
    pub async fn ready(&self, target: &LocalTarget) -> Result<(), NotReady> {
        match self.client.find(target).await {
            Ok(_) => Ok(()),
            Err(find::FindError::Engine(error)) => Err(NotReady::Engine(Box::new(error))),
            Err(find::FindError::Missing(_)) => Err(NotReady::Container),
        }
    }

    /// Finds the container of `target`. Later requests use its id, so that a new container of the same name is
    /// not used.
    ///
    /// # Errors
    /// Errors of the stage workspace.
    pub async fn connect(
        &self,
        target: &LocalTarget,
        observer: &dyn StageObserver,
    ) -> Result<Box<dyn Host>, StageError> {
        let found = staged(Stage::Workspace, observer, self.client.find(target)).await;
        let container = found.map_err(find::FindError::into_stage_error)?;
        tracing::debug!(container = %container.name, id = container.id, "a local workspace");
        Ok(Box::new(LocalHost::new(self.client.clone(), container, target.env.clone())))
    }

    /// Checks the engine, the container and a shell in it within 30 s, and reports as
    /// [`Connect::diagnose`](crate::model::Connect::diagnose) does for an instance. It leaves nothing behind.
    pub async fn diagnose(&self, target: &LocalTarget, observer: &dyn StageObserver) -> Report {
        diagnose::diagnose(&self.client, target, observer, diagnose::TIMEOUT).await
    }
}
