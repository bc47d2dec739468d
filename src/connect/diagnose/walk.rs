//! The walk itself: what comes after what, and what is kept of each step.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Diagnosis;
use crate::aws::Instance;
use crate::connect::Connector;
use crate::model::{
    Account, Check, Fault, InstanceTarget, Outcome, Report, Stage, StageError, StageEvent, StageObserver,
    StageState, Step, Subject,
};

/// The stages whose success needs no words of its own.
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

pub(super) struct Walk<'a> {
    pub(super) connector: &'a Connector,
    pub(super) diagnosis: &'a Diagnosis,
    pub(super) stages: Stages<'a>,
    pub(super) subject: Subject,
    pub(super) steps: BTreeMap<Check, Step>,
    /// What is looked at, and since when.
    current: (Check, Instant),
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        connector: &'a Connector,
        diagnosis: &'a Diagnosis,
        observer: &'a dyn StageObserver,
        subject: Subject,
    ) -> Self {
        Self {
            connector,
            diagnosis,
            stages: Stages { observer, seen: Mutex::default() },
            subject,
            steps: BTreeMap::new(),
            current: (Check::Credentials, Instant::now()),
        }
    }

    /// Looks at everything.
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

    /// Says whose the credentials are, and that the instance is not to be found.
    pub(super) async fn run_unlocated(&mut self, why: &StageError, account: &Account, region: Option<&str>) {
        if self.credentials(account, region).await.is_some() {
            let step = Step::failed(Check::of(why.stage()), why);
            let step = self.with_lookup_fix(step, why.fault());
            self.put(step);
        }
    }

    /// Whether there is nothing to push a key to: the instance is not there, or does not run. That it may not be
    /// looked up is no reason to think so.
    fn is_absent(&self) -> bool {
        [Check::Instance, Check::InstanceState]
            .iter()
            .filter_map(|check| self.steps.get(check))
            .any(|step| step.outcome == Outcome::Failed && step.fault != Some(Fault::Denied))
    }

    /// Turns to `check`.
    pub(super) fn begin(&mut self, check: Check) {
        self.current = (check, Instant::now());
    }

    /// How long the present check has taken.
    pub(super) fn took(&self) -> Option<Duration> {
        Some(self.current.1.elapsed())
    }

    pub(super) fn put(&mut self, step: Step) {
        self.steps.insert(step.name, step);
    }

    pub(super) fn pass(&mut self, check: Check, took: Option<Duration>, message: impl AsRef<str>) {
        self.put(Step::new(check, Outcome::Passed, message).after(took));
    }

    pub(super) fn skip(&mut self, check: Check, why: &str) {
        self.put(Step::new(check, Outcome::Skipped, why));
    }

    /// What to say of a check that passed.
    pub(super) fn say(&mut self, check: Check, message: impl AsRef<str>) {
        if let Some(step) = self.steps.get_mut(&check) {
            step.message = crate::model::escape_control(message.as_ref());
        }
    }

    /// Keeps what the connector told of the stages that it went through.
    pub(super) fn take_stages(&mut self) {
        for stage in QUIET {
            if let Some(took) = self.stages.passed(stage) {
                let check = Check::of(stage);
                let step = Step::new(check, Outcome::Passed, "").after(Some(took));
                self.steps.entry(check).or_insert(step);
            }
        }
        if !self.steps.contains_key(&Check::Proxy) && self.stages.has_begun(Stage::Tls) {
            self.skip(Check::Proxy, "no proxy is used");
        }
    }

    /// The step that `error` is the failure of, timed.
    pub(super) fn failure(&self, error: &StageError) -> Step {
        let took = self.stages.failed(error.stage());
        Step::failed(Check::of(error.stage()), error).after(took)
    }

    /// The account of the resources, as far as it is known.
    pub(super) fn account(&self, instance: Option<&Instance>) -> Option<String> {
        instance.and_then(|instance| instance.owner.clone()).or_else(|| self.subject.account.clone())
    }

    /// What was under way has failed: the time of the whole walk is over. All may have been found out by then.
    pub(super) fn out_of_time(&mut self) {
        self.take_stages();
        let (check, since) = match self.stages.running() {
            Some((stage, since)) => (Check::of(stage), since),
            None => self.current,
        };
        let mut unknown = Check::ALL.iter().filter(|check| !self.steps.contains_key(check));
        let check = if self.steps.contains_key(&check) { unknown.next().copied() } else { Some(check) };
        let Some(check) = check else { return };
        let seconds = self.diagnosis.timeout.as_secs_f32();
        let message = format!("it was not done when the {seconds} s for everything were over");
        let error = StageError::new(Stage::Shell, Fault::Timeout, message)
            .with_hint("check the network between here and there, or give it more time");
        self.put(Step::failed(check, &error).after(Some(since.elapsed())));
    }

    pub(super) fn report(mut self, took: Duration) -> Report {
        let sshd_answers = self.steps.get(&Check::Banner).is_some_and(|step| step.outcome == Outcome::Passed);
        if let (true, Some(groups)) = (sshd_answers, self.steps.get_mut(&Check::SecurityGroups))
            && groups.outcome == Outcome::Failed
        {
            // What is read here is not all that there is: the proof is stronger.
            groups.outcome = Outcome::Warned;
            groups.fault = None;
            groups.message.push_str("; yet sshd answers");
        }
        Report::new(self.subject, self.steps, took)
    }
}

/// Keeps what is told of stages, and passes it on.
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

    /// How long the first success of `stage` took.
    fn passed(&self, stage: Stage) -> Option<Duration> {
        self.find(stage, |state| if let StageState::Passed(took) = state { Some(took) } else { None })
    }

    fn failed(&self, stage: Stage) -> Option<Duration> {
        self.find(stage, |state| if let StageState::Failed(took) = state { Some(took) } else { None })
    }

    fn has_begun(&self, stage: Stage) -> bool {
        self.find(stage, |_| Some(())).is_some()
    }

    /// The stage that began last, if it has not ended.
    fn running(&self) -> Option<(Stage, Instant)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.last() {
            Some((stage, StageState::Started, since)) => Some((*stage, *since)),
            _ => None,
        }
    }
}
