//! Dispatches a target to its kind: an instance or a local container.

use futures_util::future::BoxFuture;

use super::connector::Connector;
use super::diagnose::DiagnoseOptions;
use crate::model::{Connect, Host, NotReady, Report, StageError, StageObserver, Target};

impl Connect for Connector {
    fn connect<'a>(
        &'a self,
        target: &'a Target,
        observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Box<dyn Host>, StageError>> {
        Box::pin(async move {
            match target {
                Target::Instance(target) => {
                    let host = self.connect_ssh(target, observer).await?;
                    Ok(Box::new(host) as Box<dyn Host>)
                }
                Target::Local(target) => self.connect_local(target, observer).await,
            }
        })
    }

    fn ready<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<(), NotReady>> {
        Box::pin(async move {
            match target {
                Target::Instance(_) => Ok(()),
                Target::Local(target) => self.local_ready(target).await,
            }
        })
    }

    fn diagnose<'a>(
        &'a self,
        target: &'a Target,
        observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Option<Report>> {
        Box::pin(async move {
            match target {
                Target::Instance(target) => {
                    Some(Self::diagnose(self, target, &DiagnoseOptions::default(), observer).await)
                }
                Target::Local(target) => self.diagnose_local(target, observer).await,
            }
        })
    }
}
