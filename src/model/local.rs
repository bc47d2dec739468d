//! A local process on a PTY.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pty_process::{OwnedReadPty, OwnedWritePty};
use rustix::process::{Pid, kill_process_group};
use rustix::termios::{Winsize, tcgetpgrp, tcsetwinsize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Control, Exit, Input, Output, Signal, Size, Terminal, TerminalEvent, processes, restore_default_signals,
};

/// The read buffer reserved for one [`TerminalEvent::Output`].
const MAX_READ: usize = 32 * 1024;
/// How long to wait for more output after the process has exited. Only relevant when a process that it left
/// behind still holds the terminal open.
const DRAIN_IDLE: Duration = Duration::from_millis(200);

/// A command to run on a PTY.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program, looked up in this process's `PATH` when it has no slash.
    pub program: OsString,
    /// Its `argv[0]`; a shell whose name begins with `-` is a login shell.
    pub arg0: Option<OsString>,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// The complete environment; nothing is inherited from this process.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory. `None` is this process's own.
    pub cwd: Option<PathBuf>,
}

impl Command {
    /// Returns a command for `program` without arguments and with an empty environment.
    #[must_use]
    pub fn new(program: impl Into<OsString>) -> Self {
        Self { program: program.into(), arg0: None, args: Vec::new(), env: Vec::new(), cwd: None }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds environment variables; a later one overrides an earlier one of the same name.
    #[must_use]
    pub fn env<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        env: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.env.extend(env.into_iter().map(|(key, value)| (key.into(), value.into())));
        self
    }
}

/// Starts `command` as the leader of a new session on a new PTY of `size`. Needs a Tokio runtime.
///
/// When the terminal ends, its whole session gets a hang-up and, half a second later, a kill. A process that
/// started its own session with `setsid` survives, as it does under sshd.
///
/// # Errors
/// When no PTY is available or the program cannot be started.
pub fn spawn(command: Command, size: Size) -> io::Result<Terminal> {
    let (pty, pts) = pty_process::open().map_err(io_error)?;
    pty.resize(pty_process::Size::new(size.rows(), size.cols())).map_err(io_error)?;
    let master = Arc::new(pty.as_fd().try_clone_to_owned()?);
    let mut process = pty_process::Command::new(&command.program)
        .args(&command.args)
        .env_clear()
        .envs(command.env)
        .kill_on_drop(true);
    if let Some(arg0) = command.arg0 {
        process = process.arg0(arg0);
    }
    if let Some(cwd) = command.cwd {
        process = process.current_dir(cwd);
    }
    restore_default_signals()?;
    let child = process.spawn(pts).map_err(io_error)?;
    let leader = child.id().ok_or_else(|| io::Error::other("the process has no id"))?;
    let (read, write) = pty.into_split();
    let (report, exit) = watch::channel(None);
    let stop = CancellationToken::new();
    let guard = Arc::new(stop.clone().drop_guard());
    tokio::spawn(supervise(child, leader, stop.clone(), report));
    Ok(Terminal {
        input: Box::new(LocalInput { write, _guard: Arc::clone(&guard) }),
        output: Box::new(LocalOutput {
            read,
            buffer: BytesMut::new(),
            exit: exit.clone(),
            state: State::Open,
            _guard: Arc::clone(&guard),
        }),
        control: Box::new(LocalControl { master, leader, stop, exit, _guard: guard }),
    })
}

fn io_error(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
        other => io::Error::other(other),
    }
}

/// Waits for the process to exit, or ends it when asked to, and publishes the exit.
async fn supervise(
    mut child: Child,
    leader: u32,
    stop: CancellationToken,
    report: watch::Sender<Option<Exit>>,
) {
    let exit = tokio::select! {
        status = child.wait() => {
            // The rest of its session loses its terminal now, as it would under sshd.
            processes::send(&processes::members(leader), rustix::process::Signal::HUP);
            status.map_or(Exit::Unknown, processes::exit_of)
        }
        () = stop.cancelled() => processes::end(&mut child, leader).await,
    };
    report.send_replace(Some(exit));
}

