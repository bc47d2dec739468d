//! `eice tunnel`: bytes to a port of an instance, on stdin and stdout or a local listener.

use std::net::SocketAddr;

use clap::Args;
use eice_proto::InstanceId;

use super::exit;
use super::failure::Failure;
use super::help::{aws_help, exit_help};
use super::target::{AwsArgs, EndpointArgs};

const HELP: &str = aws_help!(
    "Examples:
  ssh -o ProxyCommand='eice tunnel %h' ec2-user@i-0123456789abcdef0    (with a key the instance knows)
  eice tunnel i-0123456789abcdef0 --listen 127.0.0.1:2222
  eice tunnel i-0123456789abcdef0 --listen 127.0.0.1:0 --json          prints the port it got

No key is pushed: this is the tunnel alone.

The end of input. The tunnel protocol has no mark for \"no more from me\": a tunnel is open both ways
or closed. So when stdin ends, or the local side of a --listen connection stops sending, nothing is
sent and the tunnel stays open until the remote side closes it: no byte on its way to us is lost.
On stdin and stdout it also ends when stdout is closed (ssh does that). A --listen connection that
has stopped sending also ends when nothing has come back for --half-close-timeout seconds."
);

/// Carries bytes to a port of an instance: on stdin and stdout, for ssh's ProxyCommand, or for every connection to
/// a local listener.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice tunnel --help` has examples, environment and exit codes.")]
pub(crate) struct TunnelArgs {
    /// Instance
    #[arg(value_name = "INSTANCE")]
    instance: InstanceId,

    /// Listen here instead of using stdin and stdout; port 0 takes a free one and prints it
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,

    /// Most connections of the listener at a time, each its own tunnel; one endpoint carries 20
    #[arg(long, value_name = "N", default_value_t = 10, requires = "listen",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    max_connections: u16,

    /// Seconds without a byte after which a connection that has stopped sending is closed
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "listen",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    half_close_timeout: u64,

    /// When listening, print one line of JSON on stdout
    #[arg(long, requires = "listen")]
    json: bool,

    /// A line for each stage of connecting, with its time
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten)]
    aws: AwsArgs,

    #[command(flatten)]
    endpoint: EndpointArgs,
}

pub(crate) async fn run(args: TunnelArgs) -> Result<u8, Failure> {
    let _ = args;
    Err(Failure::new(exit::INTERNAL, "not built yet"))
}
