//! An authenticated connection, which opens channels.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use russh::client::Handle;
use russh::{Disconnect, client};

use super::Error;
use super::channel::{Opened, Watcher};
use super::config::Config;
use super::forward::Offers;
use super::handler::Handler;
use super::handshake::{closed_or_protocol, within};
use super::link::{CutOnDrop, Link};
use super::nudge::nudging;
use crate::model::{Size, Stage, StageObserver, StageTimer, Terminal};
use crate::setters::setters;

/// An authenticated SSH connection.
///
/// Dropping it cuts the stream, which ends its terminals and all tasks; [`Connection::close`] sends a disconnect
/// message first.
pub struct Connection {
    handle: Handle<Handler>,
    link: Arc<Link>,
    offers: Arc<Offers>,
    config: Config,
    /// Whether a channel has been requested.
    has_asked: AtomicBool,
    _cut: CutOnDrop,
}

/// What to run in a channel, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelRequest {
    /// The PTY; without one, stdout and stderr are separate and stdin can end.
    pub pty: Option<Pty>,
    /// Environment variables. The server accepts those in its `AcceptEnv` and silently ignores the rest.
    pub env: Vec<(String, String)>,
    /// The command line, interpreted by the user's login shell; `None` runs the login shell itself.
    pub command: Option<String>,
    /// A second command, without a PTY, whose stdin stays open while the first one runs. When that ends or is
    /// closed, this stdin ends, and [`Control::close`](crate::model::Control::close) waits for the command.
    pub watcher: Option<String>,
}

/// A PTY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pty {
    /// `TERM`.
    pub term: String,
    /// The size.
    pub size: Size,
}

impl Connection {
    pub(super) fn new(
        handle: Handle<Handler>,
        link: Arc<Link>,
        offers: Arc<Offers>,
        cut: CutOnDrop,
        config: Config,
    ) -> Self {
        Self { handle, link, offers, config, has_asked: AtomicBool::new(false), _cut: cut }
    }

    pub(super) fn handle(&self) -> &Handle<Handler> {
        &self.handle
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    pub(super) fn offers(&self) -> &Arc<Offers> {
        &self.offers
    }

    pub(super) fn handle_mut(&mut self) -> &mut Handle<Handler> {
        &mut self.handle
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn failed(&self, stage: Stage, error: russh::Error) -> Error {
        closed_or_protocol(&self.link, stage, error)
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
        let opening = async { within(Stage::Channel, timeouts.channel, opening).await? };
        let (channel, watcher) = StageTimer::start(Stage::Channel, observer).time(opening).await?;
        let watcher = watcher.map(|watcher| Watcher::start(watcher, &self.link, timeouts));
        let watching = watcher.as_ref().map(Watcher::requests);
        let mut opened = Opened::start(channel, &self.link, timeouts, watcher);

        let agent = self.offers.has_agent();
        let shell = async {
            let starting = async {
                if let (Some(watching), Some(command)) = (&watching, &request.watcher) {
                    watching.exec(true, command.as_bytes()).await?;
                }
                opened.send(request, agent).await
            };
            within(Stage::Shell, timeouts.shell, starting)
                .await?
                .map_err(|error| self.failed(Stage::Shell, error))?;
            within(Stage::Shell, timeouts.shell, opened.answers(request, agent)).await?
        };
        StageTimer::start(Stage::Shell, observer).time(shell).await?;
        Ok(opened.into_terminal(request.pty.is_some()))
    }

    async fn open_channel(&self) -> Result<russh::Channel<client::Msg>, Error> {
        let answer = self.handle.channel_open_session();
        let opened = if self.has_asked.swap(true, Ordering::Relaxed) {
            answer.await
        } else {
            nudging(&self.link, answer, || self.handle.send_keepalive(true)).await
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
            () = self.link.gone.cancelled() => None,
            answered = ping => answered.ok()?.ok().map(|()| began.elapsed()),
        }
    }

    /// Returns whether the connection is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed() || self.link.gone.is_cancelled()
    }

    /// Resolves when the connection is closed by either side, and returns the reason if it is known.
    pub async fn closed(&self) -> Option<String> {
        self.link.gone.cancelled().await;
        self.link.reason()
    }

    /// Sends a disconnect message and waits, at most twice [`Timeouts::close`](super::Timeouts::close), until the
    /// connection has ended.
    pub async fn close(&self) {
        let goodbye = async {
            let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
            self.link.gone.cancelled().await;
        };
        if tokio::time::timeout(self.config.timeouts.close, goodbye).await.is_err() {
            self.link.cut();
            let _ = tokio::time::timeout(self.config.timeouts.close, self.link.gone.cancelled()).await;
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}

setters! {
    ChannelRequest {
        pty: Option<Pty>,
        env: Vec<(String, String)>,
        command: Option<String>,
        watcher: Option<String>,
    }
}
