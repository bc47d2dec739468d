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
use super::output::Reader;
use super::script;
use super::watch::Watch;
use crate::model::{Control, Exit, Input, Output, Signal, Size, Terminal, TerminalEvent};

/// What the parts have in common. With the last of them the watcher's stdin ends.
pub(super) struct Life {
    client: Client,
    container: String,
    exec: String,
    /// The process's number in the container.
    pid: Option<u32>,
    watch: Arc<Watch>,
    /// The process has ended.
    ended: CancellationToken,
}

impl Life {
    pub(super) fn new(
        client: Client,
        container: String,
        exec: String,
        pid: Option<u32>,
        watch: Arc<Watch>,
    ) -> Arc<Self> {
        Arc::new(Self { client, container, exec, pid, watch, ended: CancellationToken::new() })
    }

    /// How the process ended, once its output has.
    async fn exit(&self) -> io::Result<Exit> {
        let exit = match self.client.exit(&self.exec).await {
            Ok(Some(exit)) => Ok(exit),
            Ok(None) => Err(io::Error::other("the Docker engine let go of the terminal")),
            // An exec goes with its container.
            Err(EngineError::Refused { status: 404 | 409, .. }) => {
                Err(io::Error::other("the workspace's container has stopped"))
            }
            Err(error) => Err(io::Error::other(error)),
        };
        self.ended.cancel();
        exit
    }

    /// Runs `asked`, unless the process has ended.
    async fn while_running<T>(&self, asked: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Err(ended()),
            answer = asked => answer,
        }
    }

    async fn signal(&self, signal: Signal) -> io::Result<()> {
        let Some(pid) = self.pid else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the process's number is not known"));
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
            let mut reader = Reader::new(read, false);
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

/// The terminal whose streams are `reader` and `write`.
pub(super) fn terminal(
    reader: Reader,
    write: WriteHalf<Attached>,
    has_pty: bool,
    life: Arc<Life>,
) -> Terminal {
    Terminal {
        input: Box::new(ExecInput { write, has_pty, life: Arc::clone(&life) }),
        output: Box::new(ExecOutput { reader, state: State::Open, life: Arc::clone(&life) }),
        control: Box::new(ExecControl { life }),
    }
}

struct ExecInput {
    write: WriteHalf<Attached>,
    has_pty: bool,
    life: Arc<Life>,
}

impl Input for ExecInput {
    fn write(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let Self { write, life, .. } = self;
        Box::pin(life.while_running(async move {
            write.write_all(&data).await.map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ended(),
                _ => error,
            })
        }))
    }

    fn end(&mut self) -> BoxFuture<'_, io::Result<()>> {
        let Self { write, has_pty, life } = self;
        Box::pin(async move {
            if *has_pty {
                return Ok(());
            }
            life.while_running(write.shutdown()).await
        })
    }
}

struct ExecOutput {
    reader: Reader,
    state: State,
    life: Arc<Life>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// All is said, and how the process ended is to be found out.
    Said,
    Over,
}

impl Output for ExecOutput {
    fn next(&mut self) -> BoxFuture<'_, Option<io::Result<TerminalEvent>>> {
        Box::pin(async {
            if self.state == State::Open {
                match self.reader.next().await {
                    Ok(Some(event)) => return Some(Ok(event)),
                    Ok(None) => {}
                    // The engine may break a connection off when the process ends; it knows better how that was.
                    Err(error) => tracing::debug!(%error, "the streams of a terminal broke off"),
                }
                self.state = State::Said;
            }
            if self.state == State::Over {
                return None;
            }
            let exit = self.life.exit().await;
            self.state = State::Over;
            Some(exit.map(TerminalEvent::Exit))
        })
    }
}

struct ExecControl {
    life: Arc<Life>,
}

impl Control for ExecControl {
    fn resize(&self, size: Size) -> BoxFuture<'_, io::Result<()>> {
        let resize =
            async move { self.life.client.resize(&self.life.exec, size).await.map_err(io::Error::other) };
        Box::pin(self.life.while_running(resize))
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.life.while_running(self.life.signal(signal)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.life.watch.finish())
    }
}
