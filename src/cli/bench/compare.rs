//! Measures peers alternately, in rounds, and computes the ratios of each round.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;

use super::echo::{self, Echo, Typing};
use super::key::PushedKey;
use super::peers::{LeftOut, Peer};
use super::plan::Plan;
use super::progress::Bar;
use super::stats::{Summary, millis};
use super::throughput::{self, Load, Throughput};
use crate::cli::failure::Failure;
use crate::model::{Terminal, TerminalEvent};

/// How long a peer may take to the first byte of its shell.
const PROMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// The measurements of one subject; each list has one figure per round.
#[derive(Debug, Default)]
struct Figures {
    prompt_ms: Vec<f64>,
    keys: Vec<Duration>,
    echo_ms: Vec<f64>,
    down: Vec<f64>,
    up: Vec<f64>,
}

/// A running comparison. Figures measured before an interruption are kept.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    subjects: Vec<(Peer, Figures)>,
    left_out: Vec<LeftOut>,
}

/// One round's tasks.
pub(super) struct Task<'a> {
    pub(super) plan: &'a Plan,
    /// Keystrokes per subject and round.
    pub(super) keys: u32,
    pub(super) load: Option<&'a Load>,
    pub(super) key: &'a PushedKey<'a>,
    pub(super) bar: &'a Bar,
}

impl Comparison {
    pub(super) fn new(peers: Vec<Peer>, left_out: Vec<LeftOut>) -> Self {
        Self { subjects: peers.into_iter().map(|peer| (peer, Figures::default())).collect(), left_out }
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.subjects.iter().map(|(peer, _)| peer)
    }

    pub(super) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Runs all rounds. A peer that fails is skipped from then on, and the reason is kept; when `eice` itself fails,
    /// the comparison ends.
    pub(super) async fn run(&mut self, task: &Task<'_>) -> Result<(), Failure> {
        for round in 0..task.plan.warmup + task.plan.runs {
            let counts = round >= task.plan.warmup;
            for (peer, figures) in &mut self.subjects {
                if self.left_out.iter().any(|left| left.name == peer.name) {
                    continue;
                }
                let Err(error) = measure(peer, figures, task, counts).await else { continue };
                if peer.name == "eice" {
                    return Err(error);
                }
                let complaint = peer.complaint().map_or_else(String::new, |text| format!(" ({text})"));
                let left = LeftOut::new(peer.name, &format!("{}{complaint}", error.message()));
                task.bar.say(&format!("eice: {} is left out: {}\n", left.name, left.reason));
                self.left_out.push(left);
            }
        }
        Ok(())
    }

    pub(super) fn report(&self, bytes: u64) -> Report {
        let mut subjects = Vec::new();
        for (peer, figures) in &self.subjects {
            subjects.push(Subject {
                name: peer.name,
                what: peer.what.clone(),
                version: peer.version.clone(),
                through_endpoint: peer.through_endpoint,
                prompt_ms: Summary::of(figures.prompt_ms.clone()),
                echo: Echo::of(&figures.keys),
                throughput: Throughput::of(bytes, &figures.down, &figures.up),
            });
        }
        let ours = self.subjects.first().map(|(_, figures)| figures);
        let ratios = self.subjects.iter().skip(1).filter_map(|(peer, theirs)| {
            let ours = ours?;
            Some(Ratios {
                peer: peer.name,
                prompt: ratio(&ours.prompt_ms, &theirs.prompt_ms),
                echo: ratio(&ours.echo_ms, &theirs.echo_ms),
                down: ratio(&ours.down, &theirs.down),
                up: ratio(&ours.up, &theirs.up),
            })
        });
        Report { ratios: ratios.collect(), subjects, left_out: self.left_out.clone() }
    }
}

