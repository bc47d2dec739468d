//! `eice exec`: one command on an instance or in a container of it, for scripts.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::client_args::{ClientArgs, ContainerArgs};
use super::exit;
use super::failure::Failure;
use super::forward::Listing;
use super::help::{aws_help, exit_help};
use super::interactive::{self, End};
use super::stdin::Stdin;
use super::stop::{Signals, StopReason};
use super::target::Destination;
use crate::docker::quote;
use crate::model::{Exit, Host, HostIds, Shell};

const HELP: &str = aws_help!(
    "Examples:
  eice exec i-0123456789abcdef0 -- printf '%s\\n' 'a b' '$HOME'   two lines: a b, and $HOME
  eice exec i-0123456789abcdef0 --shell -- 'df -h / | tail -n1'  a line for the remote shell
  eice exec ubuntu@web-1 -- tar c /etc >etc.tar                  every byte, stderr apart
  eice exec web-1 --container app -- python3 -m site             in a container of the instance
  eice exec web-1 -n --timeout 60 --json result.json -- ./check  from a script
  eice exec -t web-1 -- top                                      on a terminal, as `eice ssh -t`

The words behind `--` are a program and its arguments: each is passed unchanged, whatever is in it,
as with execve(2). `eice ssh` does as ssh does and joins them with spaces for the remote shell to
read again; --shell does that here. In a container there is no shell in between; with --shell it is
the container's sh.

stdin, stdout and stderr pass unchanged and apart; a slow reader slows the other end down.
With --container nothing of the command stays behind in the container, however this ends; the image
needs sh.

--json FILE (or /dev/fd/3, /dev/stderr) gets one line when all is over:
  {\"instance\",\"user\",\"status\",\"exit\",\"signal\",\"connect_ms\",\"command_ms\",
   \"key_push_request_id\",\"tunnel_request_id\",\"error\":{\"code\",\"message\",\"hint\",…}|null}
`exit` and `signal` are the command's own, and both are null when it did not come to its end: that
is how a script can distinguish the command's 69 from ours, which has an `error`."
);

/// Runs a command on an instance, with the command's exit status as its own.
///
/// stdin, stdout and stderr are the command's, byte for byte; there is no terminal unless -t asks for one.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice exec --help` has examples, environment and exit codes.")]
pub(crate) struct ExecArgs {
    /// Instance by id, Name tag, private address or workspace id; the login name before it, else ec2-user
    #[arg(value_name = "[USER@]INSTANCE")]
    destination: Destination,

    /// Program and arguments, each passed on unchanged
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,

    /// Join the words with spaces and let the remote shell read them, as ssh does
    #[arg(long)]
    shell: bool,

    #[command(flatten)]
    container: ContainerArgs,

    /// Ask for a terminal, when stdin is one; twice, even when it is none
    #[arg(short = 't', long, action = clap::ArgAction::Count, conflicts_with = "no_stdin")]
    tty: u8,

    /// Give the command no input
    #[arg(short = 'n', long)]
    no_stdin: bool,

    /// End everything after so long, connecting included, with exit code 75
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=MAX_TIMEOUT_SECS))]
    timeout: Option<u64>,

    /// Write how it ended to this file, as one line of JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    #[command(flatten)]
    client: ClientArgs,
}

/// The longest timeout, in seconds: a day. A tunnel lasts an hour at most.
const MAX_TIMEOUT_SECS: u64 = 86_400;

pub(crate) async fn run(args: ExecArgs) -> Result<u8, Failure> {
    let deadline = args.timeout.map(|secs| tokio::time::Instant::now() + Duration::from_secs(secs));
    let signals = Signals::register()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot watch signals", &error))?;
    let mut signals = signals.until(deadline);
    let mut report = match &args.json {
        // Opened before anything runs: a result that cannot be written must not go unnoticed.
        Some(path) => Some(open_report(path).map_err(|error| {
            Failure::because(exit::USAGE, format!("cannot write {}", path.display()), &error)
        })?),
        None => None,
    };
    let mut run = RunReport::default();
    let result = match execute(&args, &mut signals, &mut run).await {
        Ok(End::Stopped(StopReason::Deadline)) => Err(args.timed_out()),
        result => result,
    };
    if let Some(file) = &mut report {
        let line = run.line(&result);
        file.write_all(line.as_bytes())
            .map_err(|error| Failure::because(exit::UNAVAILABLE, "cannot write the result", &error))?;
    }
    result.map(|end| end.status())
}

/// Opens the file for the result. A descriptor such as `/dev/stderr` may be a log file and is appended to.
fn open_report(path: &Path) -> io::Result<File> {
    if path.starts_with("/dev") || path.starts_with("/proc") {
        return File::options().append(true).open(path);
    }
    File::create(path)
}

/// What is known about a run, for its JSON line.
#[derive(Debug, Default)]
struct RunReport {
    instance: Option<String>,
    user: Option<String>,
    ids: HostIds,
    connect: Option<Duration>,
    command: Option<Duration>,
}

impl RunReport {
    fn line(&self, result: &Result<End, Failure>) -> String {
        let (mut code, mut signal) = (None, None);
        match result {
            Ok(End::Exit(Exit::Code(status))) => code = Some(*status),
            Ok(End::Exit(Exit::Signal { name, .. })) => signal = Some(name.as_str()),
            _ => {}
        }
        let (status, error) = match result {
            Ok(end) => (end.status(), None),
            Err(failure) => (failure.code(), Some(failure.to_json())),
        };
        let ms =
            |time: Option<Duration>| time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let line = json!({
            "instance": self.instance,
            "user": self.user,
            "status": status,
            "exit": code,
            "signal": signal,
            "connect_ms": ms(self.connect),
            "command_ms": ms(self.command),
            "key_push_request_id": self.ids.key_push,
            "tunnel_request_id": self.ids.tunnel,
            "error": error,
        });
        format!("{line}\n")
    }
}

