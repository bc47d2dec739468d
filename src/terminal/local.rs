//! A process on a PTY of this machine.

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

use super::{Control, Exit, Input, Output, Signal, Size, Terminal, TerminalEvent, processes};

/// The room made for one [`TerminalEvent::Output`].
const MAX_READ: usize = 32 * 1024;
/// How long after the process's end its terminal may stay silent before no more output is waited for. Only
/// met when a process that it left behind still holds the terminal open.
const DRAIN_IDLE: Duration = Duration::from_millis(200);
/// How long [`Control::close`] waits at most.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What to run on a PTY.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program, searched for in this process's `PATH` when it has no slash.
    pub program: OsString,
    /// What it is told that its name is; a shell whose name begins with `-` is a login shell.
    pub arg0: Option<OsString>,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment; nothing of this process's is passed on.
    pub env: Vec<(OsString, OsString)>,
    /// Where it starts. `None` is where this process is.
    pub cwd: Option<PathBuf>,
}

impl Command {
    /// Runs `program` without arguments and without an environment.
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

    /// Adds environment variables; of two with one name the later counts.
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
/// The end of a terminal is a hang-up to its whole session and, half a second later, a kill. A process that
/// made itself a session of its own with `setsid` lives on, as it does under sshd.
///
/// # Errors
/// When there is no PTY left, or the program cannot be started.
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
    let child = process.spawn(pts).map_err(io_error)?;
    let leader = child.id().ok_or_else(|| io::Error::other("the process has no id"))?;
    let (read, write) = pty.into_split();
    let (told, exit) = watch::channel(None);
    let stop = CancellationToken::new();
    let guard = Arc::new(stop.clone().drop_guard());
    tokio::spawn(supervise(child, leader, stop.clone(), told));
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

/// Waits for the process's end or brings it about, and tells of it.
async fn supervise(
    mut child: Child,
    leader: u32,
    stop: CancellationToken,
    told: watch::Sender<Option<Exit>>,
) {
    let exit = tokio::select! {
        status = child.wait() => {
            // What is left of its session loses its terminal now, as it would under sshd.
            processes::send(&processes::members(leader), rustix::process::Signal::HUP);
            status.map_or(Exit::Unknown, processes::exit_of)
        }
        () = stop.cancelled() => processes::end(&mut child, leader).await,
    };
    told.send_replace(Some(exit));
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
    /// The terminal may say more.
    Open,
    /// Nobody holds the terminal any more; the exit is yet to be told.
    Silent,
    /// The exit was told.
    Done,
}

impl LocalOutput {
    /// The next bytes. `None` at the end; Linux says so with EIO.
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
        // What a keyboard could have sent goes where the keyboard's goes: to the foreground job.
        let group = match signal {
            Signal::Int | Signal::Quit => tcgetpgrp(&self.master).ok().or(leader),
            Signal::Hup | Signal::Term | Signal::Kill => leader,
        };
        let done = match group {
            // A leader that was reaped leads nobody, and its number may be another's by now.
            _ if self.exit.borrow().is_some() => Ok(()),
            Some(group) => kill_process_group(group, processes::number_of(signal)).map_err(io::Error::from),
            None => Ok(()),
        };
        async { done }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.stop.cancel();
        let mut exit = self.exit.clone();
        async move {
            let _ = timeout(CLOSE_TIMEOUT, exit.wait_for(Option::is_some)).await;
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: Duration = Duration::from_secs(20);

    fn sh(script: &str) -> Terminal {
        let command = Command::new("/bin/sh").args(["-c", script]).env([("PATH", "/usr/bin:/bin")]);
        spawn(command, Size::default()).unwrap()
    }

    async fn read_until(output: &mut dyn Output, seen: &mut String, end: impl Fn(&str) -> bool) {
        timeout(ENOUGH, async {
            while !end(seen) {
                match output.next().await {
                    Some(Ok(TerminalEvent::Output(bytes))) => seen.push_str(&String::from_utf8_lossy(&bytes)),
                    other => panic!("{other:?} after {seen:?}"),
                }
            }
        })
        .await
        .unwrap();
    }

    async fn exit(output: &mut dyn Output) -> (String, Exit) {
        let mut seen = String::new();
        timeout(ENOUGH, async {
            loop {
                match output.next().await {
                    Some(Ok(TerminalEvent::Output(bytes))) => seen.push_str(&String::from_utf8_lossy(&bytes)),
                    Some(Ok(TerminalEvent::Exit(exit))) => {
                        assert!(output.next().await.is_none());
                        return (seen, exit);
                    }
                    other => panic!("{other:?}"),
                }
            }
        })
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn a_command_has_a_terminal_of_its_size_and_all_its_output_comes_before_its_status() {
        let mut terminal = sh("stty size; tty >/dev/null && echo yes; seq 1 20000 | tail -1; exit 7");
        let (seen, exit) = exit(&mut *terminal.output).await;
        assert_eq!(seen, "24 80\r\nyes\r\n20000\r\n");
        assert_eq!(exit, Exit::Code(7));
    }

    #[tokio::test]
    async fn input_is_echoed_a_resize_is_seen_and_the_interrupt_key_reaches_the_job() {
        let mut terminal =
            sh("trap 'stty size' WINCH; trap 'echo int; exit 3' INT; echo on; while :; do read x; done");
        let mut seen = String::new();
        read_until(&mut *terminal.output, &mut seen, |seen| seen.contains("on\r\n")).await;
        terminal.control.resize(Size::new(100, 40).unwrap()).await.unwrap();
        terminal.input.write(Bytes::from_static(b"hello\n")).await.unwrap();
        read_until(&mut *terminal.output, &mut seen, |seen| {
            seen.contains("hello\r\n") && seen.contains("40 100")
        })
        .await;
        terminal.input.write(Bytes::from_static(b"\x03")).await.unwrap();
        let (_, exit) = exit(&mut *terminal.output).await;
        assert_eq!(exit, Exit::Code(3));
    }

    #[tokio::test]
    async fn a_signal_is_told_as_one() {
        let mut terminal = sh("echo on; exec sleep 1000");
        let mut seen = String::new();
        read_until(&mut *terminal.output, &mut seen, |seen| seen.contains("on")).await;
        terminal.control.signal(Signal::Term).await.unwrap();
        let (_, exit) = exit(&mut *terminal.output).await;
        assert_eq!(exit, Exit::Signal { name: "TERM".into(), core_dumped: false });
    }

    /// A shell that ignores the hang-up, with a job in a group of its own, and their session's leader.
    async fn stubborn() -> (Terminal, u32) {
        let mut terminal =
            sh("set -m; trap '' HUP TERM; sleep 1000 & echo pid $$ on; while :; do sleep 1000; done");
        let mut seen = String::new();
        read_until(&mut *terminal.output, &mut seen, |seen| seen.contains("on\r\n")).await;
        let leader = seen.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(processes::members(leader).len() >= 2, "the shell and its job");
        (terminal, leader)
    }

    async fn gone(leader: u32) {
        timeout(ENOUGH, async {
            while !processes::members(leader).is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn closing_leaves_no_process_even_of_a_shell_that_ignores_the_hang_up() {
        let (mut terminal, leader) = stubborn().await;
        terminal.control.close().await;
        assert!(processes::members(leader).is_empty());
        assert!(matches!(exit(&mut *terminal.output).await.1, Exit::Signal { name, .. } if name == "KILL"));
    }

    #[tokio::test]
    async fn dropping_leaves_no_process_and_no_descriptor() {
        let (terminal, leader) = stubborn().await;
        let slave = std::fs::read_link(format!("/proc/{leader}/fd/0")).unwrap();
        let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let mut links = links.filter_map(|fd| std::fs::read_link(fd.path()).ok());
        assert!(!links.any(|link| link == slave), "the slave is not held here");
        let index = format!("tty-index:\t{}", slave.file_name().unwrap().to_str().unwrap());
        let is_master_open = || {
            let fds = std::fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
            let mut fds = fds.filter_map(|fd| std::fs::read_to_string(fd.path()).ok());
            fds.any(|info| info.lines().any(|line| line == index))
        };
        assert!(is_master_open());
        drop(terminal);
        gone(leader).await;
        // Another test may get a terminal of the same number, for a while.
        timeout(ENOUGH, async {
            while is_master_open() || std::path::Path::new(&format!("/proc/{leader}")).exists() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("no descriptor and no zombie is left");
    }

    #[tokio::test]
    async fn a_job_left_in_the_background_does_not_hold_the_end_back() {
        let mut terminal = sh("trap '' HUP; sleep 1000 & echo pid $$; exit 0");
        let (seen, exit) = exit(&mut *terminal.output).await;
        assert_eq!(exit, Exit::Code(0));
        let leader = seen.split_whitespace().nth(1).unwrap().parse().unwrap();
        processes::send(&processes::members(leader), rustix::process::Signal::KILL);
        gone(leader).await;
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_an_error() {
        let error = spawn(Command::new("/nonexistent/program"), Size::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn the_environment_is_the_given_one_only() {
        let mut terminal = sh("/usr/bin/env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=");
        assert_eq!(exit(&mut *terminal.output).await.0, "PATH=/usr/bin:/bin\r\n");
    }
}
