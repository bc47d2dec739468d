//! `eice host-keys`: the pinned host keys.
//!
//! Without network access, so the verb runs without a runtime: ssh calls `export` for each connection.

mod export;
mod forget;
mod import;
mod list;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::build;
use super::exit;
use super::failure::Failure;
use super::help::exit_help;
use crate::ssh::host_keys::{FileHostKeys, HostKeyScope, StoreError};

const HELP: &str = concat!(
    "Examples:
  eice host-keys list                              what is pinned, and how it came here
  eice host-keys forget i-0123456789abcdef0        after its host keys were changed on purpose
  eice host-keys import ~/.ssh/known_hosts         pin what OpenSSH knows by instance id
  ssh-keyscan 10.0.1.23 | eice host-keys import - --map 10.0.1.23=i-0123456789abcdef0
  eice host-keys export > known_hosts              for ssh -o UserKnownHostsFile=…, by instance id
  ssh -o KnownHostsCommand='/usr/bin/eice host-keys export %H' …

Environment:
  EICE_HOST_KEYS           the file, as --host-keys
  XDG_STATE_HOME           where it is by default: eice/host_keys.json in it, else in
                           ~/.local/state
  AWS_REGION, AWS_DEFAULT_REGION  the region of imported keys, as --region
  EICE_LOG                 what to log, as --log

",
    exit_help!()
);

/// Lists, forgets, imports and exports pinned host keys.
///
/// Keys are pinned by partition, account, region and instance id, never by address.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice host-keys --help` has examples, environment and exit codes.")]
pub(crate) struct HostKeysArgs {
    /// Where host keys are kept; else $XDG_STATE_HOME/eice/host_keys.json
    #[arg(long, value_name = "FILE", env = "EICE_HOST_KEYS", global = true)]
    host_keys: Option<PathBuf>,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::ListArgs),
    Forget(forget::ForgetArgs),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
}

pub(crate) fn run(args: HostKeysArgs) -> Result<u8, Failure> {
    let store = build::host_key_file(args.host_keys)?;
    match args.action {
        Action::List(args) => list::run(&args, &store),
        Action::Forget(args) => forget::run(&args, &store),
        Action::Import(args) => import::run(&args, &store),
        Action::Export(args) => export::run(&args, &store),
    }
}

/// Converts an error of the store.
fn unusable(error: StoreError) -> Failure {
    Failure::because(exit::code(error.fault()), "the store of host keys cannot be used", &error)
}

/// Writes `text` to stdout. A closed stdout is no error.
fn print(text: &str) -> Result<u8, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error))
        }
        _ => Ok(exit::OK),
    }
}

/// A name for pinned keys: an instance, or one of its scopes.
#[derive(Clone, Debug)]
enum Name {
    Instance(eice_proto::InstanceId),
    Scope(HostKeyScope),
}

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return text.parse().map(Self::Scope).map_err(|error| format!("{text:?} is {error}"));
        }
        text.parse().map(Self::Instance).map_err(|error: eice_proto::id::InvalidId| error.to_string())
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Instance(instance) => instance.fmt(f),
            Self::Scope(scope) => scope.fmt(f),
        }
    }
}

impl Name {
    fn means(&self, scope: &HostKeyScope) -> bool {
        match self {
            Self::Instance(instance) => scope.instance() == instance,
            Self::Scope(own) => scope == own,
        }
    }
}

/// Returns the path of `store`, for a message.
fn place(store: &FileHostKeys) -> String {
    store.path().display().to_string()
}
