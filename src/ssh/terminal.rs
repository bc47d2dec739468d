//! The three parts of a terminal over a channel.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use russh::Sig;
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;

use super::channel_state::{ChannelState, Requests};
use super::transport::Transport;
use crate::model::{Control, Input, Output, Signal, Size, TerminalEvent};

/// Writes within the channel's window. It never uses the connection's own queue, which blocks the output of every
/// channel while one of them has no window.
pub(super) struct ChannelInput {
    requests: Arc<Requests>,
    state: Arc<ChannelState>,
    _hold: Arc<DropGuard>,
    transport: Arc<Transport>,
    has_pty: bool,
}

impl ChannelInput {
    pub(super) fn new(
        requests: Arc<Requests>,
        state: Arc<ChannelState>,
        hold: Arc<DropGuard>,
        transport: Arc<Transport>,
        has_pty: bool,
    ) -> Self {
        Self { requests, state, _hold: hold, transport, has_pty }
    }
}

/// Awaits `request`, unless the channel or the connection ends first: a closed channel's window never opens again.
async fn while_open<F>(state: &ChannelState, transport: &Transport, request: F) -> io::Result<()>
where
    F: Future<Output = Result<(), russh::Error>>,
{
    tokio::select! {
        biased;
        () = state.ended.cancelled() => match state.outcome() {
            Ok(exit) => Err(io::Error::new(io::ErrorKind::BrokenPipe, format!("the process has {exit}"))),
            Err(error) => Err(error),
        },
        () = transport.gone.cancelled() => Err(transport.broken()),
        result = request => result.map_err(|_| transport.broken()),
    }
}

impl Input for ChannelInput {
    fn write(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(while_open(&self.state, &self.transport, self.requests.data_bytes(data)))
    }

    fn end(&mut self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async {
            if self.has_pty {
                return Ok(());
            }
            while_open(&self.state, &self.transport, self.requests.eof()).await
        })
    }
}

pub(super) struct ChannelOutput {
    events: mpsc::Receiver<TerminalEvent>,
    state: Arc<ChannelState>,
    _hold: Arc<DropGuard>,
    is_over: bool,
}

impl ChannelOutput {
    pub(super) fn new(
        events: mpsc::Receiver<TerminalEvent>,
        state: Arc<ChannelState>,
        hold: Arc<DropGuard>,
    ) -> Self {
        Self { events, state, _hold: hold, is_over: false }
    }
}

impl Output for ChannelOutput {
    fn next(&mut self) -> BoxFuture<'_, Option<io::Result<TerminalEvent>>> {
        Box::pin(async {
            if let Some(event) = self.events.recv().await {
                return Some(Ok(event));
            }
            if std::mem::replace(&mut self.is_over, true) {
                return None;
            }
            Some(self.state.outcome().map(TerminalEvent::Exit))
        })
    }
}

pub(super) struct ChannelControl {
    requests: Arc<Requests>,
    state: Arc<ChannelState>,
    _hold: Arc<DropGuard>,
    transport: Arc<Transport>,
}

impl ChannelControl {
    pub(super) fn new(
        requests: Arc<Requests>,
        state: Arc<ChannelState>,
        hold: Arc<DropGuard>,
        transport: Arc<Transport>,
    ) -> Self {
        Self { requests, state, _hold: hold, transport }
    }
}

impl Control for ChannelControl {
    fn resize(&self, size: Size) -> BoxFuture<'_, io::Result<()>> {
        let (cols, rows) = (u32::from(size.cols()), u32::from(size.rows()));
        Box::pin(while_open(&self.state, &self.transport, self.requests.window_change(cols, rows, 0, 0)))
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, io::Result<()>> {
        let signal = match signal {
            Signal::Hup => Sig::HUP,
            Signal::Int => Sig::INT,
            Signal::Quit => Sig::QUIT,
            Signal::Term => Sig::TERM,
            Signal::Kill => Sig::KILL,
        };
        Box::pin(while_open(&self.state, &self.transport, self.requests.signal(signal)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.state.closing.cancel();
        Box::pin(self.state.cleared.cancelled())
    }
}
