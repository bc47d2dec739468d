//! `eice bench`: time to prompt by stage, keystroke echo, throughput, and a comparison with other clients.

mod cksum;
mod compare;
mod echo;
mod key;
mod machine;
mod measure;
mod peers;
mod pipes;
mod plan;
mod programs;
mod progress;
mod report;
mod round_trips;
mod stages;
mod stats;
mod table;
mod temp;
mod testbed;
mod throughput;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use self::compare::Comparison;
use self::key::PushedKey;
use self::machine::Machine;
use self::measure::{Figures, measure};
use self::peers::{PeerArg, Setting};
use self::plan::{Bytes, Plan};
use self::progress::Bar;
use self::report::{Ended, Report, Target};
use self::temp::TempFolder;
use self::testbed::Testbed;
use super::client_args::ClientArgs;
use super::exit;
use super::failure::Failure;
use super::help::{aws_help, exit_help};
use super::progress::{Mode, Progress};
use super::stop::{Signals, StopReason};
use super::target::Destination;

const HELP: &str = aws_help!(
    "Examples:
  eice bench --emulator                        on this machine, without AWS
  eice bench --emulator --delay-ms 50          the same in round trips, on any machine
  eice bench ubuntu@i-0123456789abcdef0        an instance, through its endpoint
  eice bench i-0123456789abcdef0 --compare ssh,aws   and OpenSSH and aws-cli, in turns
  eice bench i-0123456789abcdef0 --json > bench.json   every figure

Measured are the time from nothing to the first byte of the prompt, stage by stage, once with nothing
cached and once with lookups cached; the echo of keystrokes by a process behind a PTY; and bulk both
ways without a PTY, every byte checked. `setup`, `instance`, `key-push` … are the stages; `first-byte`
is from the answer to the shell's request to its first byte. The key push runs concurrently, so
the total is less than their sum.

What it will do is said beforehand. EC2 Instance Connect Endpoints are for management traffic, and
AWS throttles bulk: keep --bytes small. Ctrl-C ends it (130), and so does --timeout (75); both print
what was measured so far.

Peers run as programs of their own, ours as well, in turns in one run; a ratio is the median of the
rounds' ratios. ssh and aws-tunnel use a key made for the run, which is pushed before their clock
starts. What is not installed is reported and left out."
);

/// Measures what a terminal through an EC2 Instance Connect Endpoint costs: time to prompt, echo, throughput.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = HELP, after_help = "`eice bench --help` has examples, environment and exit codes.")]
pub(crate) struct BenchArgs {
    /// Instance by id, Name tag, private address or workspace id; the login name before it, else ec2-user
    #[arg(value_name = "[USER@]INSTANCE")]
    #[cfg_attr(feature = "emulator", arg(required_unless_present = "emulator"))]
    #[cfg_attr(not(feature = "emulator"), arg(required = true))]
    destination: Option<Destination>,

    /// Measure a private emulator of this process instead of an instance
    #[cfg(feature = "emulator")]
    #[arg(long, conflicts_with = "destination")]
    emulator: bool,

    /// Delay each byte of the emulator's tunnels by so many milliseconds, one way, and each answer of its APIs by a
    /// round trip; undelayed runs are made in turns with those, and the difference is reported in round trips
    #[cfg(feature = "emulator")]
    #[arg(long, value_name = "N", requires = "emulator", conflicts_with = "destination", value_parser = clap::value_parser!(u32).range(1..=1000))]
    delay_ms: Option<u32>,

    /// Runs that count
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=200))]
    runs: u32,

    /// Runs before them that do not
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=20))]
    warmup: u32,

    /// Keys to type; 0 leaves the echo out
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=20_000))]
    keystrokes: u32,

    /// Mean pause before a key, half to one and a half times it; 0 types without a pause
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=5000))]
    think_ms: u32,

    /// Bytes of each transfer, as 4MiB; 0 leaves the throughput out
    #[arg(long, value_name = "SIZE", default_value = "4MiB")]
    bytes: Bytes,

    /// Others to measure in turns with us
    #[arg(long, value_name = "PEER", value_enum, value_delimiter = ',')]
    compare: Vec<PeerArg>,

    /// Where `direct` reaches the instance's sshd; else its public address
    #[arg(long, value_name = "HOST:PORT")]
    direct: Option<String>,

    /// aws-cli v2; else `aws` of PATH
    #[arg(long, value_name = "PATH")]
    aws: Option<PathBuf>,

    /// Seconds after which it ends with what was measured so far
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=7200))]
    timeout: u64,

    /// Open many tunnels or move much without being stopped
    #[arg(long)]
    yes: bool,

    /// One JSON document on stdout, with every figure
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    client: ClientArgs,
}

