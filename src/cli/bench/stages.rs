//! Time to the first byte of the prompt, by stage.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::stats::{Summary, millis};
use crate::cli::failure::Failure;
use crate::cli::progress::Progress;
use crate::connect::Connector;
use crate::model::{
    Host, InstanceTarget, Stage, StageEvent, StageObserver, StageState, Terminal, TerminalEvent,
    TerminalRequest,
};

/// The set-up before the first stage: configuration, roots, clients. Only in cold runs.
const SETUP: &str = "setup";
/// From the response to the shell request to the first byte.
const FIRST_BYTE: &str = "first-byte";

/// How long a shell may take to print its first byte.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(30);

/// One run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Run {
    /// Total time to the first byte. Not the sum of the stages, since the key push overlaps the others.
    pub(super) total_ms: f64,
    pub(super) stages: Vec<Step>,
}

/// One stage of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Step {
    pub(super) name: &'static str,
    /// Start, relative to the start of the run.
    pub(super) start_ms: f64,
    /// Active time.
    pub(super) ms: f64,
    /// Time spent waiting between start and end: authentication waits for the key push.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) waited_ms: f64,
}

fn is_zero(ms: &f64) -> bool {
    *ms == 0.0
}

/// Records stages relative to the start of the run.
struct Recorder<'a> {
    began: Instant,
    steps: Mutex<Vec<Mark>>,
    also: &'a Progress,
}

struct Mark {
    name: &'static str,
    start: Duration,
    /// End and active time.
    end: Option<(Duration, Duration)>,
}

impl Recorder<'_> {
    fn begin(&self, name: &'static str) {
        let start = self.began.elapsed();
        self.lock().push(Mark { name, start, end: None });
    }

    /// Ends the last stage of that name, active for `took` or the whole time.
    fn end(&self, name: &'static str, took: Option<Duration>) {
        let end = self.began.elapsed();
        let mut steps = self.lock();
        if let Some(mark) = steps.iter_mut().rfind(|mark| mark.name == name && mark.end.is_none()) {
            mark.end = Some((end, took.unwrap_or_else(|| end.saturating_sub(mark.start))));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Mark>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) -> Run {
        let total_ms = millis(self.began.elapsed());
        let steps = self.lock();
        let stages = steps.iter().filter_map(|mark| {
            let (end, took) = mark.end?;
            let waited = end.saturating_sub(mark.start).saturating_sub(took);
            Some(Step {
                name: mark.name,
                start_ms: millis(mark.start),
                ms: millis(took),
                // Less than 0.1 ms is measurement overhead.
                waited_ms: if waited > Duration::from_micros(100) { millis(waited) } else { 0.0 },
            })
        });
        Run { total_ms, stages: stages.collect() }
    }
}

impl StageObserver for Recorder<'_> {
    fn on_stage(&self, event: StageEvent) {
        match event.state {
            StageState::Started => self.begin(event.stage.name()),
            StageState::Passed(took) => self.end(event.stage.name(), Some(took)),
            StageState::Failed(_) => {}
        }
        self.also.on_stage(event);
    }
}

/// Measures one run: connects to `target`, opens its shell on a PTY, waits for the first byte, and closes. `connector`
/// returns the client; building it is part of the run.
pub(super) async fn prompt(
    connector: impl FnOnce() -> Result<Arc<Connector>, Failure>,
    target: &InstanceTarget,
    also: &Progress,
    is_cold: bool,
) -> Result<Run, Failure> {
    let recorder = Recorder { began: Instant::now(), steps: Mutex::default(), also };
    if is_cold {
        recorder.begin(SETUP);
    }
    let connector = connector()?;
    recorder.end(SETUP, None);
    let host = connector.connect_ssh(target, &recorder).await?;
    let mut terminal = host.open(&TerminalRequest::default(), &recorder).await?;
    recorder.begin(FIRST_BYTE);
    first_byte(&mut terminal).await?;
    recorder.end(FIRST_BYTE, None);
    let run = recorder.run();
    drop(terminal);
    host.close().await;
    Ok(run)
}

async fn first_byte(terminal: &mut Terminal) -> Result<(), Failure> {
    let failed = |what: &str| Failure::new(crate::cli::exit::UNAVAILABLE, format!("the shell {what}"));
    match tokio::time::timeout(FIRST_BYTE_TIMEOUT, terminal.output.next()).await {
        Err(_) => Err(failed(&format!("said nothing within {} s", FIRST_BYTE_TIMEOUT.as_secs()))),
        Ok(Some(Ok(TerminalEvent::Output(_) | TerminalEvent::Stderr(_)))) => Ok(()),
        Ok(Some(Ok(TerminalEvent::Exit(exit)))) => Err(failed(&format!("{exit} before it said anything"))),
        Ok(Some(Err(error))) => {
            Err(Failure::because(crate::cli::exit::UNAVAILABLE, "the connection was lost", &error))
        }
        Ok(None) => Err(failed("ended before it said anything")),
    }
}

