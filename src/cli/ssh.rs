//! `eice ssh`: a terminal, or one command, on an instance.

use std::io::{self, IsTerminal};

use clap::Args;

use super::client_args::{ClientArgs, ContainerArgs};
use super::exit;
use super::failure::Failure;
use super::help::{aws_help, exit_help};
use super::interactive::{self, End};
use super::stdin::Stdin;
use super::stop::Signals;
use super::target::Destination;
use crate::terminal::{Host, Shell};

const HELP: &str = aws_help!(
    "Examples:
  eice ssh i-0123456789abcdef0                     the login shell, as ec2-user
  eice ssh ubuntu@i-0123456789abcdef0 -- df -h /   one command; its status becomes ours
  eice ssh i-0123456789abcdef0 -- tar c /etc | tar x   lossless, stdout and stderr apart
  eice ssh -t i-0123456789abcdef0 -- top           a command that needs a terminal
  eice ssh i-0123456789abcdef0 --container web     a shell in a container of the instance
  eice ssh web-1                                   by Name tag; also by private address or workspace id

What AWS must allow: ec2:DescribeInstances, ec2:DescribeInstanceConnectEndpoints,
ec2-instance-connect:SendSSHPublicKey on the instance and ec2-instance-connect:OpenTunnel on the
endpoint. A tunnel ends after 3600 seconds at the latest; that is the service's limit.

In an interactive terminal, at the start of a line, `~.` ends the connection (exit code 255), `~^Z`
(tilde, Ctrl-Z) suspends eice, and `~~` sends a tilde.

A terminal is asked for when the login shell runs and stdin is a terminal; for a command, -t asks
for one. A terminal has no end of input, so -t is ignored when stdin is no terminal, as in ssh; -tt
insists, and then the remote side must end by itself."
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
}

pub(crate) async fn run(args: SshArgs) -> Result<u8, Failure> {
    // Before the first connection: a signal from here on ends what is open instead of leaving it behind.
    let mut signals = Signals::register()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot watch signals", &error))?;
    let shell = args.shell()?;
    let pty = args.wants_pty();
    if args.tty == 1 && !pty && !args.client.quiet {
        super::say("eice: no terminal is asked for, because stdin is none; -tt insists\n");
    }
    // A terminal wants a short way from Ctrl-C to silence, a copy a long one.
    let tuning = if pty { crate::ssh::Config::default() } else { crate::ssh::Config::bulk() };
    let connector = args.client.connector(tuning)?;
    let progress = args.client.progress();

    let connecting = async {
        let mut target = args.client.locate(&connector, &args.destination, &progress).await?;
        if let Some(shell) = shell {
            target.shell = shell;
        }
        let host = connector.connect_ssh(&target, &progress).await?;
        let terminal = host.open(&interactive::request(pty), &progress).await?;
        Ok::<_, Failure>((host, terminal))
    };
    let connected = tokio::select! {
        connected = connecting => connected,
        reason = signals.next() => {
            progress.clear();
            return Ok(reason.status());
        }
    };
    progress.clear();
    let (host, terminal) = connected?;

    let end = if pty && io::stdin().is_terminal() {
        interactive::with_tty(terminal, &mut signals).await
    } else {
        match Stdin::start() {
            Ok(stdin) => interactive::with_pipes(terminal, stdin, &mut signals).await,
            Err(error) => Err(error),
        }
    };
    host.close().await;
    let end = end.map_err(|error| interactive::lost(&error))?;
    if end == End::Disconnected {
        super::say("eice: disconnected\n");
    }
    Ok(end.status())
}

impl SshArgs {
    /// A terminal when the login shell runs and a person sits at one, unless told otherwise. The rules are ssh's.
    fn wants_pty(&self) -> bool {
        match self.tty {
            0 => !self.no_tty && self.command.is_empty() && io::stdin().is_terminal(),
            1 => io::stdin().is_terminal(),
            _ => true,
        }
    }

    /// What is asked to run; `None` is what the target says by itself.
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