impl BenchArgs {
    fn delay_ms(&self) -> Option<u32> {
        #[cfg(feature = "emulator")]
        return self.delay_ms;
        #[cfg(not(feature = "emulator"))]
        None
    }

    /// Returns the keystrokes per subject and round of a comparison.
    fn keys_per_round(&self) -> u32 {
        self.keystrokes.div_ceil(self.runs)
    }
}

pub(crate) async fn run(args: BenchArgs) -> Result<u8, Failure> {
    let mut signals = Signals::register()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot watch signals", &error))?;
    let progress = Progress::new(if args.client.verbose { Mode::Lines } else { Mode::Quiet });
    let testbed = tokio::select! {
        testbed = Testbed::open(&args, &progress) => testbed?,
        reason = signals.next() => return Ok(reason.status()),
    };
    let result = bench(&args, &testbed, &progress, &mut signals).await;
    testbed.close().await;
    result
}

/// Why the measurements were interrupted.
enum Stop {
    Signal(StopReason),
    Timeout,
    Failure(Failure),
}

async fn bench(
    args: &BenchArgs,
    testbed: &Testbed,
    progress: &Progress,
    signals: &mut Signals,
) -> Result<u8, Failure> {
    let machine = Machine::here();
    let began = Instant::now();
    let folder = TempFolder::new()
        .map_err(|error| Failure::because(exit::INTERNAL, "no private folder can be made", &error))?;
    let key = PushedKey::new(testbed, &folder)?;
    let mut comparison = None;
    if !args.compare.is_empty() {
        let setting = Setting::new(args, testbed, &folder, key.path().to_owned())?;
        let (peers, left_out) = tokio::select! {
            found = setting.peers(&args.compare) => found,
            reason = signals.next() => return Ok(reason.status()),
        };
        comparison = Some(Comparison::new(peers, left_out));
    }
    let peers = comparison.iter().flat_map(Comparison::peers);
    let peers: Vec<_> = peers.map(|peer| (peer.through_endpoint, peer.takes_commands())).collect();
    let plan = Plan::new(args, &peers);
    plan.allowed(args.yes)?;
    super::say(&plan.announcement());
    for left in comparison.iter().flat_map(Comparison::left_out) {
        super::say(&format!("eice: {} is left out: {}\n", left.name, left.reason));
    }

    let bar = Bar::new(plan.steps, args.client.quiet || args.client.verbose);
    let mut figures = Figures::new(comparison);
    let stopped = tokio::select! {
        done = measure(args, testbed, &plan, &key, progress, &bar, &mut figures) => done.err().map(Stop::Failure),
        reason = signals.next() => Some(Stop::Signal(reason)),
        () = tokio::time::sleep(Duration::from_secs(args.timeout)) => Some(Stop::Timeout),
    };
    bar.clear();

    let mut report = Report::new(target(testbed), plan, machine);
    report.took_s = began.elapsed().as_secs_f64();
    report.ended = match &stopped {
        None => Ended::Complete,
        Some(Stop::Signal(_)) => Ended::Interrupted,
        Some(Stop::Timeout) => Ended::TimedOut,
        Some(Stop::Failure(failure)) => {
            report.error = Some(failure.message().to_owned());
            Ended::Failed
        }
    };
    figures.fill(&mut report);
    print(&report, args.json)?;
    match stopped {
        None => Ok(exit::OK),
        Some(Stop::Signal(reason)) => Ok(reason.status()),
        Some(Stop::Timeout) => {
            let message = format!("not done after {} s", args.timeout);
            Err(Failure::new(exit::TIMEOUT, message)
                .with_hint("--timeout, --runs and --keystrokes change that"))
        }
        Some(Stop::Failure(failure)) => Err(failure),
    }
}

fn target(testbed: &Testbed) -> Target {
    let target = &testbed.target;
    Target {
        kind: if testbed.is_emulator() { "emulator" } else { "instance" },
        instance: target.instance.to_string(),
        os_user: target.os_user.to_string(),
        region: target.region.clone(),
    }
}

fn print(report: &Report, json: bool) -> Result<(), Failure> {
    let text = if json {
        let mut text = serde_json::to_string_pretty(report)
            .map_err(|error| Failure::because(exit::INTERNAL, "the report cannot be written", &error))?;
        text.push('\n');
        text
    } else {
        table::render(report)
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error))
}
