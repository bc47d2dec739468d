//! L6 · The verbs, one file each, and the only place that builds objects.

#[cfg(feature = "client")]
mod aws;
#[cfg(feature = "client")]
mod bench;
#[cfg(feature = "client")]
mod bind;
#[cfg(feature = "connect")]
mod build;
#[cfg(feature = "client")]
mod client_args;
#[cfg(feature = "client")]
mod completions;
#[cfg(feature = "client")]
mod copy_progress;
#[cfg(feature = "client")]
mod cp;
#[cfg(feature = "client")]
mod cp_paths;
#[cfg(all(feature = "gateway", feature = "emulator"))]
mod demo;
#[cfg(feature = "client")]
mod doctor;
#[cfg(feature = "emulator")]
mod emulator;
#[cfg(feature = "client")]
mod escape;
#[cfg(feature = "client")]
mod exec;
pub mod exit;
mod failure;
#[cfg(feature = "client")]
mod forward;
mod help;
#[cfg(feature = "client")]
mod host_keys;
#[cfg(feature = "client")]
mod interactive;
#[cfg(feature = "client")]
mod man;
#[cfg(feature = "gateway")]
mod notify;
#[cfg(feature = "client")]
mod person;
#[cfg(feature = "client")]
mod policy;
#[cfg(feature = "client")]
mod progress;
#[cfg(feature = "client")]
mod push_key;
#[cfg(feature = "client")]
mod pushable_key;
#[cfg(feature = "client")]
mod raw;
pub mod ready;
#[cfg(feature = "client")]
mod relay;
#[cfg(feature = "gateway")]
mod serve;
#[cfg(feature = "client")]
mod ssh;
#[cfg(feature = "client")]
mod ssh_config;
#[cfg(feature = "client")]
mod stdin;
mod stop;
#[cfg(feature = "client")]
mod target;
#[cfg(feature = "client")]
mod tunnel;

use std::ffi::OsString;
#[cfg(feature = "connect")]
use std::io::{self, Write};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use futures_util::future::BoxFuture;

use crate::telemetry;
pub use failure::Failure;

/// How long the runtime may take to shut down after a verb has returned: a task that is left is a bug.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Opens shells in machines without a public address and without an SSH key, through AWS EC2 Instance Connect
/// Endpoints: no aws-cli, no ssh binary, no key on disk.
#[derive(Debug, Parser)]
#[command(name = "eice", version, max_term_width = 100, after_help = ROOT_HELP)]
pub struct Cli {
    #[command(flatten)]
    log: LogArgs,

    #[command(subcommand)]
    verb: Verb,
}

/// What clients log. The AWS libraries warn of settings of other tools, of a metadata service that is not there, and of
/// errors that are reported anyway.
#[cfg(feature = "client")]
const CLIENT_FILTER: &str =
    "warn,aws_config=error,aws_runtime=error,aws_sdk_sts=error,aws_smithy_runtime=error";

const ROOT_HELP: &str = "\
Examples:
  eice demo                            try everything on this machine, without AWS
  eice ssh ubuntu@i-0123456789abcdef0  a shell in an instance
  eice ssh-config                      what makes plain ssh, scp, rsync and git do the same

`eice VERB --help` has the examples, environment and exit codes of each verb.";

/// Logging options.
#[derive(Args, Debug)]
#[command(next_help_heading = "Logging")]
struct LogArgs {
    /// What to log to stderr: off, error, warn, info, debug, trace, or MODULE=LEVEL,…
    #[arg(long, global = true, env = "EICE_LOG", value_name = "FILTER")]
    log: Option<String>,

