//! A local program on pipes, as a terminal without a PTY.

use std::io;
use std::process::Stdio;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::process::{self, Pid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use crate::model::processes::exit_of;
use crate::model::{Control, Input, Output, Signal, Size, Terminal, TerminalEvent};

/// Buffer size of one read, in bytes.
const READ: usize = 64 * 1024;

/// Starts `command` on pipes, in its own process group: the group is ended when the program ends, and killed when its
/// output is dropped. (aws-cli, as a ProxyCommand, outlives its ssh and spins.)
///
/// # Errors When it cannot be started.
pub(super) fn spawn(mut command: Command) -> io::Result<Terminal> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.process_group(0);
    let mut child = command.spawn()?;
    let gone = || io::Error::other("a pipe is missing");
    let input = PipeInput(child.stdin.take());
    let stdout = Some(child.stdout.take().ok_or_else(gone)?);
    let stderr = Some(child.stderr.take().ok_or_else(gone)?);
    let stop = Arc::new(CancellationToken::new());
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let output = PipeOutput { child: Some(child), group, stdout, stderr, stop: Arc::clone(&stop) };
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
    /// Its process group, until the child has been waited for: the number may be reused afterwards.
    group: Option<Pid>,
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
        let child = self.child.as_mut()?;
        if self.stop.is_cancelled() {
            let _ = child.start_kill();
        }
        let exit = child.wait().await.map(|status| TerminalEvent::Exit(exit_of(status)));
        self.child = None;
        self.end_group(process::Signal::TERM);
        Some(exit)
    }

    /// Signals what is left of the process group.
    fn end_group(&mut self, signal: process::Signal) {
        if let Some(group) = self.group.take() {
            // An error means that nothing is left.
            let _ = process::kill_process_group(group, signal);
        }
    }
}

/// Reads from a pipe if it is open; otherwise never resolves.
async fn read<R: AsyncReadExt + Unpin>(pipe: &mut Option<R>, buffer: &mut BytesMut) -> io::Result<usize> {
    match pipe {
        Some(pipe) => pipe.read_buf(buffer).await,
        None => std::future::pending().await,
    }
}

impl Drop for PipeOutput {
    fn drop(&mut self) {
        self.end_group(process::Signal::KILL);
    }
}

impl Output for PipeOutput {
    fn next(&mut self) -> BoxFuture<'_, Option<io::Result<TerminalEvent>>> {
        self.next_event().boxed()
    }
}

/// Resizing and signals do nothing; closing kills the program.
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
    use crate::model::Exit;

    #[tokio::test]
    async fn outputs_precede_exit() {
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

    /// Returns whether the process `pid` exists and is not a zombie.
    fn runs(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    async fn pid_of_background(terminal: &mut Terminal) -> String {
        match terminal.output.next().await.unwrap().unwrap() {
            TerminalEvent::Output(said) => String::from_utf8_lossy(&said).trim().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn process_group_is_ended() {
        for more in ["", "; exec sleep 600"] {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", &format!("sleep 600 >/dev/null 2>&1 & echo $!{more}")]);
            let mut terminal = spawn(command).unwrap();
            let pid = pid_of_background(&mut terminal).await;
            assert!(runs(&pid));
            if more.is_empty() {
                let exit = terminal.output.next().await.unwrap().unwrap();
                assert_eq!(exit, TerminalEvent::Exit(Exit::Code(0)));
            } else {
                drop(terminal);
            }
            let gone = async {
                while runs(&pid) {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.unwrap();
        }
    }

    #[tokio::test]
    async fn close_kills_process() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec sleep 600"]);
        let mut terminal = spawn(command).unwrap();
        terminal.control.close().await;
        let exit = terminal.output.next().await.unwrap().unwrap();
        assert_eq!(exit, TerminalEvent::Exit(Exit::Signal { name: "KILL".into(), core_dumped: false }));
        assert!(terminal.output.next().await.is_none());
    }
}
