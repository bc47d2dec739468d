//! The watcher of one terminal: a second exec, which outlives the first and this program, and ends the first's
//! processes.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::attach::Attached;
use super::client::{Client, Exec};
use super::error::EngineError;
use super::output::ExecReader;
use super::script;
use super::start::{NotStarted, wait_for};
use crate::docker::exec::TerminalMarker;
use crate::model::Exit;

/// The time limit for ending everything: the script itself gives up after 12 s.
const FINISH_TIMEOUT: Duration = Duration::from_secs(15);

/// A running watcher. It starts its work when its stdin ends: on [`Watch::finish`], when this is dropped, or
/// when this process is gone.
pub(super) struct Watch {
    client: Client,
    exec: String,
    streams: Mutex<Option<(ExecReader, WriteHalf<Attached>)>>,
    /// Cancelled when it has finished or was detached.
    cleared: CancellationToken,
}

/// A watcher that was started but may not be running yet. If dropped, it starts its work as soon as it runs.
pub(super) struct StartingWatch {
    client: Client,
    exec: String,
    reader: ExecReader,
    write: WriteHalf<Attached>,
}

impl StartingWatch {
    /// Waits until it is running.
    pub(super) async fn ready(mut self) -> Result<Watch, NotStarted> {
        let first_line = |output: &[u8]| output.ends_with(b"\n").then_some((output.len(), ()));
        wait_for(&self.client, &self.exec, &mut self.reader, first_line).await?;
        let streams = Mutex::new(Some((self.reader, self.write)));
        let cleared = CancellationToken::new();
        Ok(Watch { client: self.client, exec: self.exec, streams, cleared })
    }
}

impl Watch {
    /// Starts a watcher for the processes with `marker`.
    pub(super) async fn start(
        client: &Client,
        container: &str,
        marker: &TerminalMarker,
    ) -> Result<StartingWatch, NotStarted> {
        let exec =
            Exec { container, command: script::watch(marker), env: Vec::new(), tty: false, stdin: true };
        let exec = client.create(exec).await?;
        let (read, write) = tokio::io::split(client.start(&exec, false).await?);
        Ok(StartingWatch { client: client.clone(), exec, reader: ExecReader::new(read, false), write })
    }

    /// Ends its stdin and waits, within a bound, until it has ended every process.
    pub(super) async fn finish(&self) {
        let Some((mut reader, mut write)) = self.take() else {
            return self.cleared.cancelled().await;
        };
        let _cleared = self.cleared.clone().drop_guard();
        let work = async {
            write.shutdown().await.map_err(WatchError::Stream)?;
            while reader.next().await.map_err(WatchError::Stream)?.is_some() {}
            self.client.exit(&self.exec).await.map_err(WatchError::Engine)
        };
        match timeout(FINISH_TIMEOUT, work).await {
            Ok(Ok(Some(Exit::Code(0)))) => {}
            // All processes ended with the container.
            Ok(Err(WatchError::Engine(EngineError::Refused { status: 404 | 409, .. }))) => {}
            Ok(Ok(exit)) => tracing::warn!(?exit, "the watcher of a terminal failed"),
            Ok(Err(error)) => tracing::warn!(?error, "lost the connection to the watcher of a terminal"),
            Err(_) => tracing::warn!(after = ?FINISH_TIMEOUT, "the watcher of a terminal did not finish"),
        }
    }

    /// Ends its stdin and does not wait for its work.
    pub(super) fn leave(&self) {
        if self.take().is_some() {
            self.cleared.cancel();
        }
    }

    fn take(&self) -> Option<(ExecReader, WriteHalf<Attached>)> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Why the result of its work is unknown.
#[derive(Debug)]
#[allow(dead_code, reason = "used by Debug, in a log")]
enum WatchError {
    Stream(io::Error),
    Engine(EngineError),
}