struct LocalInput {
    write: OwnedWritePty,
    _guard: Arc<DropGuard>,
}

impl Input for LocalInput {
    fn write(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        async move { self.write.write_all(&data).await }.boxed()
    }

    fn end(&mut self) -> BoxFuture<'_, io::Result<()>> {
        async { Ok(()) }.boxed()
    }
}

struct LocalOutput {
    read: OwnedReadPty,
    buffer: BytesMut,
    exit: watch::Receiver<Option<Exit>>,
    state: State,
    _guard: Arc<DropGuard>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// More output may follow.
    Open,
    /// The terminal has no holder left; the exit is not reported yet.
    Silent,
    /// The exit was reported.
    Done,
}

impl LocalOutput {
    /// Returns the next bytes, or `None` at the end, which Linux reports as EIO.
    async fn read(&mut self) -> Option<Bytes> {
        self.buffer.reserve(MAX_READ);
        match self.read.read_buf(&mut self.buffer).await {
            Ok(count) if count > 0 => Some(self.buffer.split().freeze()),
            _ => None,
        }
    }

    async fn next_event(&mut self) -> Option<io::Result<TerminalEvent>> {
        loop {
            let exited = self.exit.borrow_and_update().clone();
            match (self.state, exited) {
                (State::Done, _) => return None,
                (State::Silent, Some(exit)) => {
                    self.state = State::Done;
                    return Some(Ok(TerminalEvent::Exit(exit)));
                }
                (State::Open, Some(_)) => match timeout(DRAIN_IDLE, self.read()).await {
                    Ok(Some(bytes)) => return Some(Ok(TerminalEvent::Output(bytes))),
                    Ok(None) | Err(_) => self.state = State::Silent,
                },
                (State::Silent, None) => {
                    if self.exit.changed().await.is_err() {
                        self.state = State::Done;
                        return Some(Ok(TerminalEvent::Exit(Exit::Unknown)));
                    }
                }
                (State::Open, None) => {
                    let mut exit = self.exit.clone();
                    tokio::select! {
                        biased;
                        bytes = self.read() => match bytes {
                            Some(bytes) => return Some(Ok(TerminalEvent::Output(bytes))),
                            None => self.state = State::Silent,
                        },
                        changed = exit.changed() => if changed.is_err() {
                            self.state = State::Silent;
                        },
                    }
                }
            }
        }
    }
}

impl Output for LocalOutput {
    fn next(&mut self) -> BoxFuture<'_, Option<io::Result<TerminalEvent>>> {
        self.next_event().boxed()
    }
}

struct LocalControl {
    master: Arc<OwnedFd>,
    leader: u32,
    stop: CancellationToken,
    exit: watch::Receiver<Option<Exit>>,
    _guard: Arc<DropGuard>,
}

impl Control for LocalControl {
    fn resize(&self, size: Size) -> BoxFuture<'_, io::Result<()>> {
        let size = Winsize { ws_row: size.rows(), ws_col: size.cols(), ws_xpixel: 0, ws_ypixel: 0 };
        let done = tcsetwinsize(&self.master, size).map_err(io::Error::from);
        async { done }.boxed()
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, io::Result<()>> {
        let leader = i32::try_from(self.leader).ok().and_then(Pid::from_raw);
        // A signal that a keyboard can send goes to the foreground job, as a keyboard's does.
        let group = match signal {
            Signal::Int | Signal::Quit => tcgetpgrp(&self.master).ok().or(leader),
            Signal::Hup | Signal::Term | Signal::Kill => leader,
        };
        let done = match group {
            // After the leader is reaped, its process id may belong to another process.
            _ if self.exit.borrow().is_some() => Ok(()),
            Some(group) => kill_process_group(group, processes::number_of(signal)).map_err(io::Error::from),
            None => Ok(()),
        };
        async { done }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        processes::close(&self.stop, self.exit.clone())
    }
}

#[cfg(test)]
mod tests;
