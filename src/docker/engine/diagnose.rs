//! Diagnoses a local terminal.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::client::Client;
use super::find::{Container, FindError};
use super::host::LocalHost;
use crate::model::{
    Check, CheckOutcome, CheckResult, Exit, Fault, Host as _, LocalTarget, Report, Shell, Stage, StageError,
    StageObserver, Subject, TerminalEvent, TerminalRequest,
};

/// The time limit of a diagnosis.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// The checks that apply to a local container.
const CHECKS: [Check; 3] = [Check::Engine, Check::Container, Check::Shell];

/// Returns the error of a local workspace when no engine is configured.
#[must_use]
pub fn no_engine() -> StageError {
    StageError::new(Stage::Workspace, Fault::State, "Docker not available").with_hint(
        "this gateway does not open local containers: set [docker] enabled = true (off by default where it \
         serves an organization), or set the instance of the workspace",
    )
}

/// Returns the report on `target` when no engine is configured.
#[must_use]
pub fn report_without_engine(target: &LocalTarget) -> Report {
    let mut diagnosis = Diagnosis::new(target);
    diagnosis.put(CheckResult::failed(Check::Engine, &no_engine()));
    diagnosis.report()
}

pub(super) async fn diagnose(
    client: &Client,
    target: &LocalTarget,
    observer: &dyn StageObserver,
    within: Duration,
) -> Report {
    let mut diagnosis = Diagnosis::new(target);
    if timeout(within, diagnosis.run(client, target, observer)).await.is_err() {
        diagnosis.out_of_time(within);
    }
    diagnosis.report()
}

struct Diagnosis {
    subject: Subject,
    steps: BTreeMap<Check, CheckResult>,
    began: Instant,
    /// The running check and its start.
    current: (Check, Instant),
}

impl Diagnosis {
    fn new(target: &LocalTarget) -> Self {
        let not_needed = Check::ALL.iter().filter(|check| !CHECKS.contains(check));
        let skipped = |check: &Check| {
            let why = "a local container: AWS and SSH are not used";
            (*check, CheckResult::new(*check, CheckOutcome::Skipped, why))
        };
        let container = target.candidates.first().map(ToString::to_string);
        let now = Instant::now();
        Self {
            subject: Subject { container, ..Subject::default() },
            steps: not_needed.map(skipped).collect(),
            began: now,
            current: (Check::Engine, now),
        }
    }

    async fn run(&mut self, client: &Client, target: &LocalTarget, observer: &dyn StageObserver) {
        let address = client.address();
        self.begin(Check::Engine);
        let answers = client.ping().await;
        let answers = answers.map(|()| ((), format!("the Docker engine at {address} answers")));
        if self.judge(answers.map_err(|error| error.into_stage_error(Stage::Workspace))).is_none() {
            return;
        }
        self.begin(Check::Container);
        let found = client.find(target).await;
        let found = found.map(|container| {
            let message = format!("{} runs", container.name);
            (container, message)
        });
        let Some(container) = self.judge(found.map_err(FindError::into_stage_error)) else { return };
        self.subject.container = Some(container.name.to_string());
        self.begin(Check::Shell);
        let tried = shell(client, container, target, observer).await;
        self.judge(tried.map(|message| ((), message)));
    }

    fn begin(&mut self, check: Check) {
        self.current = (check, Instant::now());
    }

    fn put(&mut self, step: CheckResult) {
        self.steps.insert(step.name, step);
    }

    /// Records the result of the running check.
    fn judge<T>(&mut self, outcome: Result<(T, String), StageError>) -> Option<T> {
        let (check, since) = self.current;
        let took = Some(since.elapsed());
        match outcome {
            Ok((found, message)) => {
                self.put(CheckResult::new(check, CheckOutcome::Passed, message).after(took));
                Some(found)
            }
            Err(error) => {
                self.put(CheckResult::failed(check, &error).after(took));
                None
            }
        }
    }

    fn out_of_time(&mut self, within: Duration) {
        let message = format!("the diagnosis did not finish within {} s", within.as_secs_f32());
        let error = StageError::new(Stage::Shell, Fault::Timeout, message)
            .with_hint("check the load of the Docker engine, and try again");
        self.judge::<()>(Err(error));
    }

    fn report(self) -> Report {
        Report::new(self.subject, self.steps, self.began.elapsed())
    }
}

/// Starts a shell on a PTY that exits at once.
async fn shell(
    client: &Client,
    container: Container,
    target: &LocalTarget,
    observer: &dyn StageObserver,
) -> Result<String, StageError> {
    let name = container.name.clone();
    let host = LocalHost::new(client.clone(), container, target.env.clone());
    let request =
        TerminalRequest { shell: Some(Shell::Command("exit 0".into())), ..TerminalRequest::default() };
    let mut terminal = host.open_terminal(&request, observer).await?;
    let exit = loop {
        match terminal.output.next().await {
            Some(Ok(TerminalEvent::Exit(exit))) => break Ok(exit),
            Some(Ok(_)) => {}
            Some(Err(error)) => break Err(error),
            None => break Ok(Exit::Unknown),
        }
    };
    terminal.control.close().await;
    let failed = |message: String| StageError::new(Stage::Shell, Fault::Remote, message);
    match exit {
        Ok(Exit::Code(0)) => Ok(format!("sh started on a PTY in {name} and ended with 0")),
        Ok(exit) => Err(failed(format!("a shell that should end with 0 in {name} {exit}"))
            .with_hint("check the container's sh, and what limits its processes")),
        Err(error) => Err(failed(format!("the connection to a shell in {name} broke"))
            .with_hint("read the engine's log, and try again")
            .with_source(error)),
    }
}
