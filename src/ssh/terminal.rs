//! The three parts of a terminal over a channel.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use russh::Sig;
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;

use super::channel::{Life, Requests};
use super::link::Link;
use crate::model::{Control, Input, Output, Signal, Size, TerminalEvent};

/// Writes within the channel's window. It never uses the connection's own queue, which blocks the output of every
/// channel while one of them has no window.
pub(super) struct ChannelInput {
    requests: Arc<Requests>,
    life: Arc<Life>,
    _hold: Arc<DropGuard>,
    link: Arc<Link>,
    has_pty: bool,
}

impl ChannelInput {
    pub(super) fn new(
        requests: Arc<Requests>,
        life: Arc<Life>,
        hold: Arc<DropGuard>,
        link: Arc<Link>,
        has_pty: bool,
    ) -> Self {
        Self { requests, life, _hold: hold, link, has_pty }
    }
}

/// Awaits `request`, unless the channel or the connection ends first: a closed channel's window never opens again.
async fn while_open<F>(life: &Life, link: &Link, request: F) -> io::Result<()>
where
    F: Future<Output = Result<(), russh::Error>>,
{
    tokio::select! {
        biased;
        () = life.ended.cancelled() => match life.outcome() {
            Ok(exit) => Err(io::Error::new(io::ErrorKind::BrokenPipe, format!("the process has {exit}"))),
            Err(error) => Err(error),
        },
        () = link.gone.cancelled() => Err(link.broken()),
        result = request => result.map_err(|_| link.broken()),
    }
}

impl Input for ChannelInput {
    fn write(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(while_open(&self.life, &self.link, self.requests.data_bytes(data)))
    }

    fn end(&mut self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async {
            if self.has_pty {
                return Ok(());
            }
            while_open(&self.life, &self.link, self.requests.eof()).await
        })
    }
}

pub(super) struct ChannelOutput {
    events: mpsc::Receiver<TerminalEvent>,
    life: Arc<Life>,
    _hold: Arc<DropGuard>,
    is_over: bool,
}

impl ChannelOutput {
    pub(super) fn new(events: mpsc::Receiver<TerminalEvent>, life: Arc<Life>, hold: Arc<DropGuard>) -> Self {
        Self { events, life, _hold: hold, is_over: false }
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
            Some(self.life.outcome().map(TerminalEvent::Exit))
        })
    }
}

pub(super) struct ChannelControl {
    requests: Arc<Requests>,
    life: Arc<Life>,
    _hold: Arc<DropGuard>,
    link: Arc<Link>,
}

impl ChannelControl {
    pub(super) fn new(
        requests: Arc<Requests>,
        life: Arc<Life>,
        hold: Arc<DropGuard>,
        link: Arc<Link>,
    ) -> Self {
        Self { requests, life, _hold: hold, link }
    }
}

impl Control for ChannelControl {
    fn resize(&self, size: Size) -> BoxFuture<'_, io::Result<()>> {
        let (cols, rows) = (u32::from(size.cols()), u32::from(size.rows()));
        Box::pin(while_open(&self.life, &self.link, self.requests.window_change(cols, rows, 0, 0)))
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, io::Result<()>> {
        let signal = match signal {
            Signal::Hup => Sig::HUP,
            Signal::Int => Sig::INT,
            Signal::Quit => Sig::QUIT,
            Signal::Term => Sig::TERM,
            Signal::Kill => Sig::KILL,
        };
        Box::pin(while_open(&self.life, &self.link, self.requests.signal(signal)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.life.closing.cancel();
        Box::pin(self.life.cleared.cancelled())
    }
}
