//! The audit log: the caller, workspace, time, peer and end of each terminal, and denials.
//!
//! A record goes to the log under the target `eice::audit`, and to a file where there is one. Nothing in it is a
//! secret, and nothing that came from outside can break a line.

mod file;
mod record;

use std::io;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tokio::time::timeout;

use super::sampler::Sampler;
use crate::telemetry::metrics::Metrics;

pub use file::AuditFile;
use file::Writer;
pub(super) use record::{Record, credential};

/// The timeout of writing a record.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The audit log. Without a file, records go to the log alone.
#[derive(Debug)]
pub struct Audit {
    sink: RwLock<Option<Sink>>,
    /// Samples denials, so that a flood cannot fill the disk. The metrics count all of them.
    denials: Sampler,
    metrics: Metrics,
}

#[derive(Clone, Debug)]
struct Sink {
    writer: Writer,
    is_required: bool,
}

/// A required record could not be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unwritten;

impl Audit {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { sink: RwLock::new(None), denials: Sampler::new(), metrics }
    }

    /// Switches to `file`, or to no file. With `is_required`, a terminal whose request cannot be written is refused.
    ///
    /// # Errors
    /// The writer thread cannot be started.
    pub fn write_to(&self, file: Option<AuditFile>, is_required: bool) -> io::Result<()> {
        let mut sink = self.sink.write().unwrap_or_else(PoisonError::into_inner);
        *sink = match (file, sink.take()) {
            (None, _) => None,
            (Some(file), Some(Sink { writer, .. })) => {
                writer.switch(file);
                Some(Sink { writer, is_required })
            }
            (Some(file), None) => {
                Some(Sink { writer: Writer::start(file, self.metrics.clone())?, is_required })
            }
        };
        Ok(())
    }

    /// Waits, within a bound, until all records so far are written.
    pub async fn flush(&self) {
        if let Some(Sink { writer, .. }) = self.sink()
            && timeout(WRITE_TIMEOUT, writer.flush()).await.is_err()
        {
            tracing::error!("the audit file is not written in time");
        }
    }

    /// Records without waiting.
    pub(super) fn record(&self, record: &Record) {
        record.log();
        if let Some(Sink { writer, .. }) = self.sink()
            && let Some(line) = line(record)
        {
            writer.write(line);
        }
    }

    /// Records, and waits for the write if it is required.
    pub(super) async fn record_first(&self, record: &Record) -> Result<(), Unwritten> {
        match self.sink() {
            Some(Sink { writer, is_required: true }) => {
                record.log();
                let line = line(record).ok_or(Unwritten)?;
                let written = timeout(WRITE_TIMEOUT, writer.write_and_tell(line)).await;
                if matches!(written, Ok(Ok(true))) { Ok(()) } else { Err(Unwritten) }
            }
            _ => {
                self.record(record);
                Ok(())
            }
        }
    }

    /// Records a denial, unless there are too many, in total or of `peer`.
    pub(super) fn record_denial(&self, peer: IpAddr, record: &Record) {
        let report = |suppressed| {
            tracing::info!(target: "eice::audit", suppressed, "denials that were not recorded");
        };
        if self.denials.admits(peer, report) {
            self.record(record);
        }
    }

    fn sink(&self) -> Option<Sink> {
        self.sink.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn line(record: &Record) -> Option<Vec<u8>> {
    record.line().inspect_err(|error| tracing::error!(%error, "an audit record is no JSON")).ok()
}
