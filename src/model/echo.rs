//! A terminal that returns its input as output: the second implementation, which keeps the traits honest.
//!
//! It needs no process and no network. `0x04` (Ctrl-D) in the input, or [`Input::end`], ends it with status 0 after
//! what comes before it; a signal ends it by that signal; a resize answers with `[COLSxROWS]`.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::{
    Connect, Control, Exit, Host, HostIds, Input, Output, Signal, Size, Stage, StageError, StageEvent,
    StageObserver, StageState, Target, Terminal, TerminalEvent, TerminalRequest,
};

/// The number of unread writes that are queued before the next write waits.
const QUEUE: usize = 16;
/// Ctrl-D.
const END_OF_TRANSMISSION: u8 = 4;

/// Opens a terminal that echoes its input.
#[must_use]
pub fn open() -> Terminal {
    let (send, receive) = mpsc::channel(QUEUE);
    let exit = Arc::new(watch::channel(None).0);
    Terminal {
        input: Box::new(EchoInput { send: send.clone(), exit: Arc::clone(&exit) }),
        output: Box::new(EchoOutput { receive, exit: exit.subscribe(), is_done: false }),
        control: Box::new(EchoControl { send, exit }),
    }
}

/// A [`Connect`] without a network: each of its terminals is an echo.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Connect for Echo {
    fn connect<'a>(
        &'a self,
        _target: &'a Target,
        observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Box<dyn Host>, StageError>> {
        async move {
            pass(observer, Stage::Tcp);
            Ok(Box::new(Echo) as Box<dyn Host>)
        }
        .boxed()
    }
}

impl Host for Echo {
    fn open_terminal<'a>(
        &'a self,
        _request: &'a TerminalRequest,
        observer: &'a dyn StageObserver,
    ) -> BoxFuture<'a, Result<Terminal, StageError>> {
        async move {
            pass(observer, Stage::Shell);
            Ok(open())
        }
        .boxed()
    }

    fn ids(&self) -> HostIds {
        HostIds::default()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

fn pass(observer: &dyn StageObserver, stage: Stage) {
    observer.on_stage(StageEvent::new(stage, StageState::Started));
    observer.on_stage(StageEvent::new(stage, StageState::Passed(std::time::Duration::ZERO)));
}

type ExitCell = Arc<watch::Sender<Option<Exit>>>;

/// Sets the exit once; later exits are ignored.
fn finish(cell: &ExitCell, exit: Exit) {
    cell.send_if_modified(|current| {
        let is_first = current.is_none();
        current.get_or_insert(exit);
        is_first
    });
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

struct EchoInput {
    send: mpsc::Sender<Bytes>,
    exit: ExitCell,
}

impl Input for EchoInput {
    fn write(&mut self, mut data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        async move {
            if self.exit.borrow().is_some() {
                return Err(broken());
            }
            let end = data.iter().position(|byte| *byte == END_OF_TRANSMISSION);
            data.truncate(end.unwrap_or(data.len()));
            if !data.is_empty() {
                let mut exit = self.exit.subscribe();
                tokio::select! {
                    sent = self.send.send(data) => sent.map_err(|_| broken())?,
                    _ = exit.wait_for(Option::is_some) => return Err(broken()),
                }
            }
            if end.is_some() {
                finish(&self.exit, Exit::Code(0));
            }
            Ok(())
        }
        .boxed()
    }

    fn end(&mut self) -> BoxFuture<'_, io::Result<()>> {
        finish(&self.exit, Exit::Code(0));
        async { Ok(()) }.boxed()
    }
}

struct EchoOutput {
    receive: mpsc::Receiver<Bytes>,
    exit: watch::Receiver<Option<Exit>>,
    is_done: bool,
}

impl Output for EchoOutput {
    fn next(&mut self) -> BoxFuture<'_, Option<io::Result<TerminalEvent>>> {
        async move {
            if self.is_done {
                return None;
            }
            let exit = tokio::select! {
                biased;
                Some(bytes) = self.receive.recv() => return Some(Ok(TerminalEvent::Output(bytes))),
                exit = self.exit.wait_for(Option::is_some) => exit.ok().and_then(|exit| exit.clone()),
            };
            self.is_done = true;
            Some(Ok(TerminalEvent::Exit(exit.unwrap_or(Exit::Unknown))))
        }
        .boxed()
    }
}

struct EchoControl {
    send: mpsc::Sender<Bytes>,
    exit: ExitCell,
}

impl Control for EchoControl {
    fn resize(&self, size: Size) -> BoxFuture<'_, io::Result<()>> {
        // When the queue is full the reply is dropped: a resize must not wait.
        let _ = self.send.try_send(Bytes::from(format!("[{}x{}]", size.cols(), size.rows())));
        async { Ok(()) }.boxed()
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, io::Result<()>> {
        finish(&self.exit, Exit::Signal { name: signal.name().to_owned(), core_dumped: false });
        async { Ok(()) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        finish(&self.exit, Exit::Signal { name: Signal::Hup.name().to_owned(), core_dumped: false });
        async {}.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(terminal: &mut Terminal) -> Option<TerminalEvent> {
        terminal.output.next().await.map(Result::unwrap)
    }

    #[tokio::test]
    async fn echo_replies_until_closed() {
        let mut terminal = open();
        terminal.input.write(Bytes::from_static(b"hello")).await.unwrap();
        terminal.control.resize(Size::new(100, 40).unwrap()).await.unwrap();
        terminal.input.write(Bytes::from_static(b"end\x04")).await.unwrap();
        assert_eq!(next(&mut terminal).await, Some(TerminalEvent::Output(Bytes::from_static(b"hello"))));
        assert_eq!(next(&mut terminal).await, Some(TerminalEvent::Output(Bytes::from_static(b"[100x40]"))));
        assert_eq!(next(&mut terminal).await, Some(TerminalEvent::Output(Bytes::from_static(b"end"))));
        assert_eq!(next(&mut terminal).await, Some(TerminalEvent::Exit(Exit::Code(0))));
        assert_eq!(next(&mut terminal).await, None);
        assert!(terminal.input.write(Bytes::from_static(b"late")).await.is_err());
    }

    #[tokio::test]
    async fn full_queue_write_waits_until_close() {
        let Terminal { mut input, output: _output, control } = open();
        for _ in 0..QUEUE {
            input.write(Bytes::from_static(b"x")).await.unwrap();
        }
        let waiting = input.write(Bytes::from_static(b"x"));
        futures_util::pin_mut!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none(), "the queue is bounded");
        control.close().await;
        assert!(waiting.await.is_err());
    }
}
