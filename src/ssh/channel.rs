//! A channel, and the task that always reads it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, Sig};
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;

use super::Error;
use super::channel_state::{ChannelState, Requests};
use super::config::Timeouts;
use super::request::ChannelRequest;
use super::terminal::{ChannelControl, ChannelInput, ChannelOutput};
use super::transport::Transport;
use crate::model::{Exit, Stage, Terminal, TerminalEvent};

/// Output messages that wait for the reader, each at most one packet.
const EVENT_QUEUE: usize = 16;

/// The number of pending answers: agent, PTY and command, with one to spare.
const ANSWER_QUEUE: usize = 4;

/// The maximum length of a signal name, in characters.
const MAX_SIGNAL_NAME: usize = 32;

/// `SSH_EXTENDED_DATA_STDERR` (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// A channel in use. It is closed if it is dropped before it becomes a terminal.
pub(super) struct OpenChannel {
    requests: Arc<Requests>,
    events: mpsc::Receiver<TerminalEvent>,
    answers: mpsc::Receiver<bool>,
    state: Arc<ChannelState>,
    transport: Arc<Transport>,
    hold: DropGuard,
}

impl OpenChannel {
    pub(super) fn start(
        channel: Channel<Msg>,
        transport: &Arc<Transport>,
        timeouts: &Timeouts,
        watcher: Option<Watcher>,
    ) -> Self {
        let (read, write) = channel.split();
        let requests = Arc::new(write);
        let (event_sender, events) = mpsc::channel(EVENT_QUEUE);
        let (answer_sender, answers) = mpsc::channel(ANSWER_QUEUE);
        let state = Arc::new(ChannelState::default());
        let task = ChannelTask {
            read,
            requests: Arc::clone(&requests),
            answers: answer_sender,
            state: Arc::clone(&state),
            transport: Arc::clone(transport),
            hangup: timeouts.hangup,
            exit: None,
            is_closed: false,
        };
        tokio::spawn(task.run(event_sender, watcher));
        let hold = state.closing.clone().drop_guard();
        Self { requests, events, answers, state, transport: Arc::clone(transport), hold }
    }

    /// Sends all requests at once, agent forwarding first.
    pub(super) async fn send(&self, request: &ChannelRequest, agent: bool) -> Result<(), russh::Error> {
        if agent {
            self.requests.agent_forward(true).await?;
        }
        if let Some(pty) = &request.pty {
            let (cols, rows) = (u32::from(pty.size.cols()), u32::from(pty.size.rows()));
            self.requests.request_pty(true, &pty.term, cols, rows, 0, 0, &[]).await?;
        }
        for (name, value) in &request.env {
            self.requests.set_env(false, name, value).await?;
        }
        match &request.command {
            Some(command) => self.requests.exec(true, command.as_bytes()).await,
            None => self.requests.request_shell(true).await,
        }
    }

    /// Awaits the answers to what was sent; a server answers in order.
    pub(super) async fn answers(&mut self, request: &ChannelRequest, agent: bool) -> Result<(), Error> {
        if agent && !self.answer().await? {
            tracing::warn!("the server refuses to forward the agent (AllowAgentForwarding)");
        }
        if request.pty.is_some() && !self.answer().await? {
            return Err(Error::PtyRefused);
        }
        if self.answer().await? { Ok(()) } else { Err(Error::CommandRefused) }
    }

    async fn answer(&mut self) -> Result<bool, Error> {
        match self.answers.recv().await {
            Some(answer) => Ok(answer),
            // A server that cannot start a command may close the channel instead of answering.
            None if self.state.outcome().is_ok() => Ok(false),
            None => Err(Error::Closed { stage: Stage::Shell, reason: self.transport.reason(), said: None }),
        }
    }

    pub(super) fn into_terminal(self, has_pty: bool) -> Terminal {
        let hold = Arc::new(self.hold);
        Terminal {
            input: Box::new(ChannelInput::new(
                Arc::clone(&self.requests),
                Arc::clone(&self.state),
                Arc::clone(&hold),
                Arc::clone(&self.transport),
                has_pty,
            )),
            output: Box::new(ChannelOutput::new(self.events, Arc::clone(&self.state), Arc::clone(&hold))),
            control: Box::new(ChannelControl::new(self.requests, self.state, hold, self.transport)),
        }
    }
}

/// The channel of a watcher. Nothing is written to it and its output is discarded; the end of its stdin starts its
/// work.
pub(super) struct Watcher {
    opened: OpenChannel,
    patience: Duration,
}

impl Watcher {
    pub(super) fn start(channel: Channel<Msg>, transport: &Arc<Transport>, timeouts: &Timeouts) -> Self {
        let mut opened = OpenChannel::start(channel, transport, timeouts, None);
        opened.events.close();
        Self { opened, patience: timeouts.watcher }
    }

    pub(super) fn requests(&self) -> Arc<Requests> {
        Arc::clone(&self.opened.requests)
    }

