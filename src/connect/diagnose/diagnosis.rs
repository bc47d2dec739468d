//! The sequence of checks and their results.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::options::DiagnoseOptions;
use crate::aws::Instance;
use crate::connect::connector::Connector;
use crate::model::{
    Account, Check, CheckOutcome, CheckResult, Fault, InstanceTarget, Report, Stage, StageError, StageEvent,
    StageObserver, StageState, Subject,
};

/// The stages whose success needs no message.
const QUIET: [Stage; 8] = [
    Stage::Tcp,
    Stage::Proxy,
    Stage::Tls,
    Stage::Upgrade,
    Stage::Banner,
    Stage::KeyExchange,
    Stage::Authentication,
    Stage::Channel,
];

pub(super) struct Diagnosis<'a> {
    pub(super) connector: &'a Connector,
    pub(super) options: &'a DiagnoseOptions,
    pub(super) stages: Stages<'a>,
    pub(super) subject: Subject,
    pub(super) steps: BTreeMap<Check, CheckResult>,
    /// The running check and its start.
    current: (Check, Instant),
}

impl<'a> Diagnosis<'a> {
    pub(super) fn new(
        connector: &'a Connector,
        options: &'a DiagnoseOptions,
        observer: &'a dyn StageObserver,
        subject: Subject,
    ) -> Self {
        Self {
            connector,
            options,
            stages: Stages { observer, seen: Mutex::default() },
            subject,
            steps: BTreeMap::new(),
            current: (Check::Credentials, Instant::now()),
        }
    }

    /// Runs every check.
    pub(super) async fn run(&mut self, target: &InstanceTarget) {
        let client = self.credentials(&target.account, target.region.as_deref()).await;
        let Some(client) = client else { return };
        let instance = self.instance(&client, target).await;
        let found = self.endpoint(&client, target, instance.as_ref()).await;
        self.security_groups(&client, target, instance.as_ref(), &found).await;
        if self.is_absent() {
            return;
        }
        let key = self.key_push(&client, target, instance.as_ref()).await;
        let Some(chosen) = found.chosen.clone() else { return };
        let Some((tunnel, route)) = self.tunnel(&client, target, chosen, instance.as_ref(), &found).await
        else {
            return;
        };
        let Some(shaken) = self.handshake(&client, target, tunnel, &route).await else { return };
        let Some((key, pushed)) = key else { return };
        let Some(host) = self.authentication(target, shaken, key, pushed).await else { return };
        self.session(target, &host).await;
        crate::model::Host::close(&host).await;
    }

    /// Identifies the caller, and reports that the instance was not found.
    pub(super) async fn run_unlocated(&mut self, why: &StageError, account: &Account, region: Option<&str>) {
        if self.credentials(account, region).await.is_some() {
            let step = CheckResult::failed(Check::of(why.stage()), why);
            let step = self.with_lookup_fix(step, why.fault());
            self.put(step);
        }
    }

    /// Returns whether no key can be pushed because the instance does not exist or does not run. A denied
    /// lookup is not evidence of that.
    fn is_absent(&self) -> bool {
        [Check::Instance, Check::InstanceState]
            .iter()
            .filter_map(|check| self.steps.get(check))
            .any(|step| step.outcome == CheckOutcome::Failed && step.fault != Some(Fault::Denied))
    }

    /// Starts `check`.
    pub(super) fn begin(&mut self, check: Check) {
        self.current = (check, Instant::now());
    }

    /// Returns how long the running check has taken.
    pub(super) fn took(&self) -> Option<Duration> {
        Some(self.current.1.elapsed())
    }

    pub(super) fn put(&mut self, step: CheckResult) {
        self.steps.insert(step.name, step);
    }

    pub(super) fn pass(&mut self, check: Check, took: Option<Duration>, message: impl AsRef<str>) {
        self.put(CheckResult::new(check, CheckOutcome::Passed, message).after(took));
    }

    pub(super) fn skip(&mut self, check: Check, why: &str) {
        self.put(CheckResult::new(check, CheckOutcome::Skipped, why));
    }

