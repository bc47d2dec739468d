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
use super::handshake::{Timed, closed_or_protocol, within};
use super::link::{CutOnDrop, Link};
use super::nudge::nudging;
use crate::model::{Size, Stage, StageObserver, Terminal};
use crate::setters::setters;

/// An authenticated SSH connection.
///
/// Dropping it cuts the stream, which ends its terminals and leaves no task behind; [`Connection::close`] says
/// goodbye first.
pub struct Connection {
    handle: Handle<Handler>,
    link: Arc<Link>,
    offers: Arc<Offers>,
    config: Config,
    /// Whether a channel was asked for.
    has_asked: AtomicBool,
    _cut: CutOnDrop,
}

/// What runs in a channel, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelRequest {
    /// A PTY; without one stdout and stderr stay apart and stdin can end.
    pub pty: Option<Pty>,
    /// Variables to set. The server takes those that its `AcceptEnv` names and says nothing about the rest.
    pub env: Vec<(String, String)>,
    /// The command line, for the user's login shell to read; the login shell itself when absent.
    pub command: Option<String>,
    /// A second command, without a PTY, whose stdin is held open for as long as the first runs. When that ends
    /// or is closed, its stdin ends, and [`Control::close`](crate::model::Control::close) waits for it.
    pub watcher: Option<String>,
}

/// A PTY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pty {
    /// `TERM`.
    pub term: String,
    /// Its size.
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

    /// Opens a channel and starts `request` in it: the PTY, the variables and the command are sent together,
    /// and only then are the answers awaited.
    ///
    /// A command without a PTY is a [`Terminal`] as well: its stdout and stderr come apart, its input can end.
    /// Where the agent is offered ([`Connection::offer_agent`]), its forwarding is asked for first; a server that
    /// refuses it is told of in the log, and the session goes on without.
    ///
    /// Nothing is lost or dropped: a reader that stops holds up the server, and this connection's other
    /// channels with it.
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
        let mut stage = Timed::start(Stage::Channel, observer);
        let opening = async {
            match &request.watcher {
                Some(_) => {
                    match tokio::join!(self.open_channel(), self.open_channel()) {
                        (Ok(watcher), Ok(channel)) => Ok((channel, Some(watcher))),
                        (Ok(alone), Err(error)) | (Err(error), Ok(alone)) => {
                            // Nothing else closes one that is not used: it would take a session until the end.
                            let _ = alone.close().await;
                            Err(error)
                        }
                        (Err(error), Err(_)) => Err(error),
                    }
                }
                None => Ok((self.open_channel().await?, None)),
            }
        };
        let (channel, watcher) = within(Stage::Channel, timeouts.channel, opening).await??;
        let watcher = watcher.map(|watcher| Watcher::start(watcher, &self.link, timeouts));
        let watching = watcher.as_ref().map(Watcher::requests);
        let mut opened = Opened::start(channel, &self.link, timeouts, watcher);
        stage.pass();

        let mut stage = Timed::start(Stage::Shell, observer);
        let agent = self.offers.has_agent();
        let starting = async {
            if let (Some(watching), Some(command)) = (&watching, &request.watcher) {
                watching.exec(true, command.as_bytes()).await?;
            }
            opened.send(request, agent).await
        };
        within(Stage::Shell, timeouts.shell, starting)
            .await?
            .map_err(|error| self.failed(Stage::Shell, error))?;
        within(Stage::Shell, timeouts.shell, opened.answers(request, agent)).await??;
        stage.pass();
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

    /// How long a request to the server and its answer take; `None` when the connection ends first or the answer
    /// takes longer than [`Timeouts::round_trip`](super::Timeouts::round_trip). Any server answers, one that does
    /// not know the request with a refusal (RFC 4254, section 4).
    pub async fn round_trip(&self) -> Option<Duration> {
        let began = Instant::now();
        let ping = tokio::time::timeout(self.config.timeouts.round_trip, self.handle.send_ping());
        tokio::select! {
            () = self.link.gone.cancelled() => None,
            answered = ping => answered.ok()?.ok().map(|()| began.elapsed()),
        }
    }

    /// Whether the connection is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed() || self.link.gone.is_cancelled()
    }

    /// Waits until the connection is gone, whoever ended it, and says why where that is known.
    pub async fn closed(&self) -> Option<String> {
        self.link.gone.cancelled().await;
        self.link.reason()
    }

    /// Says goodbye and waits, at most [`Timeouts::close`](super::Timeouts::close) twice, until nothing of the
    /// connection is left here.
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
