//! A process without a PTY: separate stdout and stderr, and an end of input.

use std::io;
use std::process::Stdio;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::process::{Pid, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::model::local::Command;
use crate::model::{
    Control, Exit, Input, Output, Signal, Size, Terminal, TerminalEvent, processes, restore_default_signals,
};

/// The read buffer, in bytes.
const MAX_READ: usize = 32 * 1024;

/// Starts `command` as the leader of its own process group. As with sshd, its exit is reported only when its
/// output has no holder left.
pub(super) fn spawn(command: Command) -> io::Result<Terminal> {
    let mut process = tokio::process::Command::new(&command.program);
    process.args(&command.args).env_clear().envs(command.env).process_group(0).kill_on_drop(true);
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(arg0) = command.arg0 {
        process.arg0(arg0);
    }
    if let Some(cwd) = command.cwd {
        process.current_dir(cwd);
    }
    restore_default_signals()?;
    let mut child = process.spawn()?;
    let leader = child.id().ok_or_else(|| io::Error::other("the process has no id"))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (report, exit) = watch::channel(None);
    let stop = CancellationToken::new();
    let guard = Arc::new(stop.clone().drop_guard());
    tokio::spawn(supervise(child, leader, stop.clone(), report));
    let output =
        PipeOutput { stdout, stderr, exit: exit.clone(), is_done: false, _guard: Arc::clone(&guard) };
    Ok(Terminal {
        input: Box::new(PipeInput { stdin, _guard: Arc::clone(&guard) }),
        output: Box::new(output),
        control: Box::new(PipeControl { leader, stop, exit, _guard: guard }),
    })
}

async fn supervise(
    mut child: Child,
    leader: u32,
    stop: CancellationToken,
    report: watch::Sender<Option<Exit>>,
) {
    let ended = tokio::select! {
        status = child.wait() => Some(status.map_or(Exit::Unknown, processes::exit_of)),
        () = stop.cancelled() => None,
    };
    match ended {
        Some(exit) => {
            report.send_replace(Some(exit));
            // Processes that it left behind may still write, until the channel is closed.
            stop.cancelled().await;
            processes::kill(|| processes::members(leader)).await;
        }
        None => {
            let exit = processes::end(&mut child, leader).await;
            report.send_replace(Some(exit));
        }
    }
}

struct PipeInput {
    stdin: Option<ChildStdin>,
    _guard: Arc<DropGuard>,
}

impl Input for PipeInput {
    fn write(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        async move {
            match &mut self.stdin {
                Some(stdin) => stdin.write_all(&data).await,
                None => Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        .boxed()
    }

    fn end(&mut self) -> BoxFuture<'_, io::Result<()>> {
        self.stdin = None;
        async { Ok(()) }.boxed()
    }
}

struct PipeOutput {
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    exit: watch::Receiver<Option<Exit>>,
    is_done: bool,
    _guard: Arc<DropGuard>,
}

/// Returns the next bytes of a pipe; `None` at its end. Never resolves without a pipe.
async fn read<R: AsyncRead + Unpin>(pipe: &mut Option<R>) -> Option<Bytes> {
    let Some(open) = pipe else { return std::future::pending().await };
    let mut buffer = BytesMut::with_capacity(MAX_READ);
    match open.read_buf(&mut buffer).await {
        Ok(count) if count > 0 => Some(buffer.freeze()),
        _ => {
            *pipe = None;
            None
        }
    }
}

impl Output for PipeOutput {
    fn next(&mut self) -> BoxFuture<'_, Option<io::Result<TerminalEvent>>> {
        async move {
            while self.stdout.is_some() || self.stderr.is_some() {
                let event = tokio::select! {
                    bytes = read(&mut self.stdout) => bytes.map(TerminalEvent::Output),
                    bytes = read(&mut self.stderr) => bytes.map(TerminalEvent::Stderr),
                };
                if let Some(event) = event {
                    return Some(Ok(event));
                }
            }
            if self.is_done {
                return None;
            }
            let exit = self.exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
            self.is_done = true;
            Some(Ok(TerminalEvent::Exit(exit.unwrap_or(Exit::Unknown))))
        }
        .boxed()
    }
}

struct PipeControl {
    leader: u32,
    stop: CancellationToken,
    exit: watch::Receiver<Option<Exit>>,
    _guard: Arc<DropGuard>,
}

impl Control for PipeControl {
    fn resize(&self, _size: Size) -> BoxFuture<'_, io::Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, io::Result<()>> {
        let group = i32::try_from(self.leader).ok().and_then(Pid::from_raw);
        let done = match group {
            Some(group) if self.exit.borrow().is_none() => {
                kill_process_group(group, processes::number_of(signal)).map_err(io::Error::from)
            }
            _ => Ok(()),
        };
        async { done }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        processes::close(&self.stop, self.exit.clone())
    }
}
