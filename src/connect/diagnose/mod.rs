//! Diagnoses a connection: runs every stage of connecting without handing out a terminal, and reports what
//! fails and how to fix it.
//!
//! The stages are the [`Connector`]'s own. In addition, a failure does not end the diagnosis while later checks
//! are possible, and more is checked than connecting needs: the caller's identity, unusable endpoints, security
//! groups.
//!
//! One key is pushed, one tunnel and one SSH connection are opened. No process and no host key is left behind.

mod command;
mod diagnosis;
mod groups;
mod lookups;
mod options;
mod read_only_keys;
mod session;

use std::time::Instant;

use tokio::time::timeout;

use super::connector::Connector;
use crate::model::{Account, InstanceTarget, Report, Shell, StageError, StageObserver, Subject};
use diagnosis::Diagnosis;
pub use options::DiagnoseOptions;

impl Connector {
    /// Runs every stage of connecting to `target`.
    ///
    /// It always returns a report within its time limit; the check that is running at the limit fails.
    pub async fn diagnose(
        &self,
        target: &InstanceTarget,
        options: &DiagnoseOptions,
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
        let (began, mut diagnosis) = (Instant::now(), Diagnosis::new(self, options, observer, subject));
        let ended = timeout(options.timeout, diagnosis.run(target)).await;
        if ended.is_err() {
            diagnosis.out_of_time();
        }
        diagnosis.report(began.elapsed())
    }

    /// Returns the report on an instance that was not found by its name: `why` is the error of
    /// [`locate`](Self::locate) in `account` and `region`.
    pub async fn diagnose_unlocated(
        &self,
        why: &StageError,
        account: &Account,
        region: Option<&str>,
        options: &DiagnoseOptions,
        observer: &dyn StageObserver,
    ) -> Report {
        let (began, mut diagnosis) =
            (Instant::now(), Diagnosis::new(self, options, observer, Subject::default()));
        let ended = timeout(options.timeout, diagnosis.run_unlocated(why, account, region)).await;
        if ended.is_err() {
            diagnosis.out_of_time();
        }
        diagnosis.report(began.elapsed())
    }
}
