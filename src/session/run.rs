//! A session's one task: connect, bridge, close.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::queue::InputQueue;
use super::{Config, End, Event, Request};
use crate::terminal::{
    Connect, Fault, Host, Input, Output, Stage, StageError, StageEvent, StageState, Terminal, TerminalEvent,
};

/// The largest piece of input that is handed to a terminal at once, in bytes: a paste is not one write of 16 MiB.
const MAX_INPUT_PIECE: usize = 32 << 10;

/// What every part of the task looks at.
pub(super) struct Run<'a> {
    pub(super) config: &'a Config,
    pub(super) events: &'a mpsc::Sender<Event>,
    pub(super) drain: &'a CancellationToken,
}

/// What was opened and must be closed again, whichever way the session ends.
#[derive(Default)]
struct Opened {
    host: Option<Box<dyn Host>>,
    terminal: Option<Terminal>,
}

/// Bytes each way, for the log.
#[derive(Default)]
struct Counts {
    input: AtomicU64,
    output: AtomicU64,
}

impl Run<'_> {
    /// Runs the session to its end, closing included.
    pub(super) async fn run(self, connect: &dyn Connect, request: &Request, queue: InputQueue) {
        let began = Instant::now();
        let counts = Counts::default();
        let mut opened = Opened::default();
        tracing::info!("session opened");
        let end = tokio::select! {
            biased;
            () = self.events.closed() => None,
            () = self.drain.cancelled() => Some(End::Drained),
            end = self.live(connect, request, queue, &mut opened, &counts) => Some(end),
        };
        log_end(end.as_ref(), began, &counts);
        // The viewer learns the end while the far side is being closed, not after it.
        tokio::join!(self.tell(end), self.close(opened));
        tracing::debug!("session closed");
    }

    async fn tell(&self, end: Option<End>) {
        if let Some(end) = end {
            let _ = self.events.send(Event::Closed(end)).await;
        }
    }

    /// Connects and bridges until the far side ends it.
    async fn live(
        &self,
        connect: &dyn Connect,
        request: &Request,
        queue: InputQueue,
        opened: &mut Opened,
        counts: &Counts,
    ) -> End {
        if let Err(error) = self.open(connect, request, opened).await {
            return End::Failed(error);
        }
        let Some(Terminal { input, output, .. }) = &mut opened.terminal else { return End::Drained };
        tokio::select! {
            biased;
            end = self.forward_output(output.as_mut(), counts) => end,
            never = forward_input(queue, input.as_mut(), counts) => match never {},
        }
    }

    /// Fills `opened`, within the deadline over all stages.
    async fn open(
        &self,
        connect: &dyn Connect,
        request: &Request,
        opened: &mut Opened,
    ) -> Result<(), StageError> {
        let stages = Stages { events: self.events, last: Mutex::new(Stage::Workspace) };
        let attempt = async {
            let host = connect.connect(&request.target, &stages).await?;
            let host = opened.host.insert(host);
            opened.terminal = Some(host.open_terminal(&request.terminal, &stages).await?);
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
        // A viewer that is gone is noticed where the whole session is run.
        let _ = self.events.send(Event::Opened(ids)).await;
        Ok(())
    }

    /// Hands the viewer what the terminal says, waiting for a slow viewer, until the terminal ends.
    async fn forward_output(&self, output: &mut dyn Output, counts: &Counts) -> End {
        loop {
            let mut data = match output.next().await {
                Some(Ok(TerminalEvent::Output(data) | TerminalEvent::Stderr(data))) => data,
                Some(Ok(TerminalEvent::Exit(exit))) => return End::Exit(exit),
                Some(Err(error)) => return End::Broken(error),
                None => return End::Exit(crate::terminal::Exit::Unknown),
            };
            counts.output.fetch_add(data.len() as u64, Ordering::Relaxed);
            while !data.is_empty() {
                let piece = data.split_to(data.len().min(self.config.max_piece.max(1)));
                if self.events.send(Event::Output(piece)).await.is_err() {
                    return pending().await;
                }
            }
        }
    }

    /// Closes what is open, each part within its bound; dropping is what remains to do when one passes.
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
}

/// Hands the terminal what the viewer types. An input that fails stays silent: how the terminal ended is told by
/// its output.
async fn forward_input(
    mut queue: InputQueue,
    input: &mut dyn Input,
    counts: &Counts,
) -> std::convert::Infallible {
    let mut failed = false;
    while let Some(mut message) = queue.next().await {
        let mut data = std::mem::take(&mut message.data);
        while !failed && !data.is_empty() {
            let piece: Bytes = data.split_to(data.len().min(MAX_INPUT_PIECE));
            counts.input.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if let Err(error) = input.write(piece).await {
                tracing::debug!(%error, "input ended");
                failed = true;
            }
        }
    }
    pending().await
}

/// Passes stages on to the viewer and remembers the last that began.
struct Stages<'a> {
    events: &'a mpsc::Sender<Event>,
    last: Mutex<Stage>,
}

impl Stages<'_> {
    fn last(&self) -> Stage {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl crate::terminal::StageObserver for Stages<'_> {
    fn on_stage(&self, event: StageEvent) {
        match event.state {
            StageState::Started => {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = event.stage;
            }
            state => tracing::debug!(stage = %event.stage, ?state, "stage"),
        }
        // Left out when the viewer is behind: an observer must not wait.
        let _ = self.events.try_send(Event::Stage(event));
    }
}

fn log_end(end: Option<&End>, began: Instant, counts: &Counts) {
    let end: &dyn std::fmt::Display = match end {
        None => &"the viewer left",
        Some(End::Exit(exit)) => exit,
        Some(End::Drained) => &"drained",
        Some(End::Failed(error)) => &format!("{} failed: {}", error.stage(), error.chain()),
        Some(End::Broken(error)) => &error.to_string().escape_debug().to_string(),
    };
    tracing::info!(
        %end,
        seconds = began.elapsed().as_secs_f64(),
        input_bytes = counts.input.load(Ordering::Relaxed),
        output_bytes = counts.output.load(Ordering::Relaxed),
        "session ended"
    );
}
