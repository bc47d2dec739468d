//! `eice doctor`: finds out why a shell does not open, and how to fix it.

mod table;

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;

use super::client_args::{ClientArgs, ContainerArgs};
use super::exit;
use super::failure::Failure;
use super::help::{aws_help, exit_help};
use super::raw;
use super::stop::Signals;
use super::target::Destination;
use crate::aws::policy::Tag;
use crate::connect::DiagnoseOptions;
use crate::model::{Report, Shell};
use crate::ssh;
use table::{Style, render};

const HELP: &str = aws_help!(
    "Examples:
  eice doctor i-0123456789abcdef0                      everything up to the login shell
  eice doctor ubuntu@web-1 --container web             and into a container
  eice doctor i-0123456789abcdef0 --tag Role=workspace  the policy asks for this tag
  eice doctor --json web-1 | jq -r .first_failure

What is done: whatever `eice ssh` does, step by step, and GetCallerIdentity and
DescribeSecurityGroups besides. One key is pushed, which AWS forgets after 60 seconds, one tunnel
and one SSH connection are opened, and in it `exit 0` is run; with --container also `docker ps`,
`docker container inspect` and a shell that ends at once. Nothing is changed and nothing stays:
no process, no host key, no tag, no rule. What is missing is printed, not made.

A check that fails does not end the walk where a later one can still be tried. Exit code 0 means
that a terminal opens, even with warnings; otherwise the code is that of the first
failure. docs/doctor.md explains every check."
);

/// Finds out why a shell does not open, and how to fix it.
///
/// Walks through every stage: credentials, each permission, instance, endpoint, address family, security groups, key,
/// tunnel, sshd, host key, login, channels, container, shell. For what fails it prints the exact IAM statement,
/// security-group rule or tag that is missing.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice doctor --help` has examples, environment and exit codes.")]
pub(crate) struct DoctorArgs {
    /// Instance by id, Name tag, private address or workspace id; the login name before it, else ec2-user
    #[arg(value_name = "[USER@]INSTANCE")]
    destination: Destination,

    #[command(flatten)]
    container: ContainerArgs,

    /// The report as JSON
    #[arg(long)]
    json: bool,

    /// Longest time for everything, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,

    /// Tag that the IAM policy asks of instance or endpoint: reported where it is missing and AWS denies access
    #[arg(long, value_name = "KEY=VALUE", default_value = "Role=workspace")]
    tag: Tag,

    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) async fn run(args: DoctorArgs) -> Result<u8, Failure> {
    let mut signals = Signals::register()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot watch signals", &error))?;
    let progress = args.client.progress();
    let report = tokio::select! {
        report = args.diagnose(&progress) => report,
        reason = signals.next() => {
            progress.clear();
            return Ok(reason.status());
        }
    };
    progress.clear();
    let report = report?;
    let text = if args.json {
        let json = serde_json::to_string_pretty(&report);
        json.map_err(|error| Failure::because(exit::INTERNAL, "the report cannot be written", &error))? + "\n"
    } else {
        render(&report, style())
    };
    // A closed stdout is no error.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(status(&report))
}

impl DoctorArgs {
    async fn diagnose(&self, progress: &super::progress::Progress) -> Result<Report, Failure> {
        let connector = self.client.connector(ssh::Config::default())?;
        let diagnosis =
            DiagnoseOptions { timeout: Duration::from_secs(self.timeout), tag: Some(self.tag.clone()) };
        let user = self.destination.login(self.client.os_user.as_ref())?;
        let to = &self.client.to;
        let shell = self.container.shell()?;
        match to.try_locate(&connector, &self.destination.instance, user, progress).await? {
            Ok(mut target) => {
                if let Some(container) = shell {
                    target.shell = Shell::Container(container);
                }
                Ok(connector.diagnose(&target, &diagnosis, progress).await)
            }
            Err(why) => {
                let (account, region) = (to.account(), to.aws.region.as_deref());
                Ok(connector.diagnose_unlocated(&why, &account, region, &diagnosis, progress).await)
            }
        }
    }
}

/// Returns the exit code of the first failure.
fn status(report: &Report) -> u8 {
    match report.first_failure() {
        Some(step) => step.fault.map_or(exit::INTERNAL, exit::code),
        None if report.is_ok() => exit::OK,
        None => exit::UNAVAILABLE,
    }
}

/// Returns the terminal's width, with color unless NO_COLOR (no-color.org) is set; otherwise plain and unwrapped.
fn style() -> Style {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return Style { width: None, colour: false };
    }
    let is_plain = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let width = raw::size(&stdout).map(|size| usize::from(size.cols()));
    Style { width, colour: !is_plain("NO_COLOR") && !is_dumb }
}
