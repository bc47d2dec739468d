//! A session's one task: connect, bridge, close.

use std::future::pending;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::limits::{self, Activity};
use super::queue::{InputQueue, Piece};
use super::registry::Counts;
use super::reporter::SessionReporter;
use super::viewer_state::ViewerState;
use super::{Config, End, Event, Kill, Outcome, Request, SessionStep};
use crate::model::{
    Connect, Control, Fault, Host, Input, Output, Size, Stage, StageError, StageEvent, StageState, Terminal,
    TerminalEvent,
};

/// The context of a session's task.
pub(super) struct Run<'a> {
    pub(super) config: &'a Config,
    pub(super) events: &'a mpsc::Sender<Event>,
    pub(super) drain: &'a CancellationToken,
    pub(super) terminated: &'a CancellationToken,
    pub(super) state: &'a ViewerState,
    pub(super) counts: &'a Counts,
    pub(super) reporter: SessionReporter<'a>,
}

/// Resources that must be closed when the session ends.
#[derive(Default)]
struct Opened {
    host: Option<Box<dyn Host>>,
    terminal: Option<Terminal>,
    size: Size,
}

impl Run<'_> {
    /// Runs the session to its end, closing included.
    pub(super) async fn run(
        self,
        connect: &dyn Connect,
        request: &Request,
        queue: InputQueue,
        killed: watch::Receiver<Option<Kill>>,
    ) {
        let activity = Activity::new();
        let mut opened = Opened::default();
        tracing::info!("session opened");
        let end = tokio::select! {
            biased;
            () = self.events.closed() => None,
            () = self.drain.cancelled() => Some(End::Drained),
            why = kill_signal(killed) => Some(End::Killed(why)),
            end = limits::reached(self.config, &activity, self.events) => Some(end),
            end = self.live(connect, request, queue, &mut opened, &activity) => Some(end),
        };
        if end.as_ref().is_some_and(End::is_from_outside) {
            self.terminated.cancel();
        }
        self.reporter.ended(end.as_ref().map_or(Outcome::Left, Outcome::End));
        self.log_end(end.as_ref());
        // Concurrently, so that the viewer need not wait for the host to close.
        tokio::join!(self.report(end), self.close(opened));
        tracing::debug!("session closed");
    }

    async fn report(&self, end: Option<End>) {
        if let Some(end) = end {
            let _ = self.events.send(Event::Closed(end)).await;
        }
    }

    /// Connects and bridges until the host ends the session.
    async fn live(
        &self,
        connect: &dyn Connect,
        request: &Request,
        queue: InputQueue,
        opened: &mut Opened,
        activity: &Activity,
    ) -> End {
        if let Err(error) = self.open(connect, request, opened).await {
            return End::Failed(error);
        }
        let Opened { host: Some(host), terminal: Some(terminal), size } = opened else { return End::Drained };
        let Terminal { input, output, control } = terminal;
        tokio::select! {
            biased;
            end = self.forward_output(output.as_mut(), activity) => end,
            never = self.forward_input(queue, input.as_mut(), activity) => match never {},
            never = self.follow_size(*size, control.as_ref()) => match never {},
            never = self.measure(host.as_ref()) => match never {},
        }
    }

    /// Connects and fills `opened`, within the timeout over all stages.
    async fn open(
        &self,
        connect: &dyn Connect,
        request: &Request,
        opened: &mut Opened,
    ) -> Result<(), StageError> {
        let stages =
            Stages { events: self.events, reporter: &self.reporter, last: Mutex::new(Stage::Workspace) };
        let attempt = async {
            let host = connect.connect(&request.target, &stages).await?;
            let host = opened.host.insert(host);
            self.reporter.connected(host.ids());
            let mut terminal = request.terminal.clone();
            if request.waits_for_size {
                terminal.size = self.state.first_size().await;
            }
            opened.size = terminal.size;
            opened.terminal = Some(host.open_terminal(&terminal, &stages).await?);
            Ok::<_, StageError>(host.ids())
        };
        let ids = timeout(self.config.connect_timeout, attempt).await.unwrap_or_else(|_| {
            let seconds = self.config.connect_timeout.as_secs_f32();
            Err(StageError::new(
                stages.last(),
                Fault::Timeout,
                format!("no terminal after {seconds} s of connecting"),
            ))
        })?;
        tracing::info!(key_push = ids.key_push, tunnel = ids.tunnel, "terminal opened");
        self.reporter.step(SessionStep::Opened(self.reporter.elapsed()));
        // `run` detects a viewer that left.
        let _ = self.events.send(Event::Opened(ids)).await;
        Ok(())
    }

    /// Forwards output to the viewer, with backpressure, until the terminal ends.
    async fn forward_output(&self, output: &mut dyn Output, activity: &Activity) -> End {
        loop {
            let mut data = match output.next().await {
                Some(Ok(TerminalEvent::Output(data) | TerminalEvent::Stderr(data))) => data,
                Some(Ok(TerminalEvent::Exit(exit))) => return End::Exit(exit),
                Some(Err(error)) => return End::Broken(error),
                None => return End::Exit(crate::model::Exit::Unknown),
            };
            self.reporter.output(data.len());
            if self.config.output_is_activity {
                activity.note();
            }
            while !data.is_empty() {
                let piece = data.split_to(data.len().min(self.config.max_piece.max(1)));
                if self.events.send(Event::Output(piece)).await.is_err() {
                    return pending().await;
                }
            }
        }
    }

    /// Forwards input to the terminal. Write errors are ignored; the output side reports how the terminal ended.
    async fn forward_input(
        &self,
        mut queue: InputQueue,
        input: &mut dyn Input,
        activity: &Activity,
    ) -> std::convert::Infallible {
        let mut failed = false;
        loop {
            // The message keeps its room in the queue until it is written.
            let message = queue.next().await;
            activity.note();
            if failed {
                continue;
            }
            let written = match &message.piece {
                Piece::Data(data) => {
                    self.reporter.input(data.len());
                    let written = input.write(data.clone()).await;
                    if written.is_ok() {
                        self.state.taken.send_modify(|taken| *taken += data.len() as u64);
                    }
                    written
                }
                Piece::End => input.end().await,
            };
            if let Err(error) = written {
                tracing::debug!(%error, "input ended");
                failed = true;
            }
        }
    }

    /// Resizes the terminal whenever the viewer's size differs.
    async fn follow_size(&self, mut has: Size, control: &dyn Control) -> std::convert::Infallible {
        let mut sizes = self.state.size.subscribe();
        loop {
            let wanted = *sizes.borrow_and_update();
            if let Some(size) = wanted.filter(|size| *size != has) {
                if let Err(error) = control.resize(size).await {
                    tracing::debug!(%error, "cannot resize the terminal");
                }
                has = size;
            }
            if sizes.changed().await.is_err() {
                pending::<()>().await;
            }
        }
    }

    /// Measures the round trip to the host on request of the viewer.
    async fn measure(&self, host: &dyn Host) -> std::convert::Infallible {
        loop {
            self.state.measure.notified().await;
            let round_trip = host.round_trip().await;
            if let Some(took) = round_trip {
                self.reporter.step(SessionStep::RoundTrip(took));
            }
            self.state.round_trip.send_replace(round_trip);
        }
    }

    /// Closes the terminal and the host, each within a timeout, after which it is dropped.
    async fn close(&self, opened: Opened) {
        let within = self.config.close_timeout;
        if let Some(Terminal { input, mut output, control }) = opened.terminal {
            // Read on: a connection may wait for an unread channel before it hears that it is closed.
            let rest = async {
                while let Some(Ok(_)) = output.next().await {}
                pending::<()>().await;
            };
            let closed = async {
                tokio::select! {
                    () = control.close() => {}
                    () = rest => {}
                }
            };
            if timeout(within, closed).await.is_err() {
                tracing::warn!("the terminal did not close in time; dropped");
            }
            drop(input);
        }
        if let Some(host) = opened.host
            && timeout(within, host.close()).await.is_err()
        {
            tracing::warn!("the connection did not close in time; dropped");
        }
    }

    fn log_end(&self, end: Option<&End>) {
        let end: &dyn std::fmt::Display = match end {
            None => &"the viewer left",
            Some(End::Exit(exit)) => exit,
            Some(End::Drained) => &"drained",
            Some(End::Limit(limit)) => &format!("the limit of its {limit:?} is reached").to_lowercase(),
            Some(End::Killed(why)) => &format!("ended by {why:?}").to_lowercase(),
            Some(End::Failed(error)) => &format!("{} failed: {}", error.stage(), error.chain()),
            Some(End::Broken(error)) => &error.to_string().escape_debug().to_string(),
        };
        tracing::info!(
            %end,
            seconds = self.reporter.elapsed().as_secs_f64(),
            input_bytes = self.counts.input.load(Ordering::Relaxed),
            output_bytes = self.counts.output.load(Ordering::Relaxed),
            "session ended"
        );
    }
}

/// Resolves when the session is killed.
async fn kill_signal(mut killed: watch::Receiver<Option<Kill>>) -> Kill {
    match killed.wait_for(Option::is_some).await.map(|why| *why) {
        Ok(Some(why)) => why,
        _ => pending().await,
    }
}

/// Forwards stages to the viewer and remembers the last one that started.
struct Stages<'a> {
    events: &'a mpsc::Sender<Event>,
    reporter: &'a SessionReporter<'a>,
    last: Mutex<Stage>,
}

impl Stages<'_> {
    fn last(&self) -> Stage {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl crate::model::StageObserver for Stages<'_> {
    fn on_stage(&self, event: StageEvent) {
        match event.state {
            StageState::Started => {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = event.stage;
            }
            state => tracing::debug!(stage = %event.stage, ?state, "stage"),
        }
        self.reporter.step(SessionStep::Stage(event));
        // Dropped if the viewer is behind: an observer must not wait.
        let _ = self.events.try_send(Event::Stage(event));
    }
}
