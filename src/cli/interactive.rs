//! The local end of a terminal: stdin in, stdout and stderr out, resize, stop, and the exit status.

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

/// How a terminal came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The process at the far side ended.
    Exit(Exit),
    /// The person typed `~.`.
    Disconnected,
    /// We were asked to end.
    Stopped(StopReason),
    /// Nobody reads our stdout any more.
    StdoutClosed,
}

/// What ssh exits with when it was told to end the connection.
const DISCONNECTED: u8 = 255;

/// The status of a process that SIGPIPE ended, as a shell shows it.
const STDOUT_CLOSED: u8 = 128 + 13;

impl End {
    /// The status that the verb ends with.
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
/// When the connection broke, or the local terminal is gone.
pub(crate) async fn with_tty(terminal: Terminal, signals: &mut Signals, listing: Listing) -> io::Result<End> {
    let raw = RawTerminal::enter(io::stdin())?;
    run(terminal, Stdin::start()?, signals, Some((raw, listing))).await
}

/// Runs `terminal` on plain pipes or files, until it ends; `stdin` is its input, if it could be started.
///
/// # Errors
/// When the connection broke, or stdin or stdout fails.
pub(crate) async fn with_pipes(
    terminal: Terminal,
    stdin: io::Result<Stdin>,
    signals: &mut Signals,
) -> io::Result<End> {
    run(terminal, stdin?, signals, None).await
}

/// How SSH is tuned: a terminal wants a short way from Ctrl-C to silence, a copy a long one.
pub(crate) fn tuning(pty: bool) -> ssh::Config {
    if pty { ssh::Config::default() } else { ssh::Config::bulk() }
}

/// Tells a person who `asked` for a terminal once, by `-t`, that none is asked for, as ssh does.
pub(crate) fn tell_of_no_terminal(asked: u8, pty: bool, is_quiet: bool) {
    if asked == 1 && !pty && !is_quiet {
        super::say("eice: no terminal is asked for, because stdin is none; -tt insists\n");
    }
}

/// What to ask the far side for: the local terminal's size and name where there is one.
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

/// A connection that broke under a terminal.
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
    // Input waits for the far side's window; output, resize and signals must not wait with it.
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
                    // A stderr that is gone takes nothing from stdout.
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
                    // The far side's end comes as an event with its status.
                    Ok(Ok(Pumped::Ended)) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "input ended"),
                    Err(error) => break Err(io::Error::other(error)),
                }
            }
            _ = resized.recv(), if raw.is_some() => resize(&*control).await,
            _ = stopped.recv(), if raw.is_some() => {
                if let Some(raw) = &raw {
                    raw.suspend();
                    // Stops here until somebody sends SIGCONT.
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
    // The person has the keyboard back while the far side is wound up, and need not wait for that.
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

/// What is typed, or piped where there is no `listing`, to the far side.
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

/// Prints lines of ours on the raw terminal, from the start of one on.
fn print(lines: &str) {
    super::say(&format!("\r\n{}", lines.replace('\n', "\r\n")));
}

/// As Ctrl-Z would, were the terminal not raw; what to do about it is the loop's.
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
        tracing::debug!(%error, "the far side does not learn the new size");
    }
}

/// `head` that has read enough is an ordinary end, as it is for any filter.
fn closed_pipe(error: io::Error) -> io::Result<End> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(End::StdoutClosed) } else { Err(error) }
}

/// What the terminal's job control sends to stop a program that has not taken the keys away.
fn stop_signal() -> SignalKind {
    SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_seen_enough_is_an_ordinary_end() {
        assert_eq!(closed_pipe(io::ErrorKind::BrokenPipe.into()).unwrap(), End::StdoutClosed);
        assert!(closed_pipe(io::ErrorKind::StorageFull.into()).is_err());
    }
}
