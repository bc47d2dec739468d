//! What ends a verb: a signal, EOF on stdin if requested, or a deadline.

use std::io::{self, Read};

#[cfg(any(feature = "client", feature = "gateway"))]
use super::exit;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// The registered signals that end a verb. Register them before creating anything that needs cleanup.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    deadline: Option<Instant>,
}

/// Why a verb should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum StopReason {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    Hangup,
    /// Stdin reached its end.
    StdinClosed,
    /// The deadline passed.
    Deadline,
}

impl StopReason {
    /// Returns the exit status: a signal's as a shell reports it, 0 for EOF on stdin, [`exit::TIMEOUT`] for a deadline.
    #[cfg(any(feature = "client", feature = "gateway"))]
    #[must_use]
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Hangup => 129,
            Self::Interrupt => 130,
            Self::Terminate => 143,
            Self::StdinClosed => 0,
            Self::Deadline => exit::TIMEOUT,
        }
    }
}

impl Signals {
    /// Handles SIGINT, SIGTERM and SIGHUP for the rest of the process, even if they were ignored at its start.
    ///
    /// # Errors
    /// When the runtime cannot register a handler.
    pub(crate) fn register() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            deadline: None,
        })
    }

    /// Adds `deadline` as a reason to end.
    #[cfg(feature = "client")]
    #[must_use]
    pub(crate) fn until(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// Returns the next reason to end; a deadline passes once. Cancel safe.
    pub(crate) async fn next(&mut self) -> StopReason {
        let deadline = self.deadline;
        let passed = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = passed => {
                self.deadline = None;
                StopReason::Deadline
            }
            _ = self.interrupt.recv() => StopReason::Interrupt,
            _ = self.terminate.recv() => StopReason::Terminate,
            _ = self.hangup.recv() => StopReason::Hangup,
        }
    }

    /// The same, with EOF on stdin as a reason if `watch_stdin`.
    #[cfg(any(feature = "client", feature = "emulator"))]
    pub(crate) async fn stop(&mut self, watch_stdin: bool) -> StopReason {
        if !watch_stdin {
            return self.next().await;
        }
        tokio::select! {
            reason = self.next() => reason,
            () = stdin_closed() => StopReason::StdinClosed,
        }
    }
}

/// Waits for EOF on stdin if `watch`, otherwise forever.
#[cfg(feature = "gateway")]
pub(crate) async fn end_of_stdin(watch: bool) {
    if watch { stdin_closed().await } else { std::future::pending().await }
}

/// Waits for EOF on stdin, discarding input on a dedicated thread: a blocking task would keep the runtime from shutting
/// down.
async fn stdin_closed() {
    let (send, closed) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("stdin".into()).spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut buffer = [0; 4096];
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = send.send(());
    });
    match spawned {
        Ok(_) => {
            let _ = closed.await;
        }
        Err(error) => {
            tracing::warn!(%error, "stdin is not watched");
            std::future::pending::<()>().await;
        }
    }
}
