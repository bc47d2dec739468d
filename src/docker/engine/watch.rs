//! The watcher of one terminal: a second exec, which outlives the first and us and ends what is left of the first.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::attach::Attached;
use super::client::{Client, Exec};
use super::error::EngineError;
use super::open::{NotStarted, wait_for};
use super::output::Reader;
use super::script;
use crate::docker::Marker;
use crate::model::Exit;

/// How long it may take to end everything: it gives up itself after 12 s.
const PATIENCE: Duration = Duration::from_secs(15);

/// A watcher that runs. It sets to work when its stdin ends: by [`Watch::finish`], or when this is dropped, or when this
/// process is gone.
pub(super) struct Watch {
    client: Client,
    exec: String,
    streams: Mutex<Option<(Reader, WriteHalf<Attached>)>>,
    /// It has done its work, or is out of our hands.
    cleared: CancellationToken,
}

/// A watcher that was started, and may not watch yet. Dropped, it sets to work as soon as it does.
pub(super) struct Starting {
    client: Client,
    exec: String,
    reader: Reader,
    write: WriteHalf<Attached>,
}

impl Starting {
    /// Waits until it watches.
    pub(super) async fn ready(mut self) -> Result<Watch, NotStarted> {
        let says_a_line = |said: &[u8]| said.ends_with(b"\n").then_some((said.len(), ()));
        wait_for(&self.client, &self.exec, &mut self.reader, says_a_line).await?;
        let streams = Mutex::new(Some((self.reader, self.write)));
        let cleared = CancellationToken::new();
        Ok(Watch { client: self.client, exec: self.exec, streams, cleared })
    }
}

impl Watch {
    /// Starts one over the processes with `marker`.
    pub(super) async fn start(
        client: &Client,
        container: &str,
        marker: &Marker,
    ) -> Result<Starting, NotStarted> {
        let exec =
            Exec { container, command: script::watch(marker), env: Vec::new(), tty: false, stdin: true };
        let exec = client.create(exec).await?;
        let (read, write) = tokio::io::split(client.start(&exec, false).await?);
        Ok(Starting { client: client.clone(), exec, reader: Reader::new(read, false), write })
    }

    /// Ends its stdin and waits, within a bound, until it has ended everything.
    pub(super) async fn finish(&self) {
        let Some((mut reader, mut write)) = self.take() else {
            return self.cleared.cancelled().await;
        };
        let _cleared = self.cleared.clone().drop_guard();
        let work = async {
            write.shutdown().await.map_err(Failure::Stream)?;
            while reader.next().await.map_err(Failure::Stream)?.is_some() {}
            self.client.exit(&self.exec).await.map_err(Failure::Engine)
        };
        match timeout(PATIENCE, work).await {
            Ok(Ok(Some(Exit::Code(0)))) => {}
            // Everything in it has ended with the container.
            Ok(Err(Failure::Engine(EngineError::Refused { status: 404 | 409, .. }))) => {}
            Ok(Ok(exit)) => tracing::warn!(?exit, "the watcher of a terminal failed"),
            Ok(Err(error)) => tracing::warn!(?error, "the watcher of a terminal cannot be heard"),
            Err(_) => tracing::warn!(after = ?PATIENCE, "the watcher of a terminal did not finish"),
        }
    }

    /// Ends its stdin and leaves it to its work.
    pub(super) fn leave(&self) {
        if self.take().is_some() {
            self.cleared.cancel();
        }
    }

    fn take(&self) -> Option<(Reader, WriteHalf<Attached>)> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Why nothing is known of its work.
#[derive(Debug)]
#[allow(dead_code, reason = "shown as it is, in a log")]
enum Failure {
    Stream(io::Error),
    Engine(EngineError),
}