async fn execute(args: &ExecArgs, signals: &mut Signals, run: &mut RunReport) -> Result<End, Failure> {
    let shell = args.command()?;
    let pty = args.wants_pty();
    interactive::warn_of_no_terminal(args.tty, pty, args.client.quiet);
    let connector = args.client.connector(interactive::tuning(pty))?;
    let progress = args.client.progress();
    let mut request = interactive::request(pty);
    request.shell = Some(shell);

    let began = Instant::now();
    let connecting = async {
        let target = args.client.locate(&connector, &args.destination, &progress).await?;
        run.instance = Some(target.instance.to_string());
        run.user = Some(target.os_user.to_string());
        let host = connector.connect_ssh(&target, &progress).await?;
        run.ids = host.ids();
        let terminal = host.open(&request, &progress).await?;
        Ok::<_, Failure>((host, terminal))
    };
    let connected = tokio::select! {
        connected = connecting => connected,
        reason = signals.next() => {
            progress.clear();
            return Ok(End::Stopped(reason));
        }
    };
    progress.clear();
    let (host, terminal) = connected?;
    run.connect = Some(began.elapsed());

    let began = Instant::now();
    let end = if pty && io::stdin().is_terminal() {
        interactive::with_tty(terminal, signals, Listing::default()).await
    } else {
        let stdin = if args.no_stdin { Stdin::nothing() } else { Stdin::start() };
        interactive::with_pipes(terminal, stdin, signals).await
    };
    run.command = Some(began.elapsed());
    host.close().await;
    end.map_err(|error| interactive::lost(&error))
}

impl ExecArgs {
    fn wants_pty(&self) -> bool {
        self.tty > 1 || (self.tty == 1 && io::stdin().is_terminal())
    }

    /// Returns what to run.
    fn command(&self) -> Result<Shell, Failure> {
        let words = || self.command.iter();
        Ok(match (self.container.shell()?, self.shell) {
            (None, true) => Shell::Command(self.command.join(" ")),
            (None, false) => {
                let quoted: Result<Vec<_>, _> = words().map(|word| quote(word)).collect();
                Shell::Command(
                    quoted.map_err(|e| Failure::because(exit::USAGE, "bad command", &e))?.join(" "),
                )
            }
            (Some(container), true) => {
                let line = self.command.join(" ");
                Shell::Container(container.running(["sh", "-c", line.as_str()]))
            }
            (Some(container), false) => Shell::Container(container.running(words().cloned())),
        })
    }

    fn timed_out(&self) -> Failure {
        let secs = self.timeout.unwrap_or_default();
        Failure::new(exit::TIMEOUT, format!("it did not end within {secs} s and was ended"))
            .with_hint("--timeout gives it more; what it started in a session of its own may go on")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ExecArgs,
    }

    fn command(words: &[&str]) -> Shell {
        let line = ["eice", "i-1"].iter().chain(words).copied();
        Line::try_parse_from(line).unwrap().args.command().unwrap()
    }

    #[test]
    fn args_stay_separate_unless_shell() {
        let line = |text: &str| Shell::Command(text.to_owned());
        assert_eq!(command(&["--", "printf", "%s", "a b", ""]), line("printf '%s' 'a b' ''"));
        assert_eq!(command(&["--", "-x", "$HOME", "it's"]), line(r"-x '$HOME' 'it'\''s'"));
        assert_eq!(command(&["--shell", "--", "df -h", "|", "tail"]), line("df -h | tail"));
    }

    #[test]
    fn container_gets_args_verbatim() {
        let Shell::Container(shell) =
            command(&["--container", "web", "--engine", "sudo -n docker", "--", "a b", "c"])
        else {
            panic!("no container");
        };
        assert_eq!(shell.command, Some(vec!["a b".to_owned(), "c".to_owned()]));
        assert_eq!(shell.engine, ["sudo", "-n", "docker"]);
        let Shell::Container(shell) = command(&["--container", "web", "--shell", "--", "a b", "c"]) else {
            panic!("no container");
        };
        assert_eq!(shell.command.unwrap(), ["sh", "-c", "a b c"]);
    }

    #[test]
    fn json_separates_command_status() {
        let value = |result: &Result<End, Failure>| -> serde_json::Value {
            serde_json::from_str(&RunReport::default().line(result)).unwrap()
        };
        let own = value(&Ok(End::Exit(Exit::Code(69))));
        assert_eq!((&own["status"], &own["exit"], &own["error"]), (&69.into(), &69.into(), &().into()));
        let ours = value(&Err(Failure::new(exit::UNAVAILABLE, "no way")));
        assert_eq!((&ours["status"], &ours["exit"]), (&69.into(), &serde_json::Value::Null));
        assert_eq!(ours["error"]["message"], "no way");
        let killed = value(&Ok(End::Exit(Exit::Signal { name: "KILL".into(), core_dumped: false })));
        assert_eq!((&killed["status"], &killed["signal"]), (&137.into(), &"KILL".into()));
        assert_eq!(value(&Ok(End::Stopped(StopReason::Terminate)))["status"], 143);
    }
}
