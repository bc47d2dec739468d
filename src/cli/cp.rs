//! `eice cp`: files to and from an instance or a container of it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::client_args::{ClientArgs, ContainerArgs};
use super::copy_progress::CopyProgress;
use super::cp_paths::{Route, route};
use super::exit;
use super::failure::Failure;
use super::help::{aws_help, exit_help};
use super::stdin::Stdin;
use super::stop::{Signals, StopReason};
use super::target::Destination;
use crate::files::{Attributes, Copied, CopyOptions, FileMode, Files, TransferError};
use crate::model::{Host, HostIds};

const HELP: &str = aws_help!(
    "Examples:
  eice cp app.conf i-0123456789abcdef0:/opt/app/       into a folder, which is made if it is missing
  eice cp ubuntu@web-1:/var/log/syslog .               the other way
  eice cp -r -p site web-1:/srv/www                    a folder, with modes and times
  eice cp web-1:a.log web-1:b.log logs/                several files over one connection
  pg_dump app | eice cp - web-1:/backup/app.sql        a pipe; the file is there when it is whole
  eice cp web-1:/etc/hosts - | grep db                 to stdout
  eice cp conf.json web-1:/app/ --container app        into a container, by docker exec

A path with a colon before any slash is on an instance, as for scp; ./a:b is a file of this machine,
[fd00::1]:x an IPv6 address, `-` stdin or stdout. A path that is not absolute begins in the home
folder (in a container: in its working directory).

Where to: into the destination if that is a folder, if it ends in a slash, or if there are several
sources; else it is the name of the copy. Folders that are missing are made. DIR/. stands for what
is in DIR. Symbolic links that are named are followed; links, sockets, pipes and devices inside a
folder are skipped, and reported.

Every file is written under another name next to its target, compared by size and SHA-256 at the far
end, and then renamed: the target is whole or as it was, whatever breaks on the way. What has
arrived of a large file (128 KiB and more) stays as .NAME.eice-part; run the same command again, and
it goes on from there. A link at the destination is replaced, not followed.

--json prints one line on stdout:
  {\"status\",\"files\",\"folders\",\"bytes\",\"resumed_at\",\"skipped\",\"failed\",\"duration_ms\",…,\"error\"}
The instance needs sh, and coreutils or busybox; no sftp."
);

/// Copies files to and from an instance, whole or not at all.
///
/// One side is this machine, the other INSTANCE:PATH, with USER@ before it or not. All files share one connection.
#[derive(Args, Debug)]
#[command(
    after_long_help = HELP,
    after_help = "`eice cp --help` has examples, environment and exit codes.",
    override_usage = "eice cp [OPTIONS] SRC… DST",
    mut_arg("port", |arg| arg.short('P')),
)]
pub(crate) struct CpArgs {
    /// Sources, then the destination: paths, INSTANCE:PATH with USER@ before it or not, or - for a pipe
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    paths: Vec<OsString>,

    /// Copy folders and what is in them
    #[arg(short, long)]
    recursive: bool,

    /// Keep modes and modification times
    #[arg(short = 'p', long)]
    preserve: bool,

    /// Print what was done as one line of JSON on stdout
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    container: ContainerArgs,

    #[command(flatten)]
    client: ClientArgs,
}

/// The mode of a file written from a pipe, before the umask.
const PIPED_MODE: u32 = 0o666;

/// The exit status of a process ended by SIGPIPE, as a shell reports it.
const STDOUT_CLOSED: u8 = 128 + 13;

/// The most failures that are printed individually.
const MAX_PRINTED: usize = 20;

pub(crate) async fn run(args: CpArgs) -> Result<u8, Failure> {
    let mut signals = Signals::register()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot watch signals", &error))?;
    let (destination, route) = route(&args.paths)?;
    if args.json && matches!(route, Route::PipeDown(_)) {
        return Err(Failure::new(exit::USAGE, "stdout is the file's: --json has no place there"));
    }
    let began = Instant::now();
    let mut ids = HostIds::default();
    let end = execute(&args, &destination, &route, &mut signals, &mut ids).await;
    args.report(end, began.elapsed(), &ids)
}

/// How a copy ended.
enum End {
    Done(Copied),
    Stopped(StopReason),
    /// The reader of stdout has closed it.
    StdoutClosed,
}

