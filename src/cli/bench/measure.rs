//! The measuring, in its order: time to prompt, echo, throughput, peers.

use std::sync::Arc;
use std::time::Duration;

use super::BenchArgs;
use super::compare::{Comparison, Task};
use super::echo::{self, Echo, Typing};
use super::key::PushedKey;
use super::place::Place;
use super::plan::Plan;
use super::progress::Bar;
use super::report::{Report, Undelayed};
use super::round_trips::RoundTrips;
use super::stages::{self, Runs};
use super::throughput::{self, Load, Throughput};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::progress::Progress;
use crate::connect::SshHost;
use crate::model::{Host, Shell, StageEvent, Terminal, TerminalRequest};
use crate::ssh;

/// What is measured, filled bit by bit so that it is there when the measuring is broken off.
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

/// Measures everything that `plan` says.
pub(super) async fn measure(
    args: &BenchArgs,
    place: &Place,
    plan: &Plan,
    key: &PushedKey<'_>,
    progress: &Progress,
    bar: &Bar,
    figures: &mut Figures,
) -> Result<(), Failure> {
    for round in 0..plan.warmup + plan.runs {
        let counts = round >= plan.warmup;
        if let Some(delay_ms) = plan.delay_ms {
            place.delay(0);
            let Undelayed { cold, warm } = &mut figures.undelayed;
            prompts(place, progress, bar, counts.then_some((cold, warm))).await?;
            place.delay(delay_ms);
        }
        let (cold, warm) = (&mut figures.cold, &mut figures.warm);
        prompts(place, progress, bar, counts.then_some((cold, warm))).await?;
    }
    if plan.keystrokes > 0 {
        keystrokes(place, plan, progress, bar, &mut figures.keys).await?;
    }
    // What goes up is made before anybody's clock starts.
    let load = (plan.bytes > 0).then(|| Load::new(plan.bytes));
    if let Some(load) = &load {
        for _ in 0..plan.runs {
            bulk(place, load, progress, bar, figures).await?;
        }
    }
    if let Some(comparison) = &mut figures.comparison {
        let task = Task { plan, keys: args.keys_per_round(), load: load.as_ref(), key, bar };
        let task = if plan.keystrokes > 0 { task } else { Task { keys: 0, ..task } };
        comparison.run(&task).await?;
    }
    Ok(())
}

/// One run with a client that has never connected, and one more with the same.
async fn prompts(
    place: &Place,
    progress: &Progress,
    bar: &Bar,
    runs: Option<(&mut Runs, &mut Runs)>,
) -> Result<(), Failure> {
    bar.doing("time to prompt");
    let mut client = None;
    let fresh = || {
        let fresh = place.fresh(ssh::Config::default())?;
        client = Some(Arc::clone(&fresh));
        Ok(fresh)
    };
    let cold = stages::prompt(fresh, &place.target, progress, true).await?;
    bar.step();
    let again = || client.ok_or_else(|| Failure::new(exit::INTERNAL, "there is no client"));
    let warm = stages::prompt(again, &place.target, progress, false).await?;
    bar.step();
    if let Some((colds, warms)) = runs {
        colds.push(cold);
        warms.push(warm);
    }
    Ok(())
}

async fn keystrokes(
    place: &Place,
    plan: &Plan,
    progress: &Progress,
    bar: &Bar,
    times: &mut Vec<Duration>,
) -> Result<(), Failure> {
    bar.doing("keystroke echo");
    let shell = Some(Shell::Command(echo::COMMAND.into()));
    let request = TerminalRequest { shell, ..TerminalRequest::default() };
    let (host, mut terminal) = open(place, ssh::Config::default(), &request, progress).await?;
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

/// Once down and once up, each on a connection of its own.
async fn bulk(
    place: &Place,
    load: &Load,
    progress: &Progress,
    bar: &Bar,
    figures: &mut Figures,
) -> Result<(), Failure> {
    bar.doing("throughput");
    let failed = |error| Failure::because(exit::UNAVAILABLE, "throughput", &error);
    let request = TerminalRequest::command(throughput::down_command(load.bytes()));
    let (host, mut terminal) = open(place, ssh::Config::bulk(), &request, progress).await?;
    let took = throughput::down(&mut terminal, load.bytes()).await.map_err(failed)?;
    figures.down.push(throughput::rate(load.bytes(), took));
    host.close().await;
    bar.step();
    let request = TerminalRequest::command(throughput::UP_COMMAND);
    let (host, mut terminal) = open(place, ssh::Config::bulk(), &request, progress).await?;
    let took = throughput::up(&mut terminal, load).await.map_err(failed)?;
    figures.up.push(throughput::rate(load.bytes(), took));
    host.close().await;
    bar.step();
    Ok(())
}

async fn open(
    place: &Place,
    tuning: ssh::Config,
    request: &TerminalRequest,
    progress: &Progress,
) -> Result<(SshHost, Terminal), Failure> {
    let observer = |event: StageEvent| crate::model::StageObserver::on_stage(progress, event);
    let host = place.fresh(tuning)?.connect_ssh(&place.target, &observer).await?;
    let terminal = host.open(request, &observer).await?;
    Ok((host, terminal))
}
