//! `eice tunnel`: bytes to a port of an instance, on stdin and stdout or a local listener.

mod forward;
mod key;
mod stdio;

use clap::Args;
use eice_proto::tunnel::CloseReason;

use super::bind::ListenAddr;
use super::build::{self, HostKeyOptions};
use super::exit;
use super::failure::Failure;
use super::help::{aws_help, exit_help};
use super::relay::Broken;
use super::stop::Signals;
use super::target::TargetArgs;
use crate::model::InstanceName;
use crate::ssh;
use key::KeyArgs;
pub(crate) use stdio::stdout_gone;

const HELP: &str = aws_help!(
    "Examples:
  ssh -o ProxyCommand='eice tunnel %n' ec2-user@i-0123456789abcdef0
  eice tunnel i-0123456789abcdef0 --listen 127.0.0.1:2222
  eice tunnel web-1 --listen localhost:0 --json           prints the port it got
  eice tunnel web-1 --listen localhost:3389 --remote-port 3389   then point a Remote Desktop client there
  eice ssh-config >>~/.ssh/config                         what ssh needs, with the options below

No key is pushed unless --agent or --push-key asks for it: this is the tunnel alone, and ssh needs a
key that the instance knows, or that `eice push-key` pushed in the last 60 seconds.

--agent SOCKET is for ssh's ProxyCommand: a key is made in memory, pushed to the instance (again, for
a login that comes late) and lent to ssh by an agent on that socket, which ssh's IdentityAgent names.
Key and socket go with the tunnel. The socket's folder is made when there is none; it must be yours
and closed to others. Several tunnels may use one path at once. --push-key FILE.pub pushes a key that
you have, and lets no byte pass before the instance knows it.

The end of input. The tunnel protocol has no mark for \"no more from me\": a tunnel is open both ways
or closed. So when stdin ends, or the local side of a --listen connection stops sending, nothing is
sent and the tunnel stays open until the remote side closes it: no byte on its way to us is lost.
On stdin and stdout it also ends when stdout is closed (ssh does that). A --listen connection that
has stopped sending also ends when nothing has come back for --half-close-timeout seconds.

The end of a listener. On SIGTERM, SIGINT or SIGHUP, and with --until-stdin-closes at the end of
stdin, it takes no more connections, gives those that are open --drain-timeout seconds to end, and
closes the rest; a second signal closes them at once. A peer that is gone without a word is noticed
within a minute: the local one by TCP keepalive, the far one by pings."
);

/// Carries bytes to a port of an instance: on stdin and stdout, for ssh's ProxyCommand, or for every connection to
/// a local listener.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice tunnel --help` has examples, environment and exit codes.")]
pub(crate) struct TunnelArgs {
    /// Instance by id, Name tag, private address or workspace id
    #[arg(value_name = "INSTANCE")]
    instance: InstanceName,

    /// Listen here instead of using stdin and stdout; port 0 takes a free one and prints it
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<ListenAddr>,

    /// Most connections of the listener at a time, each its own tunnel; one endpoint carries 20
    #[arg(long, value_name = "N", default_value_t = 10, requires = "listen",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    max_connections: u16,

    /// Seconds without a byte after which a connection that has stopped sending is closed
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "listen",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    half_close_timeout: u64,

    /// Seconds that open connections have to end when the listener does
    #[arg(long, value_name = "SECONDS", default_value_t = 5, requires = "listen",
          value_parser = clap::value_parser!(u64).range(0..=3600))]
    drain_timeout: u64,

    /// When listening, print one line of JSON on stdout
    #[arg(long, requires = "listen")]
    json: bool,

    /// When listening, end when stdin does
    #[arg(long, requires = "listen")]
    until_stdin_closes: bool,

    #[command(flatten)]
    key: KeyArgs,

    /// A line for each stage of connecting, with its time
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten)]
    to: TargetArgs,
}

pub(crate) async fn run(args: TunnelArgs) -> Result<u8, Failure> {
    let mut signals = Signals::register()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot watch signals", &error))?;
    // A bare tunnel does not check host keys.
    let connector =
        build::client_connector(&args.to.aws, &HostKeyOptions::in_memory(), ssh::Config::default())?;
    match &args.listen {
        None => stdio::run(&connector, &args, &mut signals).await,
        Some(address) => forward::run(connector, &args, address, &mut signals).await,
    }
}

/// Converts the failure of a relay, with a hint.
fn failure(broken: Broken) -> Failure {
    let error = match broken {
        Broken::Local(error) => {
            return Failure::because(exit::UNAVAILABLE, "the local side broke", &error);
        }
        Broken::Tunnel(error) => error,
    };
    let Some(reason) = error.get_ref().and_then(|inner| inner.downcast_ref::<CloseReason>()) else {
        return Failure::because(exit::UNAVAILABLE, "the tunnel broke", &error);
    };
    let code = match reason {
        CloseReason::PeerSilent { .. } => exit::TIMEOUT,
        CloseReason::Protocol(_) => exit::PROTOCOL,
        _ => exit::UNAVAILABLE,
    };
    let failure = Failure::new(code, format!("the tunnel broke: {reason}"));
    match way_out(reason) {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// Returns the hint for a tunnel that was closed for `reason`.
pub(crate) fn way_out(reason: &CloseReason) -> Option<&'static str> {
    match reason {
        CloseReason::Peer { reason, .. } if reason.contains("connect to target") => Some(
            "check that something listens on the instance's port, that the endpoint's security group lets it out and \
             the instance's lets it in from the endpoint",
        ),
        CloseReason::DurationReached { .. } => Some("a tunnel lasts 3600 seconds at most; open another one"),
        CloseReason::PeerSilent { .. } => Some("the network between here and AWS fell silent"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;

    #[test]
    fn closed_port_has_hint() {
        let reason = CloseReason::Peer { code: 1011, reason: "Unable to connect to target".into() };
        let failure = failure(Broken::Tunnel(io::Error::other(reason)));
        assert_eq!(failure.code(), exit::UNAVAILABLE);
        let text = failure.render();
        assert!(text.contains("Unable to connect to target") && text.contains("security group"), "{text}");
        assert_eq!(text.matches("Unable").count(), 1, "{text}");
    }

    #[test]
    fn close_reasons_have_exit_codes() {
        let code = |reason: CloseReason| super::failure(Broken::Tunnel(io::Error::other(reason))).code();
        assert_eq!(code(CloseReason::Eof), exit::UNAVAILABLE);
        assert_eq!(code(CloseReason::PeerSilent { silence: Duration::from_secs(50) }), exit::TIMEOUT);
        let limit = Duration::from_secs(3600);
        assert_eq!(code(CloseReason::DurationReached { limit }), exit::UNAVAILABLE);
    }
}
