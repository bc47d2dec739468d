//! `eice tunnel`: bytes to a port of an instance, on stdin and stdout or a local listener.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use eice_proto::tunnel::CloseReason;
use tokio::io::Interest;
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::build::{self, HostKeyOptions};
use super::exit;
use super::failure::Failure;
use super::help::{aws_help, exit_help};
use super::progress::{Mode, Progress};
use super::ready::Ready;
use super::relay::{self, Broken};
use super::stdin::Stdin;
use super::stop::Signals;
use super::target::TargetArgs;
use crate::connect::Connector;
use crate::listen::accept;
use crate::ssh;
use crate::terminal::{InstanceName, InstanceTarget};

const HELP: &str = aws_help!(
    "Examples:
  ssh -o ProxyCommand='eice tunnel %h' ec2-user@i-0123456789abcdef0
  eice tunnel i-0123456789abcdef0 --listen 127.0.0.1:2222
  eice tunnel i-0123456789abcdef0 --listen 127.0.0.1:0 --json    prints the port it got

No key is pushed: this is the tunnel alone. ssh needs a key that the instance knows already, or that
`aws ec2-instance-connect send-ssh-public-key` pushed in the last 60 seconds.

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
    /// Instance by id, Name tag, private address or workspace id
    #[arg(value_name = "INSTANCE")]
    instance: InstanceName,

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

    /// When listening, end when stdin does
    #[arg(long, requires = "listen")]
    until_stdin_closes: bool,

    /// A line for each stage of connecting, with its time
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten)]
    to: TargetArgs,
}

pub(crate) async fn run(args: TunnelArgs) -> Result<u8, Failure> {
    let mut signals = Signals::register()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot watch signals", &error))?;
    // Host keys are none of a tunnel's business.
    let connector =
        build::client_connector(&args.to.aws, &HostKeyOptions::in_memory(), ssh::Config::default())?;
    match args.listen {
        None => on_stdio(&connector, &args, &mut signals).await,
        Some(address) => {
            let progress = progress(args.verbose);
            let target = tokio::select! {
                target = args.to.locate(&connector, &args.instance, None, &progress) => target?,
                reason = signals.next() => return Ok(reason.status()),
            };
            let listener = build::listen(address).await?;
            let local = build::local_addr(&listener)?;
            announce(local, &args)?;
            let forward = Arc::new(Forward {
                connector,
                target,
                slots: Arc::new(Semaphore::new(args.max_connections.into())),
                half_close_timeout: Duration::from_secs(args.half_close_timeout),
                verbose: args.verbose,
            });
            tokio::select! {
                never = forward.serve(&listener) => never,
                reason = signals.stop(args.until_stdin_closes) => {
                    // Dropping a tunnel closes it.
                    tracing::info!(?reason, "ending");
                    Ok(exit::OK)
                }
            }
        }
    }
}

/// A line for each stage, or nothing: a listener has no one line that it could rewrite.
fn progress(verbose: bool) -> Progress {
    Progress::new(if verbose { Mode::Lines } else { Mode::Quiet })
}

/// Tells where it listens.
fn announce(address: SocketAddr, args: &TunnelArgs) -> Result<(), Failure> {
    if args.json {
        let mut ready = Ready::new("tunnel", format!("tcp://{address}"));
        ready.instance = Some(args.instance.to_string());
        ready
            .write(&mut io::stdout().lock())
            .map_err(|error| Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error))
    } else {
        super::say(&format!("eice: listening on {address}\n"));
        Ok(())
    }
}

async fn on_stdio(connector: &Connector, args: &TunnelArgs, signals: &mut Signals) -> Result<u8, Failure> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Err(Failure::new(
            exit::USAGE,
            "stdin and stdout are a terminal, and a tunnel is for a program",
        )
        .with_hint("`eice ssh` opens a shell; --listen takes connections; ssh's ProxyCommand runs this"));
    }
    let progress = Progress::new(Mode::choose(false, args.verbose));
    let opening = async {
        let target = args.to.locate(connector, &args.instance, None, &progress).await?;
        Ok::<_, Failure>(connector.open_tunnel(&target, &progress).await?)
    };
    let tunnel = tokio::select! {
        tunnel = opening => tunnel,
        reason = signals.next() => return Ok(reason.status()),
    };
    progress.clear();
    let tunnel = tunnel?;
    let stdin =
        Stdin::start().map_err(|error| Failure::because(exit::INTERNAL, "cannot read stdin", &error))?;
    let relay = relay::stdio(tunnel, stdin, tokio::io::stdout(), stdout_gone());
    let ended = tokio::select! {
        ended = relay => ended,
        reason = signals.next() => return Ok(reason.status()),
    };
    match ended {
        Ok(_) => Ok(exit::OK),
        Err(broken) => Err(failure(broken)),
    }
}

