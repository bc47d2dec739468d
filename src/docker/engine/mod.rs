//! Terminals in containers of the engine beside this program, over the engine's own API.
//!
//! A local workspace is found by name among the containers that carry the platform's label
//! (docs/canvas.md, section 4). Each terminal is two execs in its container: the shell, and a watcher whose stdin
//! this program holds open. Whatever ends this program, even SIGKILL, ends that stdin, and the watcher then ends
//! every process of the terminal: an exec outlives everything else. The shell starts only once the watcher watches
//! and the PTY has its size.
//!
//! `bollard` speaks everything but the streams themselves: it takes bytes below 3 at the beginning of a PTY's output
//! for the header of a frame. What a started exec says is read here, and read no faster than it is taken.

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
mod terminal;
mod watch;

use std::fmt;

use crate::model::{Host, LocalTarget, NotReady, Report, Stage, StageError, StageObserver, staged};

pub use address::{Address, InvalidAddress};
pub use config::{Config, InvalidLabel, Label};
pub use diagnose::{no_engine, report_without_engine};

use client::Client;
use host::LocalHost;

/// A container engine. Cheap to clone; the clones share everything.
///
/// Nothing is dialled before it is asked for something, and every call is a connection of its own: an engine that was
/// down, or is started again, is found without further ado.
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
    /// The engine that `config` names.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { client: Client::new(config) }
    }

    /// Whether a container of `target` runs.
    ///
    /// # Errors
    /// [`NotReady::Engine`] when the engine does not answer, [`NotReady::Container`] when none of the names is that of a
    /// running container with the label.
    pub async fn ready(&self, target: &LocalTarget) -> Result<(), NotReady> {
        match self.client.find(target).await {
            Ok(_) => Ok(()),
            Err(find::Failure::Engine(error)) => Err(NotReady::Engine(Box::new(error))),
            Err(find::Failure::Missing(_)) => Err(NotReady::Container),
        }
    }

    /// Finds the container of `target`. From then on it is known by its id: whatever takes its name later is another one.
    ///
    /// # Errors
    /// Of the stage workspace.
    pub async fn connect(
        &self,
        target: &LocalTarget,
        observer: &dyn StageObserver,
    ) -> Result<Box<dyn Host>, StageError> {
        let found = staged(Stage::Workspace, observer, self.client.find(target)).await;
        let container = found.map_err(find::Failure::into_stage_error)?;
        tracing::debug!(container = %container.name, id = container.id, "a local workspace");
        Ok(Box::new(LocalHost::new(self.client.clone(), container, target.env.clone())))
    }

    /// Looks at the engine, the container and a shell in it, as [`Connect::diagnose`](crate::model::Connect::diagnose)
    /// does for an instance: a report of the same shape, within 30 s. Nothing stays of it.
    pub async fn diagnose(&self, target: &LocalTarget, observer: &dyn StageObserver) -> Report {
        diagnose::diagnose(self, target, observer, diagnose::TIMEOUT).await
    }
}

/// The request of a command, for the short ones of our own.
fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
