//! An authenticated connection, which opens channels.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use russh::client::Handle;
use russh::{Disconnect, client};

use super::Error;
use super::channel::{OpenChannel, Watcher};
use super::config::Config;
use super::deadline::within;
use super::forward::ForwardListeners;
use super::handler::Handler;
use super::nudge::nudging;
use super::request::ChannelRequest;
use super::transport::{CutOnDrop, Transport};
use crate::model::{Stage, StageObserver, StageTimer, Terminal};

/// An authenticated SSH connection.
///
/// Dropping it cuts the stream, which ends its terminals and all tasks; [`Connection::close`] sends a disconnect
/// message first.
pub struct Connection {
    handle: Handle<Handler>,
    transport: Arc<Transport>,
    listeners: Arc<ForwardListeners>,
    config: Config,
    /// Whether a channel has been requested.
    has_asked: AtomicBool,
    _cut: CutOnDrop,
}

impl Connection {
    pub(super) fn new(
        handle: Handle<Handler>,
        transport: Arc<Transport>,
        listeners: Arc<ForwardListeners>,
        cut: CutOnDrop,
        config: Config,
    ) -> Self {
        Self { handle, transport, listeners, config, has_asked: AtomicBool::new(false), _cut: cut }
    }

    pub(super) fn handle(&self) -> &Handle<Handler> {
        &self.handle
    }

    pub(super) fn transport(&self) -> &Arc<Transport> {
        &self.transport
    }

    pub(super) fn listeners(&self) -> &Arc<ForwardListeners> {
        &self.listeners
    }

    pub(super) fn handle_mut(&mut self) -> &mut Handle<Handler> {
        &mut self.handle
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn failed(&self, stage: Stage, error: russh::Error) -> Error {
        self.transport.error(stage, error)
    }

    /// Opens a channel and starts `request` in it. The PTY, the variables and the command are sent together, before
    /// the answers are awaited.
    ///
    /// A command without a PTY is a [`Terminal`] too: its stdout and stderr are separate, and its input can end. If the
    /// agent is offered ([`Connection::offer_agent`]), its forwarding is requested first; a refusal is logged and the
    /// session continues without it.
    ///
    /// Output is never dropped: a reader that stops stalls the server, and with it the other channels of this
    /// connection.
    ///
    /// # Errors
    /// [`Error::ChannelRefused`], [`Error::PtyRefused`], [`Error::CommandRefused`], a timeout or a broken
    /// connection.
    pub async fn open(
        &self,
        request: &ChannelRequest,
        observer: &dyn StageObserver,
    ) -> Result<Terminal, Error> {
        let timeouts = &self.config.timeouts;
        let opening = async {
            match &request.watcher {
                Some(_) => {
                    match tokio::join!(self.open_channel(), self.open_channel()) {
                        (Ok(watcher), Ok(channel)) => Ok((channel, Some(watcher))),
                        (Ok(alone), Err(error)) | (Err(error), Ok(alone)) => {
                            // An unused channel would otherwise hold a session until the connection ends.
                            let _ = alone.close().await;
                            Err(error)
                        }
                        (Err(error), Err(_)) => Err(error),
                    }
                }
                None => Ok((self.open_channel().await?, None)),
            }
        };
        let timer = StageTimer::start(Stage::Channel, observer);
        let opening = within(Stage::Channel, timeouts.channel, opening).await.flatten();
        let (channel, watcher) = timer.finish(opening)?;
        let watcher = watcher.map(|watcher| Watcher::start(watcher, &self.transport, timeouts));
        let watching = watcher.as_ref().map(Watcher::requests);
        let mut opened = OpenChannel::start(channel, &self.transport, timeouts, watcher);

        let agent = self.listeners.has_agent();
        let timer = StageTimer::start(Stage::Shell, observer);
        let starting = async {
            if let (Some(watching), Some(command)) = (&watching, &request.watcher) {
                watching.exec(true, command.as_bytes()).await?;
            }
            opened.send(request, agent).await
        };
        let started = within(Stage::Shell, timeouts.shell, starting)
            .await
            .and_then(|started| started.map_err(|error| self.failed(Stage::Shell, error)));
        let answered = match started {
            Ok(()) => within(Stage::Shell, timeouts.shell, opened.answers(request, agent)).await.flatten(),
            Err(error) => Err(error),
        };
        timer.finish(answered)?;
        Ok(opened.into_terminal(request.pty.is_some()))
    }

    async fn open_channel(&self) -> Result<russh::Channel<client::Msg>, Error> {
        let answer = self.handle.channel_open_session();
        let opened = if self.has_asked.swap(true, Ordering::Relaxed) {
            answer.await
        } else {
            nudging(&self.transport, answer, || self.handle.send_keepalive(true)).await
        };
        opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(reason) => {
                Error::ChannelRefused { reason: reason.description().to_lowercase() }
            }
            error => self.failed(Stage::Channel, error),
        })
    }

    /// Measures a round trip to the server; `None` if the connection ends first or the answer takes longer than
    /// [`Timeouts::round_trip`](super::Timeouts::round_trip). Every server answers: one that does not know the
    /// request refuses it (RFC 4254, section 4).
    pub async fn round_trip(&self) -> Option<Duration> {
        let began = Instant::now();
        let ping = tokio::time::timeout(self.config.timeouts.round_trip, self.handle.send_ping());
        tokio::select! {
            () = self.transport.gone.cancelled() => None,
            answered = ping => answered.ok()?.ok().map(|()| began.elapsed()),
        }
    }

    /// Returns whether the connection is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed() || self.transport.gone.is_cancelled()
    }

    /// Resolves when the connection is closed by either side, and returns the reason if it is known.
    pub async fn closed(&self) -> Option<String> {
        self.transport.gone.cancelled().await;
        self.transport.reason()
    }

    /// Sends a disconnect message and waits, at most twice [`Timeouts::close`](super::Timeouts::close), until the
    /// connection has ended.
    pub async fn close(&self) {
        let disconnect = async {
            let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
            self.transport.gone.cancelled().await;
        };
        if tokio::time::timeout(self.config.timeouts.close, disconnect).await.is_err() {
            self.transport.cut();
            let _ = tokio::time::timeout(self.config.timeouts.close, self.transport.gone.cancelled()).await;
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}