    /// Ends the watcher's stdin and waits until it is done. `terminal` is how the terminal ended: if the watcher
    /// ended the same way, the cause was already reported there.
    async fn finish(self, terminal: Option<&Exit>) {
        let work = async {
            let _ = self.opened.requests.eof().await;
            self.opened.state.ended.cancelled().await;
        };
        if tokio::time::timeout(self.patience, work).await.is_err() {
            tracing::warn!(after = ?self.patience, "the watcher of a terminal did not finish");
            return;
        }
        match self.opened.state.outcome() {
            Ok(Exit::Code(0)) => {}
            Ok(exit) if Some(&exit) == terminal => tracing::debug!(%exit, "neither terminal nor watcher ran"),
            Ok(exit) => tracing::warn!(%exit, "the watcher of a terminal failed"),
            Err(error) => tracing::debug!(%error, "the connection went before the watcher was done"),
        }
    }
}

/// The task of a channel.
struct ChannelTask {
    read: ChannelReadHalf,
    requests: Arc<Requests>,
    answers: mpsc::Sender<bool>,
    state: Arc<ChannelState>,
    transport: Arc<Transport>,
    hangup: Duration,
    exit: Option<Exit>,
    is_closed: bool,
}

impl ChannelTask {
    async fn run(mut self, events: mpsc::Sender<TerminalEvent>, watcher: Option<Watcher>) {
        let state = Arc::clone(&self.state);
        self.forward(&events).await;
        if !self.is_closed && !self.transport.cut.is_cancelled() && state.closing.is_cancelled() {
            self.wind_down().await;
        }
        let exit = self.exit.take();
        let outcome = match exit.clone() {
            Some(exit) => Ok(exit),
            None if self.is_closed || state.closing.is_cancelled() => Ok(Exit::Unknown),
            None => Err(self.transport.broken().to_string()),
        };
        let _ = state.outcome.set(outcome);
        state.ended.cancel();
        drop(events);
        drop(self);
        if let Some(watcher) = watcher {
            watcher.finish(exit.as_ref()).await;
        }
        state.cleared.cancel();
    }

    /// Forwards messages until the channel ends or is to be closed.
    async fn forward(&mut self, events: &mpsc::Sender<TerminalEvent>) {
        let (closing, cut) = (self.state.closing.clone(), self.transport.cut.clone());
        while !self.is_closed {
            let message = tokio::select! {
                biased;
                () = closing.cancelled() => return,
                () = cut.cancelled() => return,
                message = self.read.wait() => message,
            };
            let Some(message) = message else { return };
            let Some(event) = self.take(message) else { continue };
            tokio::select! {
                biased;
                // Without a reader nothing is lost: the loop goes on until the exit.
                _ = events.send(event) => {}
                () = closing.cancelled() => return,
                () = cut.cancelled() => return,
            }
        }
    }

    /// Updates the channel's state from a message and returns the user's part of it.
    fn take(&mut self, message: ChannelMsg) -> Option<TerminalEvent> {
        match message {
            ChannelMsg::Data { data } => Some(TerminalEvent::Output(data)),
            ChannelMsg::ExtendedData { data, ext: STDERR } => Some(TerminalEvent::Stderr(data)),
            ChannelMsg::Success => {
                let _ = self.answers.try_send(true);
                None
            }
            ChannelMsg::Failure => {
                let _ = self.answers.try_send(false);
                None
            }
            ChannelMsg::ExitStatus { exit_status } => {
                self.exit = Some(Exit::Code(exit_status));
                None
            }
            ChannelMsg::ExitSignal { signal_name, core_dumped, .. } => {
                self.exit = Some(Exit::Signal { name: signal_name_text(signal_name), core_dumped });
                None
            }
            // The exit may follow the end of the output: only the close is the end.
            ChannelMsg::Close => {
                self.is_closed = true;
                None
            }
            _ => None,
        }
    }

    /// Sends a hang-up, then a kill and a close. The implementation reports nothing of a channel after our own close,
    /// so the exit must arrive before it. A server that takes no signals (OpenSSH's for root, for one) hangs up the PTY
    /// when the channel is closed.
    async fn wind_down(&mut self) {
        let (requests, transport, hangup) =
            (Arc::clone(&self.requests), Arc::clone(&self.transport), self.hangup);
        let ended = async {
            requests.signal(Sig::HUP).await.ok()?;
            self.drain().await;
            Some(())
        };
        if bounded(hangup, &transport, ended).await {
            return;
        }
        let close = async {
            let requests = async {
                requests.signal(Sig::KILL).await.ok()?;
                requests.close().await.ok()
            };
            tokio::select! {
                closed = requests => closed,
                () = self.drain() => Some(()),
            }
        };
        bounded(hangup, &transport, close).await;
        self.is_closed = true;
    }

    /// Reads to the end of the channel and keeps only the exit.
    async fn drain(&mut self) {
        while !self.is_closed {
            let Some(message) = self.read.wait().await else { return };
            self.take(message);
        }
    }
}

/// Returns whether `work` finished within `after`, or the connection was cut.
async fn bounded(after: Duration, transport: &Transport, work: impl Future<Output = Option<()>>) -> bool {
    tokio::select! {
        biased;
        () = transport.cut.cancelled() => true,
        done = tokio::time::timeout(after, work) => matches!(done, Ok(Some(()))),
    }
}

fn signal_name_text(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => name.chars().take(MAX_SIGNAL_NAME).collect(),
        known => format!("{known:?}"),
    }
}
