//! A program of this machine on pipes, as a terminal without a PTY.

use std::io;
use std::process::Stdio;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use crate::terminal::{Control, Exit, Input, Output, Signal, Size, Terminal, TerminalEvent};

/// The room made for one read.
const READ: usize = 64 * 1024;

/// Starts `command` on pipes. It is killed when its output is dropped.
///
/// # Errors
/// When it cannot be started.
pub(super) fn spawn(mut command: Command) -> io::Result<Terminal> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let gone = || io::Error::other("a pipe is missing");
    let input = PipeInput(child.stdin.take());
    let stdout = Some(child.stdout.take().ok_or_else(gone)?);
    let stderr = Some(child.stderr.take().ok_or_else(gone)?);
    let stop = Arc::new(CancellationToken::new());
    let output = PipeOutput { child: Some(child), stdout, stderr, stop: Arc::clone(&stop) };
    Ok(Terminal { input: Box::new(input), output: Box::new(output), control: Box::new(PipeControl(stop)) })
}

struct PipeInput(Option<ChildStdin>);

impl Input for PipeInput {
    fn write(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        async move {
            match &mut self.0 {
                Some(stdin) => stdin.write_all(&data).await,
                None => Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        .boxed()
    }

    fn end(&mut self) -> BoxFuture<'_, io::Result<()>> {
        self.0 = None;
        async { Ok(()) }.boxed()
    }
}

struct PipeOutput {
    child: Option<Child>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    stop: Arc<CancellationToken>,
}

impl PipeOutput {
    async fn next_event(&mut self) -> Option<io::Result<TerminalEvent>> {
        while self.stdout.is_some() || self.stderr.is_some() {
            let (mut out, mut err) = (BytesMut::with_capacity(READ), BytesMut::with_capacity(READ));
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                read = read(&mut self.stdout, &mut out) => match read {
                    Ok(0) => self.stdout = None,
                    Ok(_) => return Some(Ok(TerminalEvent::Output(out.freeze()))),
                    Err(error) => return Some(Err(error)),
                },
                read = read(&mut self.stderr, &mut err) => match read {
                    Ok(0) => self.stderr = None,
                    Ok(_) => return Some(Ok(TerminalEvent::Stderr(err.freeze()))),
                    Err(error) => return Some(Err(error)),
                },
            }
        }
        let mut child = self.child.take()?;
        if self.stop.is_cancelled() {
            let _ = child.start_kill();
        }
        Some(child.wait().await.map(|status| TerminalEvent::Exit(exit_of(status))))
    }
}

/// Reads from a pipe that is still open; from another one nothing ever comes.
async fn read<R: AsyncReadExt + Unpin>(pipe: &mut Option<R>, buffer: &mut BytesMut) -> io::Result<usize> {
    match pipe {
        Some(pipe) => pipe.read_buf(buffer).await,
        None => std::future::pending().await,
    }
}

fn exit_of(status: std::process::ExitStatus) -> Exit {
    crate::terminal::processes::exit_of(status)
}

impl Output for PipeOutput {
    fn next(&mut self) -> BoxFuture<'_, Option<io::Result<TerminalEvent>>> {
        self.next_event().boxed()
    }
}

/// There is no terminal that could be resized, and nobody here signals a program: it is closed.
struct PipeControl(Arc<CancellationToken>);

impl Control for PipeControl {
    fn resize(&self, _: Size) -> BoxFuture<'_, io::Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn signal(&self, _: Signal) -> BoxFuture<'_, io::Result<()>> {
        async { Err(io::ErrorKind::Unsupported.into()) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.cancel();
        async {}.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_outputs_come_and_then_the_exit() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "cat; echo problem >&2; exit 4"]);
        let mut terminal = spawn(command).unwrap();
        terminal.input.write(Bytes::from_static(b"through")).await.unwrap();
        terminal.input.end().await.unwrap();
        let mut events = Vec::new();
        while let Some(event) = terminal.output.next().await {
            events.push(event.unwrap());
        }
        assert_eq!(events.last(), Some(&TerminalEvent::Exit(Exit::Code(4))));
        assert!(events.contains(&TerminalEvent::Output(Bytes::from_static(b"through"))));
        assert!(events.contains(&TerminalEvent::Stderr(Bytes::from_static(b"problem\n"))));
        assert!(terminal.input.write(Bytes::from_static(b"x")).await.is_err());
    }

    #[tokio::test]
    async fn closing_kills_it() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec sleep 600"]);
        let mut terminal = spawn(command).unwrap();
        terminal.control.close().await;
        let exit = terminal.output.next().await.unwrap().unwrap();
        assert_eq!(exit, TerminalEvent::Exit(Exit::Signal { name: "KILL".into(), core_dumped: false }));
        assert!(terminal.output.next().await.is_none());
    }
}
