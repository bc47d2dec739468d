//! The `aws` shim: aws-cli v2's command lines, texts and exit codes, for the commands that a tenant image needs:
//! `ec2-instance-connect open-tunnel`, `ssh` and `send-ssh-public-key`, and `sts get-caller-identity`.
//!
//! The shim runs when the program is named `aws` (a symbolic link will do), or as `eice aws …`. `docs/aws-cli.md`
//! lists what is compatible, what differs, and how each option is handled.

mod argparse;
mod command;
mod error;
mod globals;
mod help;
mod identity;
mod open_tunnel;
mod options;
mod output;
mod paramfile;
pub(super) mod passphrase;
mod python;
mod query;
mod send_key;
mod session;
mod shorthand;
mod ssh;
mod table;
mod value;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::Args;

use super::help::{aws_help, exit_help};
use super::stop::Signals;
use command::{COMMANDS, Command, Invocation, Values};
use error::ShimError;
use globals::{GlobalArgs, Globals};

const HELP: &str = aws_help!(
    "Examples:
  ln -s eice /usr/local/bin/aws            programs that call aws now use it
  eice aws sts get-caller-identity --query Account --output text
  eice aws ec2-instance-connect send-ssh-public-key --instance-id i-0123456789abcdef0 \\
      --instance-os-user ubuntu --ssh-public-key file://key.pub
  eice aws ec2-instance-connect open-tunnel --instance-id i-0123456789abcdef0 --local-port 2222
  eice aws ec2-instance-connect ssh --instance-id i-0123456789abcdef0

`eice aws help` lists the commands and their options. The exit codes of this verb are aws-cli's and
not those below: 252 for a wrong command line, 253 for missing configuration, 254 when AWS rejects
a call, 255 for other errors, 130 after Ctrl-C; `ssh` returns the remote command's exit code."
);

/// Runs the few aws-cli v2 commands that terminals and file writing need.
///
/// Same as running this program under the name `aws`.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice aws --help` has examples, environment and exit codes.")]
pub(crate) struct AwsShimArgs {
    /// Command line of aws
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    args: Vec<OsString>,
}

impl AwsShimArgs {
    /// Returns the shim's arguments if `line` starts it: by the program's name, or by the verb.
    pub(crate) fn of(line: &[OsString]) -> Option<Self> {
        let (program, args) = line.split_first()?;
        if Path::new(program).file_name().is_some_and(|name| name == "aws") {
            return Some(Self { args: args.to_vec() });
        }
        let (verb, args) = args.split_first()?;
        // clap handles help for the verb itself.
        let is_help = args.first().is_some_and(|arg| arg == "--help" || arg == "-h");
        (verb == "aws" && !is_help).then(|| Self { args: args.to_vec() })
    }

    /// Returns whether debug logging is requested.
    pub(crate) fn is_debug(&self) -> bool {
        self.args.iter().any(|arg| arg == "--debug")
    }
}

/// The exit status after SIGINT.
const INTERRUPTED: u8 = 130;

/// A parsed command to run.
pub(crate) struct Call {
    globals: Box<Globals>,
    command: Command,
    values: Values,
}

impl AwsShimArgs {
    /// Parses the command line. Help, the version and usage errors are handled here.
    ///
    /// # Errors
    /// The exit status, if there is no command to run.
    pub(crate) fn read(&self) -> Result<Call, u8> {
        let args: Vec<String> = self.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let (globals, service, rest) = match Globals::read(&args, COMMANDS) {
            Ok(GlobalArgs::Command(globals, service, rest)) => (globals, service, rest),
            Ok(GlobalArgs::Version) => return Err(print(&format!("{}\n", help::version()))),
            Err((error, globals)) => return Err(report(&error, &globals)),
        };
        if service == "help" {
            return Err(print(&help::text(None, None)));
        }
        match command::read(&service, &rest) {
            Ok(Invocation::Run(command, values)) => Ok(Call { globals, command, values }),
            Ok(Invocation::Help(command)) => Err(print(&help::text(Some(&service), command))),
            Err(error) => Err(report(&error, &globals)),
        }
    }
}

impl Call {
    /// Runs the command and returns the exit status; errors are reported on stderr.
    pub(crate) async fn run(self) -> u8 {
        let status = match self.make().await {
            Ok(status) => status,
            Err(error) => report(&error, &self.globals),
        };
        if status == INTERRUPTED && io::stdout().is_terminal() {
            print("\n");
        }
        status
    }

    async fn make(&self) -> Result<u8, ShimError> {
        let Self { globals, command, values } = self;
        let mut signals = Signals::register()
            .map_err(|error| ShimError::general(format!("cannot watch signals: {error}")))?;
        let signals = &mut signals;
        match command {
            Command::OpenTunnel => open_tunnel::run(globals, values, signals).await,
            Command::Ssh => ssh::run(globals, values, signals).await,
            Command::SendSshPublicKey => until_signal(signals, send_key::run(globals, values)).await,
            Command::GetCallerIdentity => until_signal(signals, identity::run(globals)).await,
        }
    }
}

async fn until_signal(
    signals: &mut Signals,
    work: impl Future<Output = Result<u8, ShimError>>,
) -> Result<u8, ShimError> {
    tokio::select! {
        done = work => done,
        reason = signals.next() => Ok(reason.status()),
    }
}

/// Writes to stdout and returns success; a closed stdout is ignored.
fn print(text: &str) -> u8 {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    0
}

/// Reports `error` on stderr and returns the exit status.
fn report(error: &ShimError, globals: &Globals) -> u8 {
    let text = error.render(globals.error_format(), globals.color() && io::stderr().is_terminal());
    let _ = io::stderr().lock().write_all(text.as_bytes());
    error.status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shim_starts_by_name_or_verb() {
        let of = |line: &[&str]| {
            let line: Vec<OsString> = line.iter().map(OsString::from).collect();
            AwsShimArgs::of(&line).map(|args| args.args.len())
        };
        assert_eq!(of(&["aws", "sts"]), Some(1));
        assert_eq!(of(&["/usr/local/bin/aws"]), Some(0));
        assert_eq!(of(&["eice", "aws", "--version"]), Some(1));
        assert_eq!(of(&["eice", "aws", "--help"]), None);
        assert_eq!(of(&["eice", "ssh", "aws"]), None);
        assert_eq!(of(&["awsx", "sts"]), None);
        assert_eq!(of(&[]), None);
    }
}