/// Measures one round of one subject.
async fn measure(peer: &Peer, figures: &mut Figures, task: &Task<'_>, counts: bool) -> Result<(), Failure> {
    task.bar.doing(peer.name);
    let failed = |what: &str, error: &io::Error| Failure::because(crate::cli::exit::UNAVAILABLE, what, error);
    if peer.needs_key {
        task.key.keep_fresh().await?;
    }
    let (mut terminal, prompt) = prompt(peer).await.map_err(|error| failed("no shell", &error))?;
    task.bar.step();
    if counts {
        figures.prompt_ms.push(millis(prompt));
        let mut times = Vec::new();
        let typed = type_keys(&mut terminal, task, &mut times).await;
        figures.keys.extend(&times);
        typed.map_err(|error| failed("keystrokes", &error))?;
        figures.echo_ms.extend(echo::median_ms(&times));
    }
    terminal.control.close().await;
    drop(terminal);
    let (true, Some(load)) = (counts, task.load) else { return Ok(()) };
    for is_down in [true, false] {
        if peer.needs_key {
            task.key.keep_fresh().await?;
        }
        let line =
            if is_down { throughput::down_command(load.bytes()) } else { throughput::UP_COMMAND.into() };
        let Some(started) = peer.command(&line) else { return Ok(()) };
        let moved = async {
            let mut terminal = started?;
            let took = match is_down {
                true => throughput::down(&mut terminal, load.bytes()).await?,
                false => throughput::up(&mut terminal, load).await?,
            };
            Ok(throughput::rate(load.bytes(), took))
        };
        let rate = moved.await.map_err(|error| failed("throughput", &error))?;
        task.bar.step();
        if is_down { figures.down.push(rate) } else { figures.up.push(rate) }
    }
    Ok(())
}

/// Starts the program and measures the time to the first byte of the shell. That the byte was not an error message is
/// known once the shell has run a command.
async fn prompt(peer: &Peer) -> io::Result<(Terminal, Duration)> {
    let start = Instant::now();
    let mut terminal = peer.shell()?;
    let first = tokio::time::timeout(PROMPT_TIMEOUT, terminal.output.next()).await;
    let took = start.elapsed();
    match first {
        Err(_) => Err(io::Error::other(format!("nothing within {} s", PROMPT_TIMEOUT.as_secs()))),
        Ok(Some(Ok(TerminalEvent::Output(said)))) => {
            terminal.input.write(Bytes::from(format!("{}\n", echo::COMMAND))).await?;
            match echo::ready(&mut terminal, &said).await {
                Ok(()) => Ok((terminal, took)),
                Err(error) => Err(error),
            }
        }
        Ok(Some(Ok(TerminalEvent::Exit(exit)))) => Err(io::Error::other(format!("it {exit}"))),
        Ok(Some(Err(error))) => Err(error),
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn type_keys(terminal: &mut Terminal, task: &Task<'_>, times: &mut Vec<Duration>) -> io::Result<()> {
    let typing = Typing { keys: task.keys, think: task.plan.think() };
    echo::keystrokes(terminal, typing, |took| {
        times.push(took);
        task.bar.step();
    })
    .await
}

/// Returns the ratios of each round, ours by theirs.
fn ratio(ours: &[f64], theirs: &[f64]) -> Option<Summary> {
    Summary::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
}

/// The comparison in the report.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `eice` first.
    pub(super) subjects: Vec<Subject>,
    pub(super) ratios: Vec<Ratios>,
    pub(super) left_out: Vec<LeftOut>,
}

/// The results of one subject.
#[derive(Debug, Serialize)]
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) what: String,
    pub(super) version: Option<String>,
    pub(super) through_endpoint: bool,
    /// From the program's start to the shell's first byte.
    pub(super) prompt_ms: Option<Summary>,
    pub(super) echo: Option<Echo>,
    pub(super) throughput: Option<Throughput>,
}

/// Ratios of ours to the peer's, per round. For times, below 1 is faster; for rates, above 1.
#[derive(Debug, Serialize)]
pub(super) struct Ratios {
    pub(super) peer: &'static str,
    pub(super) prompt: Option<Summary>,
    /// Of the medians of each round's keys.
    pub(super) echo: Option<Summary>,
    pub(super) down: Option<Summary>,
    pub(super) up: Option<Summary>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_pair_rounds() {
        let ratios = ratio(&[1.0, 4.0, 9.0], &[2.0, 4.0]).unwrap();
        assert_eq!(ratios.samples, [0.5, 1.0]);
        assert_eq!(ratios.median, 0.75);
        assert_eq!(ratio(&[], &[1.0]), None);
    }
}