    /// Form of a log line: text or json
    #[arg(long, global = true, env = "EICE_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: telemetry::Format,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[cfg(feature = "client")]
    Aws(aws::AwsShimArgs),
    #[cfg(feature = "client")]
    HostKeys(Box<host_keys::HostKeysArgs>),
    #[cfg(feature = "client")]
    Ssh(Box<ssh::SshArgs>),
    #[cfg(feature = "client")]
    Exec(Box<exec::ExecArgs>),
    #[cfg(feature = "client")]
    Cp(Box<cp::CpArgs>),
    #[cfg(feature = "client")]
    Tunnel(Box<tunnel::TunnelArgs>),
    #[cfg(feature = "client")]
    Bench(Box<bench::BenchArgs>),
    #[cfg(feature = "client")]
    PushKey(Box<push_key::PushKeyArgs>),
    #[cfg(feature = "client")]
    SshConfig(Box<ssh_config::SshConfigArgs>),
    #[cfg(feature = "client")]
    Doctor(Box<doctor::DoctorArgs>),
    #[cfg(feature = "client")]
    Policy(Box<policy::PolicyArgs>),
    #[cfg(all(feature = "gateway", feature = "emulator"))]
    Demo(Box<demo::DemoArgs>),
    #[cfg(feature = "gateway")]
    Serve(Box<serve::ServeArgs>),
    #[cfg(feature = "emulator")]
    Emulator(Box<emulator::EmulatorArgs>),
    #[cfg(feature = "client")]
    Completions(completions::CompletionsArgs),
    #[cfg(feature = "client")]
    Man(man::ManArgs),
}

impl Verb {
    /// Returns the default filter: warnings only for a client, info for a server.
    fn default_filter(&self) -> &'static str {
        match self {
            #[cfg(feature = "client")]
            // aws-cli logs everything or nothing.
            Self::Aws(args) => {
                if args.is_debug() {
                    "debug"
                } else {
                    "error"
                }
            }
            #[cfg(feature = "client")]
            Self::HostKeys(_)
            | Self::Ssh(_)
            | Self::Exec(_)
            | Self::Cp(_)
            | Self::Tunnel(_)
            | Self::Bench(_)
            | Self::PushKey(_)
            | Self::Doctor(_)
            | Self::Policy(_) => CLIENT_FILTER,
            #[cfg(feature = "client")]
            Self::Completions(_) | Self::Man(_) | Self::SshConfig(_) => "warn",
            #[cfg(all(feature = "gateway", feature = "emulator"))]
            Self::Demo(_) => "warn",
            #[cfg(feature = "gateway")]
            Self::Serve(_) => "info",
            #[cfg(feature = "emulator")]
            Self::Emulator(_) => "warn",
        }
    }

    /// Runs it, or returns the future that does. `log` is there when a configuration file may say what is logged.
    #[cfg_attr(not(feature = "gateway"), allow(unused_variables, reason = "only `serve` has such a file"))]
    fn start(self, log: Option<telemetry::Log>) -> Work {
        match self {
            #[cfg(feature = "client")]
            Self::Aws(args) => match args.read() {
                Ok(call) => Work::of(async { Ok(call.run().await) }),
                Err(status) => Work::Done(Ok(status)),
            },
            #[cfg(feature = "client")]
            Self::HostKeys(args) => Work::Done(host_keys::run(*args)),
            #[cfg(feature = "client")]
            Self::Ssh(args) => Work::of(ssh::run(*args)),
            #[cfg(feature = "client")]
            Self::Exec(args) => Work::of(exec::run(*args)),
            #[cfg(feature = "client")]
            Self::Cp(args) => Work::of(cp::run(*args)),
            #[cfg(feature = "client")]
            Self::Tunnel(args) => Work::of(tunnel::run(*args)),
            #[cfg(feature = "client")]
            Self::Bench(args) => Work::of(bench::run(*args)),
            #[cfg(feature = "client")]
            Self::PushKey(args) => Work::of(push_key::run(*args)),
            #[cfg(feature = "client")]
            Self::SshConfig(args) => Work::Done(ssh_config::run(&args)),
            #[cfg(feature = "client")]
            Self::Doctor(args) => Work::of(doctor::run(*args)),
            #[cfg(feature = "client")]
            Self::Policy(args) => Work::of(policy::run(*args)),
            #[cfg(all(feature = "gateway", feature = "emulator"))]
            Self::Demo(args) => Work::of(demo::run(*args)),
            #[cfg(feature = "gateway")]
            Self::Serve(args) => Work::of(serve::run(*args, log)),
            #[cfg(feature = "emulator")]
            Self::Emulator(args) => Work::of(emulator::run(*args)),
            #[cfg(feature = "client")]
            Self::Completions(args) => Work::Done(completions::run(&args)),
            #[cfg(feature = "client")]
            Self::Man(args) => Work::Done(man::run(&args)),
        }
    }
}

