//! The local side of a terminal: stdin, stdout and stderr, resize, suspend, and the exit status.

use std::io;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};

use super::escape::{self, Action, Escapes, Typed};
use super::exit;
use super::failure::Failure;
use super::forward::Listing;
use super::raw::{self, RawTerminal};
use super::stdin::Stdin;
use super::stop::{Signals, StopReason};
use crate::model::{Exit, Input, Terminal, TerminalEvent, TerminalRequest};
use crate::ssh;

/// How a terminal ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The remote process ended.
    Exit(Exit),
    /// The user typed `~.`.
    Disconnected,
    /// A signal or a timeout ended it.
    Stopped(StopReason),
    /// The reader of stdout has closed it.
    StdoutClosed,
}

/// The exit status of ssh after `~.`.
const DISCONNECTED: u8 = 255;

/// The exit status of a process ended by SIGPIPE, as a shell reports it.
const STDOUT_CLOSED: u8 = 128 + 13;

impl End {
    /// Returns the exit status of the verb.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Exit(exit) => u8::try_from(exit.code()).unwrap_or(u8::MAX),
            Self::Disconnected => DISCONNECTED,
            Self::Stopped(reason) => reason.status(),
            Self::StdoutClosed => STDOUT_CLOSED,
        }
    }
}

/// Runs `terminal` with the local terminal in raw mode, until it ends; `~#` prints `listing`.
///
/// # Errors
/// When the connection fails, or the local terminal is gone.
pub(crate) async fn with_tty(terminal: Terminal, signals: &mut Signals, listing: Listing) -> io::Result<End> {
    let raw = RawTerminal::enter(io::stdin())?;
    run(terminal, Stdin::start()?, signals, Some((raw, listing))).await
}

/// Runs `terminal` on pipes or files, until it ends; `stdin` is its input, if it could be started.
///
/// # Errors
/// When the connection, stdin or stdout fails.
pub(crate) async fn with_pipes(
    terminal: Terminal,
    stdin: io::Result<Stdin>,
    signals: &mut Signals,
) -> io::Result<End> {
    run(terminal, stdin?, signals, None).await
}

/// Returns the SSH configuration: small buffers for a terminal, so that Ctrl-C takes effect quickly, large ones for
/// copies.
pub(crate) fn tuning(pty: bool) -> ssh::Config {
    if pty { ssh::Config::default() } else { ssh::Config::bulk() }
}

/// Prints a warning when a single `-t` is ignored, as ssh does.
pub(crate) fn warn_of_no_terminal(asked: u8, pty: bool, is_quiet: bool) {
    if asked == 1 && !pty && !is_quiet {
        super::say("eice: no terminal is asked for, because stdin is none; -tt insists\n");
    }
}

/// Returns the request: with the local terminal's size and name, if there is one.
pub(crate) fn request(pty: bool) -> TerminalRequest {
    if !pty {
        return TerminalRequest::without_pty();
    }
    let mut request = TerminalRequest::new(raw::size(io::stdin()).unwrap_or_default());
    if let Ok(term) = std::env::var("TERM")
        && !term.is_empty()
    {
        request.term = term;
    }
    if let Ok(lang) = std::env::var("LANG")
        && !lang.is_empty()
    {
        request.lang = Some(lang);
    }
    request
}

/// Converts the error of a connection that failed under a terminal.
pub(crate) fn lost(error: &io::Error) -> Failure {
    Failure::because(exit::UNAVAILABLE, "the connection was lost", error)
}

