//! `eice push-key`: pushes a public key, which can log in for a minute.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use eice_proto::Timestamp;
use serde_json::json;

use super::build::{self, HostKeyOptions};
use super::exit;
use super::failure::Failure;
use super::help::{aws_help, exit_help};
use super::progress::{Mode, Progress};
use super::pushable_key;
use super::stop::Signals;
use super::target::{AwsArgs, Destination, TargetArgs, WorkspaceArgs};
use crate::connect::PUSHED_KEY_LIFETIME;
use crate::model::OsUser;
use crate::ssh;

const HELP: &str = aws_help!(
    "Examples:
  eice push-key ubuntu@i-0123456789abcdef0              ~/.ssh/id_ed25519.pub, else id_rsa.pub
  eice push-key i-0123456789abcdef0 --key work.pub      for ec2-user
  ssh-keygen -y -f work | eice push-key web-1 --key -   from stdin
  eice push-key web-1 --agent --json                    the first key of ssh-agent

Within 60 seconds: ssh -o ProxyCommand='eice tunnel %n' ubuntu@i-0123456789abcdef0

`eice ssh` needs no key of yours, and neither does OpenSSH with what `eice ssh-config` prints.

Ed25519 and RSA keys are taken, in OpenSSH's form; a private key given by mistake is refused and not
sent. What AWS must allow: ec2-instance-connect:SendSSHPublicKey on the instance, and
ec2:DescribeInstances where the instance is not named by its id.

--json prints {\"instance\",\"os_user\",\"fingerprint\",\"expires_at\",\"request_id\"} on stdout."
);

/// Pushes a public key to an instance: the holder of the private half may log in for 60 seconds.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice push-key --help` has examples, environment and exit codes.")]
pub(crate) struct PushKeyArgs {
    /// Instance by id, Name tag, private address or workspace id; the login name before it, else ec2-user
    #[arg(value_name = "[USER@]INSTANCE")]
    destination: Destination,

    /// Public key to push, `-` for stdin; else ~/.ssh/id_ed25519.pub or id_rsa.pub
    #[arg(long, value_name = "FILE.pub", conflicts_with = "agent")]
    key: Option<PathBuf>,

    /// Push the first key of ssh-agent instead
    #[arg(long)]
    agent: bool,

    /// Login name
    #[arg(long, short = 'l', value_name = "USER")]
    os_user: Option<OsUser>,

    /// Print one line of JSON on stdout
    #[arg(long)]
    json: bool,

    /// A line for each stage, with its time
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten)]
    aws: AwsArgs,

    #[command(flatten)]
    workspaces: WorkspaceArgs,
}

pub(crate) async fn run(args: PushKeyArgs) -> Result<u8, Failure> {
    let mut signals = Signals::register()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot watch signals", &error))?;
    tokio::select! {
        pushed = push(args) => pushed.map(|()| exit::OK),
        reason = signals.next() => Ok(reason.status()),
    }
}

async fn push(args: PushKeyArgs) -> Result<(), Failure> {
    // The key first: AWS is not called for an invalid one.
    let key = match &args.key {
        _ if args.agent => pushable_key::of_agent().await?,
        Some(file) => pushable_key::from_file(file)?,
        None => pushable_key::usual()?,
    };
    let to = TargetArgs { aws: args.aws, workspaces: args.workspaces, ..TargetArgs::default() };
    let connector = build::client_connector(&to.aws, &HostKeyOptions::in_memory(), ssh::Config::default())?;
    let progress = Progress::new(Mode::choose(false, args.verbose));
    let user = args.destination.login(args.os_user.as_ref())?;
    let pushing = async {
        let target = to.locate(&connector, &args.destination.instance, user, &progress).await?;
        let now = SystemTime::now();
        let pushed = connector.push_key(&target, key.as_str(), &progress).await?;
        Ok::<_, Failure>((target, pushed, Timestamp::from(now + PUSHED_KEY_LIFETIME)))
    };
    let pushed = pushing.await;
    progress.clear();
    let (target, pushed, expires) = pushed?;
    let (instance, user, fingerprint) = (&target.instance, &target.os_user, key.fingerprint());
    let line = if args.json {
        let said = json!({
            "instance": instance.as_str(),
            "os_user": user.as_str(),
            "fingerprint": fingerprint,
            "expires_at": expires.rfc3339(),
            "request_id": pushed.request_id,
        });
        format!("{said}\n")
    } else {
        format!("{fingerprint} may log in to {instance} as {user} until {}\n", expires.rfc3339())
    };
    io::stdout()
        .lock()
        .write_all(line.as_bytes())
        .map_err(|error| Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error))
}