/// What is left of a verb after its start.
enum Work {
    /// Nothing: it needs neither a runtime nor TLS. `ssh` runs such a verb for each connection.
    #[cfg_attr(not(feature = "client"), allow(dead_code, reason = "only client verbs end at once"))]
    Done(Result<u8, Failure>),
    /// This, on the runtime.
    Future(BoxFuture<'static, Result<u8, Failure>>),
}

impl Work {
    fn of(future: impl Future<Output = Result<u8, Failure>> + Send + 'static) -> Self {
        Self::Future(Box::pin(future))
    }
}

/// Runs the program on its arguments, the first of which is its own name, and returns its exit status.
///
/// Errors have been printed on stderr by then. Installs the process's TLS provider, its log subscriber and a runtime,
/// so only `main` should call it.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match parse(args.into_iter().collect()) {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let _ = error.print();
            return if asked { exit::OK } else { exit::USAGE };
        }
    };
    match start(cli) {
        Ok(status) => status,
        Err(failure) => {
            failure.report();
            failure.code()
        }
    }
}

fn parse(args: Vec<OsString>) -> Result<Cli, clap::Error> {
    // clap cannot parse aws-cli's command line.
    #[cfg(feature = "client")]
    if let Some(shim) = aws::AwsShimArgs::of(&args) {
        let mut cli = Cli::try_parse_from(["eice", "aws"])?;
        cli.verb = Verb::Aws(shim);
        return Ok(cli);
    }
    Cli::try_parse_from(args)
}

fn start(cli: Cli) -> Result<u8, Failure> {
    let filter = cli.log.log.as_deref().unwrap_or(cli.verb.default_filter());
    let log = telemetry::init(&telemetry::Config::new(filter, cli.log.log_format))
        .map_err(|error| Failure::because(exit::USAGE, "cannot set up logging", &error))?;
    // What the command line or the environment says comes first.
    let log = Some(log).filter(|_| cli.log.log.is_none());
    let work = match cli.verb.start(log) {
        Work::Done(result) => return result,
        Work::Future(work) => work,
    };
    // An error means that a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot start the runtime", &error))?;
    let warm_up = warm_up_randomness();
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
    // The library frees its generator at the end of the process, and aborts if a thread is using it.
    if let Some(thread) = warm_up {
        let _ = thread.join();
    }
    result
}

/// Requests a first random byte from the TLS library in the background: it then gathers entropy from processor jitter,
/// once per process, which takes 30 ms.
fn warm_up_randomness() -> Option<std::thread::JoinHandle<()>> {
    let ask = || {
        let _ = rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut [0]);
    };
    std::thread::Builder::new().name("entropy".into()).spawn(ask).ok()
}

/// Writes `text` to stderr, ignoring errors.
#[cfg(feature = "connect")]
fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[cfg(feature = "client")]
    #[test]
    fn usage_error_is_64_and_help_is_0() {
        let status =
            |args: &[&str]| main(std::iter::once("eice").chain(args.iter().copied()).map(OsString::from));
        assert_eq!(status(&["--version"]), exit::OK);
        assert_eq!(status(&["ssh", "--help"]), exit::OK);
        assert_eq!(status(&[]), exit::USAGE);
        assert_eq!(status(&["nonsense"]), exit::USAGE);
        assert_eq!(status(&["ssh", "i-not-an-instance"]), exit::USAGE);
        assert_eq!(status(&["ssh", "i-1", "--endpoint-dns-name", "x"]), exit::USAGE);
        assert_eq!(status(&["tunnel", "i-1", "--max-tunnel-duration", "3601"]), exit::USAGE);
    }

    #[test]
    fn help_has_examples_and_exit_codes() {
        for verb in Cli::command().get_subcommands() {
            let mut verb = verb.clone();
            let help = verb.render_long_help().to_string();
            for part in ["Examples:", "Environment:", "Exit codes:"] {
                assert!(help.contains(part), "{}: no {part}", verb.get_name());
            }
        }
    }
}