/// Several runs of one kind.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Runs {
    /// Total times in milliseconds.
    pub(super) total_ms: Option<Summary>,
    /// In the order of connecting. A stage that only some runs had is summarized over those.
    pub(super) stages: Vec<StageSummary>,
    pub(super) runs: Vec<Run>,
}

/// One stage over several runs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StageSummary {
    pub(super) name: &'static str,
    pub(super) start_ms: Summary,
    pub(super) ms: Summary,
}

impl Runs {
    pub(super) fn push(&mut self, run: Run) {
        self.runs.push(run);
        self.total_ms = Summary::of(self.runs.iter().map(|run| run.total_ms).collect());
        self.stages = names().filter_map(|name| self.stage_of(name)).collect();
    }

    fn stage_of(&self, name: &'static str) -> Option<StageSummary> {
        let steps = self.runs.iter().filter_map(|run| run.stages.iter().find(|step| step.name == name));
        let (starts, times): (Vec<f64>, Vec<f64>) = steps.map(|step| (step.start_ms, step.ms)).unzip();
        Some(StageSummary { name, start_ms: Summary::of(starts)?, ms: Summary::of(times)? })
    }

    pub(super) fn stage(&self, name: &str) -> Option<&StageSummary> {
        self.stages.iter().find(|stage| stage.name == name)
    }
}

/// Returns the names of all possible stages, in order.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    std::iter::once(SETUP).chain(Stage::ALL.iter().map(|stage| stage.name())).chain([FIRST_BYTE])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::progress::Mode;

    fn passed(stage: Stage, took: Duration) -> StageEvent {
        StageEvent::new(stage, StageState::Passed(took))
    }

    #[test]
    fn overlapping_stages_are_separate() {
        let progress = Progress::new(Mode::Quiet);
        let began = Instant::now() - Duration::from_secs(1);
        let recorder = Recorder { began, steps: Mutex::default(), also: &progress };
        recorder.on_stage(StageEvent::new(Stage::KeyPush, StageState::Started));
        recorder.on_stage(StageEvent::new(Stage::Tcp, StageState::Started));
        recorder.on_stage(passed(Stage::Tcp, Duration::ZERO));
        recorder.on_stage(StageEvent::new(Stage::Tls, StageState::Started));
        recorder.on_stage(StageEvent::new(Stage::Tls, StageState::Failed(Duration::ZERO)));
        recorder.on_stage(passed(Stage::KeyPush, Duration::ZERO));
        let run = recorder.run();
        let names: Vec<_> = run.stages.iter().map(|step| step.name).collect();
        assert_eq!(names, ["key-push", "tcp"], "a stage that did not pass is no figure");
        assert!(run.stages.iter().all(|step| (1000.0..run.total_ms + 0.001).contains(&step.start_ms)));
    }

    #[test]
    fn waiting_time_is_recorded() {
        let progress = Progress::new(Mode::Quiet);
        let recorder = Recorder { began: Instant::now(), steps: Mutex::default(), also: &progress };
        recorder.lock().push(Mark {
            name: "authentication",
            start: Duration::from_millis(10),
            end: Some((Duration::from_millis(60), Duration::from_millis(20))),
        });
        let run = recorder.run();
        assert_eq!(run.stages, [Step { name: "authentication", start_ms: 10.0, ms: 20.0, waited_ms: 30.0 }]);
    }

    #[test]
    fn runs_are_summarized_by_stage() {
        let run = |tls, total_ms| Run {
            total_ms,
            stages: vec![
                Step { name: "tls", start_ms: 1.0, ms: tls, waited_ms: 0.0 },
                Step { name: "key-push", start_ms: 0.5, ms: 3.0, waited_ms: 0.0 },
            ],
        };
        let mut runs = Runs::default();
        for (tls, total) in [(2.0, 9.0), (4.0, 5.0), (3.0, 7.0)] {
            runs.push(run(tls, total));
        }
        assert_eq!(runs.total_ms.as_ref().unwrap().median, 7.0);
        assert_eq!(runs.stages.iter().map(|stage| stage.name).collect::<Vec<_>>(), ["key-push", "tls"]);
        assert_eq!(runs.stage("tls").unwrap().ms.median, 3.0);
        assert!(runs.stage("tcp").is_none());
    }
}