async fn execute(
    args: &CpArgs,
    destination: &Destination,
    route: &Route,
    signals: &mut Signals,
    ids: &mut HostIds,
) -> Result<End, Failure> {
    let container = args.container.shell()?;
    let connector = args.client.connector(crate::ssh::Config::bulk())?;
    let progress = args.client.progress();
    let connecting = async {
        let target = args.client.locate(&connector, destination, &progress).await?;
        Ok::<_, Failure>(connector.connect_ssh(&target, &progress).await?)
    };
    let connected = tokio::select! {
        connected = connecting => connected,
        reason = signals.next() => {
            progress.clear();
            return Ok(End::Stopped(reason));
        }
    };
    progress.clear();
    let host = connected?;
    *ids = host.ids();

    let files = match container {
        None => Files::of(&host),
        Some(container) => Files::in_container(&host, container),
    };
    let bar = CopyProgress::new(args.client.quiet);
    let end = tokio::select! {
        copied = args.copy(&files, route, &bar) => match copied {
            Ok(copied) => Ok(End::Done(copied)),
            Err(TransferError::Local { source, .. }) if is_closed_stdout(route, &source) => Ok(End::StdoutClosed),
            Err(error) => Err(failure(&error, None)),
        },
        reason = signals.next() => Ok(End::Stopped(reason)),
    };
    bar.clear();
    // Unfinished copies end with the connection: the remote side gets EOF and cleans up.
    drop(files);
    host.close().await;
    end
}

impl CpArgs {
    async fn copy(
        &self,
        files: &Files<'_>,
        route: &Route,
        bar: &CopyProgress,
    ) -> Result<Copied, TransferError> {
        let options = CopyOptions::new(self.recursive, self.preserve);
        let observer = |event: crate::files::CopyEvent<'_>| bar.on_event(event);
        let moved = |bytes| bar.moved(bytes);
        match route {
            Route::Up(sources, target) => files.upload(sources, target, options, &observer).await,
            Route::Down(sources, target) => files.download(sources, target, options, &observer).await,
            Route::PipeUp(target) => {
                let stdin =
                    Stdin::start().map_err(|source| TransferError::Local { path: "-".into(), source })?;
                bar.start(None, 1);
                let with = Attributes::new(FileMode::Keep(PIPED_MODE));
                files.write_stream(stdin.into_chunks(), target, with, &moved).await.map(Copied::one)
            }
            Route::PipeDown(source) => {
                bar.start(None, 1);
                files.read_to(source, &mut tokio::io::stdout(), &moved).await.map(Copied::one)
            }
        }
    }

    /// Prints the result and returns the exit status.
    fn report(&self, end: Result<End, Failure>, took: Duration, ids: &HostIds) -> Result<u8, Failure> {
        let (copied, error, status) = match end {
            Ok(End::Done(copied)) => {
                let status = copied.failed.first().map_or(exit::OK, |(_, error)| exit::code(error.fault()));
                (copied, None, status)
            }
            Ok(End::Stopped(reason)) => (Copied::default(), None, reason.status()),
            Ok(End::StdoutClosed) => (Copied::default(), None, STDOUT_CLOSED),
            Err(failure) => {
                let status = failure.code();
                (Copied::default(), Some(failure), status)
            }
        };
        if self.json {
            let failed = copied.failed.iter().map(|(path, error)| {
                let mut failed = failure(error, Some(path)).to_json();
                failed["path"] = path.as_str().into();
                failed
            });
            let line = json!({
                "status": status,
                "files": copied.files,
                "folders": copied.folders,
                "bytes": copied.bytes,
                "resumed_at": copied.resumed_at,
                "skipped": copied.skipped,
                "failed": failed.collect::<Vec<_>>(),
                "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                "key_push_request_id": ids.key_push,
                "tunnel_request_id": ids.tunnel,
                "error": error.as_ref().map(Failure::to_json),
            });
            writeln!(io::stdout().lock(), "{line}")
                .map_err(|error| Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error))?;
        }
        if let Some(error) = error {
            return Err(error);
        }
        let Some((last, others)) = copied.failed.split_last() else { return Ok(status) };
        for (path, error) in others.iter().take(MAX_PRINTED) {
            failure(error, Some(path)).without_hint().report();
        }
        if others.len() > MAX_PRINTED {
            super::say(&format!("eice: and {} more\n", others.len() - MAX_PRINTED));
        }
        Err(failure(&last.1, Some(&last.0)).with_code(status))
    }
}

/// Returns whether the reader of stdout has closed it, which is a normal end, as for any filter.
fn is_closed_stdout(route: &Route, error: &io::Error) -> bool {
    matches!(route, Route::PipeDown(_)) && error.kind() == io::ErrorKind::BrokenPipe
}

/// Converts an error to a failure that names `path`, unless its text already does.
fn failure(error: &TransferError, path: Option<&str>) -> Failure {
    let names_it = matches!(
        error,
        TransferError::Remote { .. }
            | TransferError::Folder { .. }
            | TransferError::Special { .. }
            | TransferError::Differs { .. }
            | TransferError::Local { .. }
            | TransferError::Busy { .. }
    );
    let code = exit::code(error.fault());
    let failure = match path {
        Some(path) if !names_it => Failure::because(code, path, error),
        _ => Failure::chain(code, error),
    };
    match error.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
