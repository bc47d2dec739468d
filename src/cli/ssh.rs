//! `eice ssh`: a terminal, or one command, on an instance.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::exit;
use super::failure::Failure;
use super::help::{aws_help, exit_help};
use super::target::{AwsArgs, Destination, EndpointArgs};
use crate::terminal::{ContainerName, OsUser};

const HELP: &str = aws_help!(
    "Examples:
  eice ssh i-0123456789abcdef0                     the login shell, as ec2-user
  eice ssh ubuntu@i-0123456789abcdef0 -- df -h /   one command; its status becomes ours
  eice ssh i-0123456789abcdef0 -- tar c /etc | tar x   lossless, stdout and stderr apart
  eice ssh -t i-0123456789abcdef0 -- top           a command that needs a terminal
  eice ssh i-0123456789abcdef0 --container web     a shell in a container of the instance

What AWS must allow: ec2:DescribeInstances, ec2:DescribeInstanceConnectEndpoints,
ec2-instance-connect:SendSSHPublicKey on the instance and ec2-instance-connect:OpenTunnel on the
endpoint. A tunnel ends after 3600 seconds at the latest; that is the service's limit.

In an interactive terminal `~.` at the start of a line ends the connection, `~~` sends a tilde."
);

/// Opens a shell, or runs one command, on an instance.
///
/// A key is made in memory, pushed with SendSSHPublicKey (AWS keeps it for 60 seconds) and used once, through a
/// tunnel of an EC2 Instance Connect Endpoint. The instance needs no public address.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice ssh --help` has examples, environment and exit codes.")]
pub(crate) struct SshArgs {
    /// Instance, with the login name before it where that is not ec2-user
    #[arg(value_name = "[USER@]INSTANCE")]
    destination: Destination,

    /// Command to run instead of the login shell; joined by spaces and given to the remote shell, as ssh does
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,

    /// Login name
    #[arg(long, short = 'l', value_name = "USER")]
    os_user: Option<OsUser>,

    /// Run in this container of the instance, by docker exec
    #[arg(long, value_name = "NAME")]
    container: Option<ContainerName>,

    /// Program that runs containers, as words: `sudo -n docker`, `podman`
    #[arg(long, value_name = "WORDS", default_value = "docker", requires = "container")]
    engine: String,

    /// Ask for a terminal even with a command
    #[arg(short = 't', long, overrides_with = "no_tty")]
    tty: bool,

    /// Never ask for a terminal
    #[arg(short = 'T', long, overrides_with = "tty")]
    no_tty: bool,

    /// What to do with a host key not seen before: refuse it, or keep it and hold the instance to it
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = HostKeyPolicy::Tofu, env = "EICE_HOST_KEY")]
    host_key: HostKeyPolicy,

    /// Where host keys are kept; else $XDG_STATE_HOME/eice/host_keys.json
    #[arg(long, value_name = "FILE", env = "EICE_HOST_KEYS")]
    host_keys: Option<PathBuf>,

    /// A line for each stage of connecting, with its time
    #[arg(short, long)]
    verbose: bool,

    /// No progress
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    #[command(flatten)]
    aws: AwsArgs,

    #[command(flatten)]
    endpoint: EndpointArgs,
}

/// What to do with a host key that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HostKeyPolicy {
    /// Only keys that are known already
    Strict,
    /// Trust on first use: keep it, and refuse another one from then on
    Tofu,
}

pub(crate) async fn run(args: SshArgs) -> Result<u8, Failure> {
    let _ = args;
    Err(Failure::new(exit::INTERNAL, "not built yet"))
}