    /// Sets the message of a check that passed.
    pub(super) fn say(&mut self, check: Check, message: impl AsRef<str>) {
        if let Some(step) = self.steps.get_mut(&check) {
            step.message = crate::model::escape_control(message.as_ref());
        }
    }

    /// Records the stages that the connector has reported.
    pub(super) fn take_stages(&mut self) {
        for stage in QUIET {
            if let Some(took) = self.stages.passed(stage) {
                let check = Check::of(stage);
                let step = CheckResult::new(check, CheckOutcome::Passed, "").after(Some(took));
                self.steps.entry(check).or_insert(step);
            }
        }
        if !self.steps.contains_key(&Check::Proxy) && self.stages.has_begun(Stage::Tls) {
            self.skip(Check::Proxy, "no proxy is used");
        }
    }

    /// Returns the timed result of the stage that failed with `error`.
    pub(super) fn failure(&self, error: &StageError) -> CheckResult {
        let took = self.stages.failed(error.stage());
        CheckResult::failed(Check::of(error.stage()), error).after(took)
    }

    /// Returns the account of the resources, as far as it is known.
    pub(super) fn account(&self, instance: Option<&Instance>) -> Option<String> {
        instance.and_then(|instance| instance.owner.clone()).or_else(|| self.subject.account.clone())
    }

    /// Fails the running check because the total time limit is reached. All checks may be complete by then.
    pub(super) fn out_of_time(&mut self) {
        self.take_stages();
        let (check, since) = match self.stages.running() {
            Some((stage, since)) => (Check::of(stage), since),
            None => self.current,
        };
        let mut unknown = Check::ALL.iter().filter(|check| !self.steps.contains_key(check));
        let check = if self.steps.contains_key(&check) { unknown.next().copied() } else { Some(check) };
        let Some(check) = check else { return };
        let seconds = self.options.timeout.as_secs_f32();
        let message = format!("the diagnosis did not finish within {seconds} s");
        let error = StageError::new(Stage::Shell, Fault::Timeout, message)
            .with_hint("check the network, or increase the time limit");
        self.put(CheckResult::failed(check, &error).after(Some(since.elapsed())));
    }

    pub(super) fn report(mut self, took: Duration) -> Report {
        let sshd_answers =
            self.steps.get(&Check::Banner).is_some_and(|step| step.outcome == CheckOutcome::Passed);
        if let (true, Some(groups)) = (sshd_answers, self.steps.get_mut(&Check::SecurityGroups))
            && groups.outcome == CheckOutcome::Failed
        {
            // The rules read here may be incomplete; an answer from sshd proves that the tunnel is allowed.
            groups.outcome = CheckOutcome::Warned;
            groups.fault = None;
            groups.message.push_str("; yet sshd answers");
        }
        Report::new(self.subject, self.steps, took)
    }
}

/// Records stage events and forwards them.
pub(super) struct Stages<'a> {
    observer: &'a dyn StageObserver,
    seen: Mutex<Vec<(Stage, StageState, Instant)>>,
}

impl StageObserver for Stages<'_> {
    fn on_stage(&self, event: StageEvent) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push((event.stage, event.state, Instant::now()));
        drop(seen);
        self.observer.on_stage(event);
    }
}

impl Stages<'_> {
    fn find<T>(&self, stage: Stage, pick: impl Fn(StageState) -> Option<T>) -> Option<T> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|(of, _, _)| *of == stage).find_map(|(_, state, _)| pick(*state))
    }

    /// Returns how long the first success of `stage` took.
    fn passed(&self, stage: Stage) -> Option<Duration> {
        self.find(stage, |state| if let StageState::Passed(took) = state { Some(took) } else { None })
    }

    fn failed(&self, stage: Stage) -> Option<Duration> {
        self.find(stage, |state| if let StageState::Failed(took) = state { Some(took) } else { None })
    }

    fn has_begun(&self, stage: Stage) -> bool {
        self.find(stage, |_| Some(())).is_some()
    }

    /// Returns the most recent stage, if it is still running.
    fn running(&self) -> Option<(Stage, Instant)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.last() {
            Some((stage, StageState::Started, since)) => Some((*stage, *since)),
            _ => None,
        }
    }
}
