//! When a verb ends: a signal, its stdin closing where that is asked for, or a deadline.

use std::io::{self, Read};

#[cfg(any(feature = "client", feature = "gateway"))]
use super::exit;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// The signals that end a verb, registered. To be made before anything that needs cleaning up.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    deadline: Option<Instant>,
}

/// Why a verb was asked to end.
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
    /// The status of a process that this signal ended, as a shell shows it; 0 for an end of stdin.
    /// [`exit::TIMEOUT`] for a deadline.
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
    /// Takes over SIGINT, SIGTERM and SIGHUP for the rest of the process.
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

    /// The same, with `deadline` as one more reason to end.
    #[cfg(feature = "client")]
    #[must_use]
    pub(crate) fn until(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// The next of them; a deadline passes once. Cancel safe.
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

    /// The next of them, or the end of stdin when `watch_stdin`.
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

/// Waits for the end of stdin when `watch`, otherwise for ever.
#[cfg(feature = "gateway")]
pub(crate) async fn end_of_stdin(watch: bool) {
    if watch { stdin_closed().await } else { std::future::pending().await }
}

/// Waits for the end of stdin, reading it away on a thread of its own: a blocking task would keep the runtime
/// from ending.
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
