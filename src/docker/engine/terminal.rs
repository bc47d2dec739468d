//! The three parts of a terminal, over the streams of an exec.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio_util::sync::CancellationToken;

use super::attach::Attached;
use super::client::{Client, Exec};
use super::error::EngineError;
use super::output::ExecReader;
use super::script;
use super::watch::Watch;
use crate::model::{Control, Exit, Input, Output, Signal, Size, Terminal, TerminalEvent};

/// The state that the parts share. When the last part is dropped, the watcher's stdin ends.
pub(super) struct ExecState {
    client: Client,
    container: String,
    exec: String,
    /// The process id in the container.
    pid: Option<u32>,
    watch: Arc<Watch>,
    /// Cancelled when the process has exited.
    ended: CancellationToken,
}

impl ExecState {
    pub(super) fn new(
        client: Client,
        container: String,
        exec: String,
        pid: Option<u32>,
        watch: Arc<Watch>,
    ) -> Arc<Self> {
        Arc::new(Self { client, container, exec, pid, watch, ended: CancellationToken::new() })
    }

    /// Returns how the process exited, once its output has ended.
    async fn exit(&self) -> io::Result<Exit> {
        let exit = match self.client.exit(&self.exec).await {
            Ok(Some(exit)) => Ok(exit),
            Ok(None) => Err(io::Error::other("the Docker engine detached from the terminal")),
            // An exec ends with its container.
            Err(EngineError::Refused { status: 404 | 409, .. }) => {
                Err(io::Error::other("the workspace's container has stopped"))
            }
            Err(error) => Err(io::Error::other(error)),
        };
        self.ended.cancel();
        exit
    }

    /// Runs `request`, unless the process has exited.
    async fn while_running<T>(&self, request: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Err(ended()),
            result = request => result,
        }
    }

    async fn signal(&self, signal: Signal) -> io::Result<()> {
        let Some(pid) = self.pid else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the process id is unknown"));
        };
        let exec = Exec {
            container: &self.container,
            command: script::signal(signal.name(), pid),
            env: Vec::new(),
            tty: false,
            stdin: false,
        };
        let run = async {
            let id = self.client.create(exec).await?;
            let (read, _write) = tokio::io::split(self.client.start(&id, false).await?);
            let mut reader = ExecReader::new(read, false);
            while let Ok(Some(_)) = reader.next().await {}
            self.client.exit(&id).await
        };
        match run.await.map_err(io::Error::other)? {
            Some(Exit::Code(0)) => Ok(()),
            _ => Err(io::Error::other(format!("SIG{} could not be sent", signal.name()))),
        }
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the process has ended")
}

/// Returns the terminal with the streams `reader` and `write`.
pub(super) fn terminal(
    reader: ExecReader,
    write: WriteHalf<Attached>,
    has_pty: bool,
    state: Arc<ExecState>,
) -> Terminal {
    Terminal {
        input: Box::new(ExecInput { write, has_pty, state: Arc::clone(&state) }),
        output: Box::new(ExecOutput { reader, phase: Phase::Open, state: Arc::clone(&state) }),
        control: Box::new(ExecControl { state }),
    }
}

struct ExecInput {
    write: WriteHalf<Attached>,
    has_pty: bool,
    state: Arc<ExecState>,
}

impl Input for ExecInput {
    fn write(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let Self { write, state, .. } = self;
        Box::pin(state.while_running(async move {
            write.write_all(&data).await.map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ended(),
                _ => error,
            })
        }))
    }

    fn end(&mut self) -> BoxFuture<'_, io::Result<()>> {
        let Self { write, has_pty, state } = self;
        Box::pin(async move {
            if *has_pty {
                return Ok(());
            }
            state.while_running(write.shutdown()).await
        })
    }
}

struct ExecOutput {
    reader: ExecReader,
    phase: Phase,
    state: Arc<ExecState>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The output has ended; the exit is still to be queried.
    Ended,
    Over,
}

impl Output for ExecOutput {
    fn next(&mut self) -> BoxFuture<'_, Option<io::Result<TerminalEvent>>> {
        Box::pin(async {
            if self.phase == Phase::Open {
                match self.reader.next().await {
                    Ok(Some(event)) => return Some(Ok(event)),
                    Ok(None) => {}
                    // The engine may break a connection when the process exits; the exit status is queried
                    // separately.
                    Err(error) => tracing::debug!(%error, "the streams of a terminal broke"),
                }
                self.phase = Phase::Ended;
            }
            if self.phase == Phase::Over {
                return None;
            }
            let exit = self.state.exit().await;
            self.phase = Phase::Over;
            Some(exit.map(TerminalEvent::Exit))
        })
    }
}

struct ExecControl {
    state: Arc<ExecState>,
}

impl Control for ExecControl {
    fn resize(&self, size: Size) -> BoxFuture<'_, io::Result<()>> {
        let resize =
            async move { self.state.client.resize(&self.state.exec, size).await.map_err(io::Error::other) };
        Box::pin(self.state.while_running(resize))
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.state.while_running(self.state.signal(signal)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.state.watch.finish())
    }
}
