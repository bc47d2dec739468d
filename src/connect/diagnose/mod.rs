//! A walk through every stage of connecting that opens no terminal for anybody and answers with what stands in the
//! way and what would mend it.
//!
//! The stages themselves are the [`Connector`]'s; what is added is that a failure does not end the walk where
//! something later can still be tried, and that more is looked at than connecting needs: whose the credentials are,
//! endpoints that cannot be used, security groups.
//!
//! One key is pushed, one tunnel and one SSH connection opened. Nothing stays: no process, no host key.

mod command;
mod groups;
mod lookups;
mod session;
mod unkept;
mod walk;

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::connector::Connector;
use crate::aws::policy::Tag;
use crate::model::{Account, InstanceTarget, Report, Shell, StageError, StageObserver, Subject};
use walk::Walk;

/// How a [`Connector`] is to look for what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// How long it may take as a whole. The default is 30 s.
    pub timeout: Duration,
    /// The tag that the caller's policy asks of instance and endpoint. Where AWS says no to one without it, the report
    /// names the tag beside the statement. The default is none.
    pub tag: Option<Tag>,
}

impl Default for Diagnosis {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), tag: None }
    }
}

impl Connector {
    /// Walks through every stage of connecting to `target`.
    ///
    /// It always ends within its time with a report: what was under way then has failed by it.
    pub async fn diagnose(
        &self,
        target: &InstanceTarget,
        diagnosis: &Diagnosis,
        observer: &dyn StageObserver,
    ) -> Report {
        let subject = Subject {
            instance: Some(target.instance.to_string()),
            os_user: Some(target.os_user.to_string()),
            container: match &target.shell {
                Shell::Container(shell) => Some(shell.container.to_string()),
                Shell::Login | Shell::Command(_) => None,
            },
            port: Some(target.port.get()),
            ..Subject::default()
        };
        let (began, mut walk) = (Instant::now(), Walk::new(self, diagnosis, observer, subject));
        let ended = timeout(diagnosis.timeout, walk.run(target)).await;
        if ended.is_err() {
            walk.out_of_time();
        }
        walk.report(began.elapsed())
    }

    /// The report on an instance that could not be found by its name: `why` is what [`locate`](Self::locate) said,
    /// in `account` and `region`.
    pub async fn diagnose_unlocated(
        &self,
        why: &StageError,
        account: &Account,
        region: Option<&str>,
        diagnosis: &Diagnosis,
        observer: &dyn StageObserver,
    ) -> Report {
        let (began, mut walk) = (Instant::now(), Walk::new(self, diagnosis, observer, Subject::default()));
        let ended = timeout(diagnosis.timeout, walk.run_unlocated(why, account, region)).await;
        if ended.is_err() {
            walk.out_of_time();
        }
        walk.report(began.elapsed())
    }
}