/// Waits until nobody reads our stdout any more. For a file or a terminal that is never.
async fn stdout_gone() {
    // A duplicate, because the watcher closes what it watches; not made non-blocking, because that would be
    // seen by everybody who shares the open file. Only its errors are waited for.
    let watched = io::stdout().as_fd().try_clone_to_owned().and_then(pipe::Sender::from_owned_fd_unchecked);
    if let Ok(watched) = watched
        && watched.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// A listener whose every connection is a tunnel.
struct Forward {
    connector: Arc<Connector>,
    target: InstanceTarget,
    slots: Arc<Semaphore>,
    half_close_timeout: Duration,
    verbose: bool,
}

impl Forward {
    /// Takes connections for as long as it is polled.
    async fn serve(self: Arc<Self>, listener: &TcpListener) -> Result<u8, Failure> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                (local, peer) = accept(listener) => {
                    let forward = Arc::clone(&self);
                    connections.spawn(async move { forward.connection(local, peer).await });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// One connection. What goes wrong with it is told and ends nothing else.
    async fn connection(&self, local: TcpStream, peer: SocketAddr) {
        let Ok(_slot) = self.slots.try_acquire() else {
            super::say(&format!("eice: {peer}: closed, --max-connections are open already\n"));
            return;
        };
        if let Err(failure) = self.carry(local).await {
            super::say(&format!("eice: connection from {peer} failed\n{}", failure.render()));
        }
    }

    async fn carry(&self, local: TcpStream) -> Result<(), Failure> {
        let tunnel = self.connector.open_tunnel(&self.target, &progress(self.verbose)).await?;
        relay::stream(tunnel, local, self.half_close_timeout).await.map(drop).map_err(failure)
    }
}

/// Why a relay broke, in words and with the way out.
fn failure(broken: Broken) -> Failure {
    let error = match broken {
        Broken::Local(error) => {
            return Failure::because(exit::UNAVAILABLE, "the local side broke", &error);
        }
        Broken::Tunnel(error) => error,
    };
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<CloseReason>());
    let (code, hint) = match reason {
        Some(CloseReason::Peer { reason, .. }) if reason.contains("connect to target") => (
            exit::UNAVAILABLE,
            Some(
                "check that something listens on the instance's port, that the endpoint's security group lets it \
                 out and the instance's lets it in from the endpoint",
            ),
        ),
        Some(CloseReason::DurationReached { .. }) => {
            (exit::UNAVAILABLE, Some("a tunnel lasts 3600 seconds at most; open another one"))
        }
        Some(CloseReason::PeerSilent { .. }) => {
            (exit::TIMEOUT, Some("the network between here and AWS fell silent"))
        }
        Some(CloseReason::Protocol(_)) => (exit::PROTOCOL, None),
        _ => (exit::UNAVAILABLE, None),
    };
    let failure = match reason {
        Some(reason) => Failure::new(code, format!("the tunnel broke: {reason}")),
        None => Failure::because(code, "the tunnel broke", &error),
    };
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_that_found_nobody_says_what_to_check() {
        let reason = CloseReason::Peer { code: 1011, reason: "Unable to connect to target".into() };
        let failure = failure(Broken::Tunnel(io::Error::other(reason)));
        assert_eq!(failure.code(), exit::UNAVAILABLE);
        let text = failure.render();
        assert!(text.contains("Unable to connect to target") && text.contains("security group"), "{text}");
        assert_eq!(text.matches("Unable").count(), 1, "{text}");
    }

    #[test]
    fn each_end_of_a_tunnel_has_its_exit_code() {
        let code = |reason: CloseReason| super::failure(Broken::Tunnel(io::Error::other(reason))).code();
        assert_eq!(code(CloseReason::Eof), exit::UNAVAILABLE);
        assert_eq!(code(CloseReason::PeerSilent { silence: Duration::from_secs(50) }), exit::TIMEOUT);
        let limit = Duration::from_secs(3600);
        assert_eq!(code(CloseReason::DurationReached { limit }), exit::UNAVAILABLE);
    }
}
