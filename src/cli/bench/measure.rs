//! Runs the measurements in order: time to prompt, echo, throughput, peers.

use std::sync::Arc;
use std::time::Duration;

use super::BenchArgs;
use super::compare::{Comparison, Task};
use super::echo::{self, Echo, Typing};
use super::key::PushedKey;
use super::plan::Plan;
use super::progress::Bar;
use super::report::{Report, Undelayed};
use super::round_trips::RoundTrips;
use super::stages::{self, Runs};
use super::testbed::Testbed;
use super::throughput::{self, Load, Throughput};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::progress::Progress;
use crate::connect::SshHost;
use crate::model::{Host, Shell, StageEvent, Terminal, TerminalRequest};
use crate::ssh;

/// The figures, filled incrementally so that they are available after an interruption.
#[derive(Debug, Default)]
pub(super) struct Figures {
    cold: Runs,
    warm: Runs,
    undelayed: Undelayed,
    keys: Vec<Duration>,
    down: Vec<f64>,
    up: Vec<f64>,
    comparison: Option<Comparison>,
}

impl Figures {
    pub(super) fn new(comparison: Option<Comparison>) -> Self {
        Self { comparison, ..Self::default() }
    }

    /// Moves everything into `report`.
    pub(super) fn fill(self, report: &mut Report) {
        report.echo = Echo::of(&self.keys);
        report.throughput = Throughput::of(report.plan.bytes, &self.down, &self.up);
        report.comparison = self.comparison.map(|found| found.report(report.plan.bytes));
        report.time_to_prompt.cold = self.cold;
        report.time_to_prompt.warm = self.warm;
        if let Some(delay_ms) = report.plan.delay_ms {
            let prompt = &mut report.time_to_prompt;
            let (cold, warm) = ([&self.undelayed.cold, &prompt.cold], [&self.undelayed.warm, &prompt.warm]);
            report.round_trips = RoundTrips::of(2.0 * f64::from(delay_ms), cold, warm);
            prompt.undelayed = Some(self.undelayed);
        }
    }
}

/// Runs all measurements of `plan`.
pub(super) async fn measure(
    args: &BenchArgs,
    testbed: &Testbed,
    plan: &Plan,
    key: &PushedKey<'_>,
    progress: &Progress,
    bar: &Bar,
    figures: &mut Figures,
) -> Result<(), Failure> {
    for round in 0..plan.warmup + plan.runs {
        let counts = round >= plan.warmup;
        if let Some(delay_ms) = plan.delay_ms {
            testbed.delay(0);
            let Undelayed { cold, warm } = &mut figures.undelayed;
            prompts(testbed, progress, bar, counts.then_some((cold, warm))).await?;
            testbed.delay(delay_ms);
        }
        let (cold, warm) = (&mut figures.cold, &mut figures.warm);
        prompts(testbed, progress, bar, counts.then_some((cold, warm))).await?;
    }
    if plan.keystrokes > 0 {
        keystrokes(testbed, plan, progress, bar, &mut figures.keys).await?;
    }
    // The upload is generated before any clock starts.
    let load = (plan.bytes > 0).then(|| Load::new(plan.bytes));
    if let Some(load) = &load {
        for _ in 0..plan.runs {
            bulk(testbed, load, progress, bar, figures).await?;
        }
    }
    if let Some(comparison) = &mut figures.comparison {
        let task = Task { plan, keys: args.keys_per_round(), load: load.as_ref(), key, bar };
        let task = if plan.keystrokes > 0 { task } else { Task { keys: 0, ..task } };
        comparison.run(&task).await?;
    }
    Ok(())
}

/// Runs once with a new client and once more with the same client.
async fn prompts(
    testbed: &Testbed,
    progress: &Progress,
    bar: &Bar,
    runs: Option<(&mut Runs, &mut Runs)>,
) -> Result<(), Failure> {
    bar.doing("time to prompt");
    let mut client = None;
    let fresh = || {
        let fresh = testbed.fresh(ssh::Config::default())?;
        client = Some(Arc::clone(&fresh));
        Ok(fresh)
    };
    let cold = stages::prompt(fresh, &testbed.target, progress, true).await?;
    bar.step();
    let again = || client.ok_or_else(|| Failure::new(exit::INTERNAL, "there is no client"));
    let warm = stages::prompt(again, &testbed.target, progress, false).await?;
    bar.step();
    if let Some((colds, warms)) = runs {
        colds.push(cold);
        warms.push(warm);
    }
    Ok(())
}

async fn keystrokes(
    testbed: &Testbed,
    plan: &Plan,
    progress: &Progress,
    bar: &Bar,
    times: &mut Vec<Duration>,
) -> Result<(), Failure> {
    bar.doing("keystroke echo");
    let shell = Some(Shell::Command(echo::COMMAND.into()));
    let request = TerminalRequest { shell, ..TerminalRequest::default() };
    let (host, mut terminal) = open(testbed, ssh::Config::default(), &request, progress).await?;
    let typing = Typing { keys: plan.keystrokes, think: plan.think() };
    let typed = async {
        echo::ready(&mut terminal, b"").await?;
        echo::keystrokes(&mut terminal, typing, |took| {
            times.push(took);
            bar.step();
        })
        .await
    };
    typed.await.map_err(|error| Failure::because(exit::UNAVAILABLE, "keystrokes", &error))?;
    drop(terminal);
    host.close().await;
    Ok(())
}

/// Measures one download and one upload, each on its own connection.
async fn bulk(
    testbed: &Testbed,
    load: &Load,
    progress: &Progress,
    bar: &Bar,
    figures: &mut Figures,
) -> Result<(), Failure> {
    bar.doing("throughput");
    let failed = |error| Failure::because(exit::UNAVAILABLE, "throughput", &error);
    let request = TerminalRequest::command(throughput::down_command(load.bytes()));
    let (host, mut terminal) = open(testbed, ssh::Config::bulk(), &request, progress).await?;
    let took = throughput::down(&mut terminal, load.bytes()).await.map_err(failed)?;
    figures.down.push(throughput::rate(load.bytes(), took));
    host.close().await;
    bar.step();
    let request = TerminalRequest::command(throughput::UP_COMMAND);
    let (host, mut terminal) = open(testbed, ssh::Config::bulk(), &request, progress).await?;
    let took = throughput::up(&mut terminal, load).await.map_err(failed)?;
    figures.up.push(throughput::rate(load.bytes(), took));
    host.close().await;
    bar.step();
    Ok(())
}

async fn open(
    testbed: &Testbed,
    tuning: ssh::Config,
    request: &TerminalRequest,
    progress: &Progress,
) -> Result<(SshHost, Terminal), Failure> {
    let observer = |event: StageEvent| crate::model::StageObserver::on_stage(progress, event);
    let host = testbed.fresh(tuning)?.connect_ssh(&testbed.target, &observer).await?;
    let terminal = host.open(request, &observer).await?;
    Ok((host, terminal))
}
