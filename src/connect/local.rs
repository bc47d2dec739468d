//! Local workspaces: opens local containers, if an engine is configured.

use super::connector::Connector;
#[cfg(feature = "gateway")]
use crate::docker::engine::{no_engine, report_without_engine};
#[cfg(not(feature = "gateway"))]
use crate::model::{Fault, Stage};
use crate::model::{Host, LocalTarget, NotReady, Report, StageError, StageObserver};

#[cfg(feature = "gateway")]
impl Connector {
    pub(super) async fn connect_local(
        &self,
        target: &LocalTarget,
        observer: &dyn StageObserver,
    ) -> Result<Box<dyn Host>, StageError> {
        match self.engine() {
            Some(engine) => engine.connect(target, observer).await,
            None => Err(no_engine()),
        }
    }

    pub(super) async fn local_ready(&self, target: &LocalTarget) -> Result<(), NotReady> {
        match self.engine() {
            Some(engine) => engine.ready(target).await,
            None => Err(NotReady::Engine(no_engine().into())),
        }
    }

    pub(super) async fn diagnose_local(
        &self,
        target: &LocalTarget,
        observer: &dyn StageObserver,
    ) -> Option<Report> {
        Some(match self.engine() {
            Some(engine) => engine.diagnose(target, observer).await,
            None => report_without_engine(target),
        })
    }
}

/// Without the gateway, no engine is built in.
#[cfg(not(feature = "gateway"))]
impl Connector {
    pub(super) async fn connect_local(
        &self,
        _: &LocalTarget,
        _: &dyn StageObserver,
    ) -> Result<Box<dyn Host>, StageError> {
        Err(StageError::new(
            Stage::Workspace,
            Fault::Usage,
            "this program supports instances only, and the workspace is a local container",
        ))
    }

    pub(super) async fn local_ready(&self, _: &LocalTarget) -> Result<(), NotReady> {
        Err(NotReady::Engine("this program supports instances only".into()))
    }

    pub(super) async fn diagnose_local(&self, _: &LocalTarget, _: &dyn StageObserver) -> Option<Report> {
        None
    }
}
