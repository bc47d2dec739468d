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

/// How long the runtime may take to wind up after a verb has returned: whatever is left then is a bug.
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

/// What is logged.
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
    /// What is logged when nobody says: a client is quiet save for warnings, a server tells what it does.
    fn default_filter(&self) -> &'static str {
        match self {
            #[cfg(feature = "client")]
            // aws-cli logs all or nothing.
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

    /// Whether it does without TLS: it tells of the program itself.
    fn is_offline(&self) -> bool {
        #[cfg(feature = "client")]
        if matches!(self, Self::Completions(_) | Self::Man(_)) {
            return true;
        }
        false
    }

    /// Runs it. `log` is there when a configuration file may say what is logged.
    #[cfg_attr(not(feature = "gateway"), allow(unused_variables, reason = "only `serve` has such a file"))]
    async fn run(self, log: Option<telemetry::Log>) -> Result<u8, Failure> {
        match self {
            #[cfg(feature = "client")]
            Self::Aws(args) => Ok(match args.read() {
                Ok(call) => call.run().await,
                Err(status) => status,
            }),
            #[cfg(feature = "client")]
            Self::HostKeys(args) => host_keys::run(*args),
            #[cfg(feature = "client")]
            Self::Ssh(args) => ssh::run(*args).await,
            #[cfg(feature = "client")]
            Self::Exec(args) => exec::run(*args).await,
            #[cfg(feature = "client")]
            Self::Cp(args) => cp::run(*args).await,
            #[cfg(feature = "client")]
            Self::Tunnel(args) => tunnel::run(*args).await,
            #[cfg(feature = "client")]
            Self::Bench(args) => bench::run(*args).await,
            #[cfg(feature = "client")]
            Self::PushKey(args) => push_key::run(*args).await,
            #[cfg(feature = "client")]
            Self::SshConfig(args) => ssh_config::run(&args),
            #[cfg(feature = "client")]
            Self::Doctor(args) => doctor::run(*args).await,
            #[cfg(feature = "client")]
            Self::Policy(args) => policy::run(*args).await,
            #[cfg(all(feature = "gateway", feature = "emulator"))]
            Self::Demo(args) => demo::run(*args).await,
            #[cfg(feature = "gateway")]
            Self::Serve(args) => serve::run(*args, log).await,
            #[cfg(feature = "emulator")]
            Self::Emulator(args) => emulator::run(*args).await,
            #[cfg(feature = "client")]
            Self::Completions(args) => completions::run(&args),
            #[cfg(feature = "client")]
            Self::Man(args) => man::run(&args),
        }
    }
}

/// Runs the program on its arguments, the first of which is its own name, and returns its exit status.
///
/// What went wrong has been told on stderr by then. Installs the process's TLS provider, its log subscriber and
/// a runtime, so it is for `main` alone.
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
    // aws-cli's command line is none that clap could read.
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
    // Before the runtime, which they do not need: ssh runs the first for each connection.
    #[cfg(feature = "client")]
    match cli.verb {
        Verb::HostKeys(args) => return host_keys::run(*args),
        Verb::SshConfig(args) => return ssh_config::run(&args),
        _ => {}
    }
    let is_offline = cli.verb.is_offline();
    let work: BoxFuture<'static, Result<u8, Failure>> = match cli.verb {
        #[cfg(feature = "client")]
        Verb::Aws(args) => match args.read() {
            Ok(call) => Box::pin(async { Ok(call.run().await) }),
            Err(status) => return Ok(status),
        },
        // What the command line or the environment says comes first.
        verb => Box::pin(verb.run(Some(log).filter(|_| cli.log.log.is_none()))),
    };
    // An error says that one is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot start the runtime", &error))?;
    let warm_up = if is_offline { None } else { warm_up_randomness() };
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
    // The library frees its generator as the process ends, and aborts when a thread is in the middle of it.
    if let Some(thread) = warm_up {
        let _ = thread.join();
    }
    result
}

/// Asks the TLS library for a first random byte, beside everything else: it gathers entropy from the jitter of
/// the processor then, once in the life of a process, and that takes 30 ms.
fn warm_up_randomness() -> Option<std::thread::JoinHandle<()>> {
    let ask = || {
        let _ = rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut [0]);
    };
    std::thread::Builder::new().name("entropy".into()).spawn(ask).ok()
}

/// Writes `text` to stderr; one that is gone is no reason to fail.
#[cfg(feature = "connect")]
fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[cfg(feature = "client")]
    #[test]
    fn a_wrong_command_line_is_64_and_help_and_version_are_0() {
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
    fn each_verb_tells_its_examples_environment_and_exit_codes() {
        for verb in Cli::command().get_subcommands() {
            let mut verb = verb.clone();
            let help = verb.render_long_help().to_string();
            for part in ["Examples:", "Environment:", "Exit codes:"] {
                assert!(help.contains(part), "{}: no {part}", verb.get_name());
            }
        }
    }
}
