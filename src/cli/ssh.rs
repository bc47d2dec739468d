//! `eice ssh`: a terminal, or one command, on an instance.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use clap::Args;
use tokio_util::task::AbortOnDropHandle;

use super::client_args::{ClientArgs, ContainerArgs};
use super::exit;
use super::failure::Failure;
use super::forward::{Agent, ForwardArgs, Forwards, Listeners};
use super::help::{aws_help, exit_help};
use super::interactive::{self, End};
use super::ready::Ready;
use super::stdin::Stdin;
use super::stop::Signals;
use super::target::Destination;
use crate::model::{Host, Shell};

const HELP: &str = aws_help!(
    "Examples:
  eice ssh i-0123456789abcdef0                     the login shell, as ec2-user
  eice ssh ubuntu@i-0123456789abcdef0 -- df -h /   one command; its status becomes ours
  eice ssh i-0123456789abcdef0 -- tar c /etc | tar x   lossless, stdout and stderr apart
  eice ssh -t i-0123456789abcdef0 -- top           a command that needs a terminal
  eice ssh i-0123456789abcdef0 --container web     a shell in a container of the instance
  eice ssh web-1                                   by Name tag; also by private address or workspace id
  eice ssh -N -L 5432:db.internal:5432 web-1       a port here becomes one that the instance reaches
  eice ssh -N -L 2375:/run/docker.sock web-1       or a Unix socket there
  eice ssh -R 8080:localhost:3000 web-1            a port there becomes one that we reach
  eice ssh -N -D 1080 web-1                        a SOCKS proxy; names are resolved on the instance

What AWS must allow: ec2:DescribeInstances, ec2:DescribeInstanceConnectEndpoints,
ec2-instance-connect:SendSSHPublicKey on the instance and ec2-instance-connect:OpenTunnel on the
endpoint. A tunnel ends after 3600 seconds at the latest; that is the service's limit.

In an interactive terminal, at the start of a line, `~.` ends the connection (exit code 255), `~^Z`
(tilde, Ctrl-Z) suspends eice, `~#` lists the forwards, `~?` the escapes, and `~~` sends a tilde.

A terminal is asked for when the login shell runs and stdin is a terminal; for a command, -t asks
for one. A terminal has no end of input, so -t is ignored when stdin is no terminal, as in ssh; -tt
insists, and then the remote side must end on its own.

Forwarding. Listeners are on the loopback unless BIND says otherwise: an address, `*` or nothing
before the colon for every one; an IPv6 address is in brackets. (On the instance that is sshd's
GatewayPorts to allow.) A listener that cannot be had is an error, as with ssh's ExitOnForwardFailure.
At most 256 connections are forwarded at once. They go by SSH connections of their own, so that the
terminal never waits for them: one to four more tunnels, the first when it is needed. A connection
whose client does not read is held back and loses nothing, but may hold up others that share its
tunnel; new ones then take another. When the shell or command has ended, eice waits for the forwarded
connections that are still open; Ctrl-C ends them.

With -A, root on the instance can use the keys of your agent for as long as you are connected."
);

/// Opens a shell, or runs one command, on an instance.
///
/// A key is made in memory, pushed with SendSSHPublicKey (AWS keeps it for 60 seconds) and used once, through a
/// tunnel of an EC2 Instance Connect Endpoint. The instance needs no public address.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice ssh --help` has examples, environment and exit codes.")]
pub(crate) struct SshArgs {
    /// Instance by id, Name tag, private address or workspace id; the login name before it, else ec2-user
    #[arg(value_name = "[USER@]INSTANCE")]
    destination: Destination,

    /// Command to run instead of the login shell; joined by spaces and given to the remote shell, as ssh does
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,

    #[command(flatten)]
    container: ContainerArgs,

    /// Ask for a terminal even with a command; twice, even when stdin is no terminal
    #[arg(short = 't', long, action = clap::ArgAction::Count, overrides_with = "no_tty")]
    tty: u8,

    /// Never ask for a terminal
    #[arg(short = 'T', long, overrides_with = "tty")]
    no_tty: bool,

    #[command(flatten)]
    client: ClientArgs,

    #[command(flatten)]
    forwards: ForwardArgs,

    /// No command and no shell: forward only, until a signal or until the connection ends
    #[arg(short = 'N', long, help_heading = "Forwarding", conflicts_with_all = ["command", "container", "tty", "agent"])]
    no_command: bool,

    /// With -N, print one line of JSON on stdout when everything listens
    #[arg(long, requires = "no_command", help_heading = "Forwarding")]
    json: bool,

    /// Let what runs there use the ssh-agent of this side, at SSH_AUTH_SOCK
    #[arg(short = 'A', long = "forward-agent", help_heading = "Forwarding", conflicts_with = "container")]
    agent: bool,
}

