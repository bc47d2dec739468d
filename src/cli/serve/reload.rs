//! SIGHUP: the configuration is read again, and what can follow it while terminals are open does.

use std::sync::Arc;

use super::source::{Loaded, Source};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::config::{Directory, needs_restart};
use crate::gateway::{Gateway, Tls};
use crate::telemetry::Log;
use crate::workspace::FileDirectory;

/// What is logged when nobody says.
pub(super) const DEFAULT_FILTER: &str = "info";

/// What runs, and where its configuration comes from.
pub(super) struct Reload {
    pub(super) source: Source,
    /// The text of the file that what cannot follow was taken from: the one of the start.
    pub(super) started_with: String,
    pub(super) gateway: Gateway,
    /// The directory, where it is a file's.
    pub(super) directory: Option<Arc<FileDirectory>>,
    pub(super) tls: Option<Arc<Tls>>,
    /// Whether the metrics have an address of their own.
    pub(super) has_metrics_listener: bool,
    /// What is logged, where the configuration says it.
    pub(super) log: Option<Log>,
}

impl Reload {
    /// Reads everything and goes on with it, or, when anything is wrong, tells what and changes nothing.
    pub(super) async fn run(&self) {
        let source = self.source.clone();
        // Files may be slow.
        let loaded = tokio::task::spawn_blocking(move || source.load()).await;
        let loaded = loaded.unwrap_or_else(|error| {
            Err(Failure::because(exit::INTERNAL, "the configuration was not read", &error))
        });
        let outcome = match loaded.and_then(|loaded| self.apply(loaded)) {
            Ok(()) => "applied",
            Err(failure) => {
                for problem in failure.details() {
                    tracing::error!(problem, "configuration");
                }
                let problem = failure.message();
                tracing::error!(problem, "not reloaded: the configuration before stays");
                "failed"
            }
        };
        self.gateway.metrics().reloads.with_label_values(&["configuration", outcome]).inc();
    }

    fn apply(&self, loaded: Loaded) -> Result<(), Failure> {
        let Loaded { text, mut config, audit } = loaded;
        // The one step that can fail comes first.
        self.gateway
            .audit()
            .write_to(audit, config.audit.is_required)
            .map_err(|error| Failure::because(exit::INTERNAL, "the audit file is not written", &error))?;
        for setting in needs_restart(&self.started_with, &text) {
            tracing::warn!(setting, "changed, and does not count before a restart");
        }
        // As long as there is no other address, the metrics stay at this one, and the other way round.
        let has_metrics = config.gateway.metrics || config.metrics_listen.is_some();
        config.gateway.metrics = has_metrics && !self.has_metrics_listener;
        match (&self.tls, config.tls) {
            (Some(tls), Some(new)) => tls.replace(new.pair),
            (None, None) => {}
            // It speaks what it spoke before, and its cookies are of that kind.
            (running, _) => config.gateway.secure_cookie = running.is_some(),
        }
        match (&self.directory, config.directory) {
            (Some(directory), Directory::File(new)) => directory.replace(new),
            (None, Directory::Database(_)) => {}
            _ => tracing::warn!(
                setting = "directory",
                "from a file to a database, or back: does not count before a restart"
            ),
        }
        self.gateway.reconfigure(config.gateway);
        if let Some(log) = &self.log {
            let filter = config.log.as_deref().unwrap_or(DEFAULT_FILTER);
            log.set_filter(filter)
                .map_err(|error| Failure::because(exit::CONFIG, "the log's filter stays", &error))?;
        }
        tracing::info!("reloaded");
        Ok(())
    }
}