async fn run(
    terminal: Terminal,
    stdin: Stdin,
    signals: &mut Signals,
    person: Option<(RawTerminal, Listing)>,
) -> io::Result<End> {
    let (raw, listing) = person.unzip();
    let Terminal { input, mut output, control } = terminal;
    // Input may block on the remote window; output, resize and signals must not.
    let mut pump = tokio::spawn(pump(stdin, input, listing));
    let mut pumping = true;
    let mut resized = signal(SignalKind::window_change())?;
    let mut stopped = signal(stop_signal())?;
    let mut continued = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    let end = loop {
        tokio::select! {
            event = output.next() => match event {
                Some(Ok(TerminalEvent::Output(bytes))) => {
                    if let Err(error) = write(&mut stdout, &bytes).await {
                        break closed_pipe(error);
                    }
                }
                Some(Ok(TerminalEvent::Stderr(bytes))) => {
                    // A closed stderr does not affect stdout.
                    let _ = write(&mut stderr, &bytes).await;
                }
                Some(Ok(TerminalEvent::Exit(exit))) => break Ok(End::Exit(exit)),
                Some(Err(error)) => break Err(error),
                None => break Ok(End::Exit(Exit::Unknown)),
            },
            typed = &mut pump, if pumping => {
                pumping = false;
                match typed {
                    Ok(Ok(Pumped::Disconnect)) => break Ok(End::Disconnected),
                    // The remote end arrives as an event with its status.
                    Ok(Ok(Pumped::Ended)) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "input ended"),
                    Err(error) => break Err(io::Error::other(error)),
                }
            }
            _ = resized.recv(), if raw.is_some() => resize(&*control).await,
            _ = stopped.recv(), if raw.is_some() => {
                if let Some(raw) = &raw {
                    raw.suspend();
                    // Stops here until SIGCONT.
                    let _ = rustix::process::kill_process(
                        rustix::process::getpid(),
                        rustix::process::Signal::STOP,
                    );
                }
            }
            _ = continued.recv(), if raw.is_some() => {
                if let Some(raw) = &raw {
                    raw.resume()?;
                    resize(&*control).await;
                }
            }
            reason = signals.next() => break Ok(End::Stopped(reason)),
        }
    };
    pump.abort();
    let _ = stdout.flush().await;
    // The local mode is restored before the remote side is closed, which may take a while.
    drop(raw);
    tokio::select! {
        () = control.close() => {}
        _ = signals.next() => {}
    }
    end
}

/// How the pump of stdin ended.
enum Pumped {
    Ended,
    Disconnect,
}

/// Copies stdin to the remote side, with escapes if there is a `listing`.
async fn pump(mut stdin: Stdin, mut input: Box<dyn Input>, listing: Option<Listing>) -> io::Result<Pumped> {
    let mut person = listing.map(|listing| (Escapes::new(), listing));
    while let Some(chunk) = stdin.next().await {
        let mut chunk = chunk?;
        while let Some((escapes, listing)) = &mut person {
            let (action, before, after) = match escapes.scan(chunk) {
                Typed::Send(bytes) => {
                    chunk = bytes;
                    break;
                }
                Typed::Do(action, before, after) => (Some(action), before, after),
                Typed::Disconnect(before) => (None, before, Bytes::new()),
            };
            if !before.is_empty() {
                input.write(before).await?;
            }
            match action {
                Some(Action::Suspend) => suspend_ourselves(),
                Some(Action::List) => print(&listing.lines()),
                Some(Action::Help) => print(escape::HELP),
                None => return Ok(Pumped::Disconnect),
            }
            chunk = after;
        }
        if !chunk.is_empty() {
            input.write(chunk).await?;
        }
    }
    input.end().await?;
    Ok(Pumped::Ended)
}

/// Prints lines on the raw terminal, starting on a new line.
fn print(lines: &str) {
    super::say(&format!("\r\n{}", lines.replace('\n', "\r\n")));
}

/// Sends SIGTSTP to this process group, as Ctrl-Z would in cooked mode; the main loop handles it.
fn suspend_ourselves() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP);
}

async fn write(out: &mut (impl AsyncWriteExt + Unpin), bytes: &Bytes) -> io::Result<()> {
    out.write_all(bytes).await?;
    out.flush().await
}

async fn resize(control: &dyn crate::model::Control) {
    if let Some(size) = raw::size(io::stdin())
        && let Err(error) = control.resize(size).await
    {
        tracing::debug!(%error, "the new size cannot be sent");
    }
}

/// A closed stdout, as by `head`, is a normal end, as for any filter.
fn closed_pipe(error: io::Error) -> io::Result<End> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(End::StdoutClosed) } else { Err(error) }
}

/// Returns the stop signal of job control, SIGTSTP.
fn stop_signal() -> SignalKind {
    SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_stdout_is_no_error() {
        assert_eq!(closed_pipe(io::ErrorKind::BrokenPipe.into()).unwrap(), End::StdoutClosed);
        assert!(closed_pipe(io::ErrorKind::StorageFull.into()).is_err());
    }
}