pub(crate) async fn run(args: SshArgs) -> Result<u8, Failure> {
    // Before the first connection, so that a signal closes what is open instead of leaving it behind.
    let mut signals = Signals::register()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot watch signals", &error))?;
    let shell = args.shell()?;
    let listeners = args.forwards.listen().await?;
    if args.no_command {
        return forward_only(&args, listeners, &mut signals).await;
    }
    let agent = if args.agent { Some(Agent::of_environment().await?) } else { None };
    let pty = args.wants_pty();
    interactive::warn_of_no_terminal(args.tty, pty, args.client.quiet);
    let connector = args.client.connector(interactive::tuning(pty))?;
    let progress = args.client.progress();

    let connecting = async {
        let target = args.client.locate(&connector, &args.destination, &progress).await?;
        let forwarding = async {
            if args.forwards.is_empty() {
                return Ok(None);
            }
            let connector = Arc::new(connector.with_ssh_config(crate::ssh::Config::forwards()));
            let target = target.clone();
            let starting = Forwards::start(listeners, connector, target, false, args.client.quiet, &|_| {});
            starting.await.map(Some)
        };
        let opening = async {
            let mut target = target.clone();
            if let Some(shell) = shell {
                target.shell = shell;
            }
            let host = connector.connect_ssh(&target, &progress).await?;
            let agent =
                agent.map(|agent| AbortOnDropHandle::new(tokio::spawn(agent.serve(host.offer_agent()))));
            let terminal = host.open(&interactive::request(pty), &progress).await?;
            Ok::<_, Failure>((host, terminal, agent))
        };
        futures_util::future::try_join(opening, forwarding).await
    };
    let connected = tokio::select! {
        connected = connecting => connected,
        reason = signals.next() => {
            progress.clear();
            return Ok(reason.status());
        }
    };
    progress.clear();
    let ((host, terminal, _agent), forwards) = connected?;

    let end = if pty && io::stdin().is_terminal() {
        let listing = forwards.as_ref().map(Forwards::listing).unwrap_or_default();
        interactive::with_tty(terminal, &mut signals, listing).await
    } else {
        interactive::with_pipes(terminal, Stdin::start(), &mut signals).await
    };
    host.close().await;
    if let Some(mut forwards) = forwards {
        if matches!(end, Ok(End::Exit(_))) {
            drain(&mut forwards, args.client.quiet, &mut signals).await;
        }
        forwards.close().await;
    }
    let end = end.map_err(|error| interactive::lost(&error))?;
    if end == End::Disconnected {
        super::say("eice: disconnected\n");
    }
    Ok(end.status())
}

/// Waits for the forwarded connections that outlive the shell, as ssh does, or for a signal.
pub(crate) async fn drain(forwards: &mut Forwards, is_quiet: bool, signals: &mut Signals) {
    let open = forwards.open();
    if open > 0 && !is_quiet {
        super::say(&format!(
            "eice: forwarded connections are still open ({open}); waiting for them, Ctrl-C ends them\n"
        ));
    }
    tokio::select! {
        () = forwards.drain() => {}
        _ = signals.next() => {}
    }
}

/// Runs `-N`.
async fn forward_only(args: &SshArgs, listeners: Listeners, signals: &mut Signals) -> Result<u8, Failure> {
    if args.forwards.is_empty() {
        return Err(Failure::new(exit::USAGE, "-N runs nothing, and nothing is forwarded")
            .with_hint("-L, -R or -D says what to forward"));
    }
    let connector = args.client.connector(crate::ssh::Config::forwards())?;
    let progress = args.client.progress();
    let starting = async {
        let target = args.client.locate(&connector, &args.destination, &progress).await?;
        Forwards::start(listeners, Arc::clone(&connector), target, true, args.client.quiet, &progress).await
    };
    let started = tokio::select! {
        started = starting => started,
        reason = signals.next() => {
            progress.clear();
            return Ok(reason.status());
        }
    };
    progress.clear();
    let forwards = started?;
    if args.json {
        let mut ready = Ready::new("ssh", "");
        ready.instance = Some(args.destination.instance.to_string());
        ready.forwards.clone_from(&forwards.announced);
        ready
            .write(&mut io::stdout().lock())
            .map_err(|error| Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error))?;
    }
    let end = tokio::select! {
        reason = signals.next() => Ok(reason.status()),
        why = forwards.lost() => {
            let why = why.unwrap_or_else(|| "the remote side closed it".to_owned());
            Err(Failure::new(exit::UNAVAILABLE, format!("the connection was lost: {why}")))
        }
    };
    forwards.close().await;
    end
}

impl SshArgs {
    /// Returns whether to request a PTY, by ssh's rules: for the login shell at a terminal, unless a flag overrides it.
    fn wants_pty(&self) -> bool {
        match self.tty {
            0 => !self.no_tty && self.command.is_empty() && io::stdin().is_terminal(),
            1 => io::stdin().is_terminal(),
            _ => true,
        }
    }

    /// Returns what to run; `None` is the target's default.
    fn shell(&self) -> Result<Option<Shell>, Failure> {
        let command = (!self.command.is_empty()).then(|| self.command.join(" "));
        match (self.container.shell()?, command) {
            (None, None) => Ok(None),
            (None, Some(command)) => Ok(Some(Shell::Command(command))),
            (Some(container), None) => Ok(Some(Shell::Container(container))),
            (Some(_), Some(_)) => {
                Err(Failure::new(exit::USAGE, "--container opens a shell and takes no command")
                    .with_hint("`eice exec INSTANCE --container NAME -- COMMAND` runs one in a container"))
            }
        }
    }
}
