//! SIGHUP: reads the configuration again and applies what can change while terminals are open.

use std::sync::Arc;

use super::source::{Loaded, Source};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::config::{Directory, needs_restart};
use crate::gateway::{Gateway, Tls};
use crate::telemetry::Log;
use crate::workspace::FileDirectory;

/// The default log filter.
pub(super) const DEFAULT_FILTER: &str = "info";

/// The running gateway and the source of its configuration.
pub(super) struct Reload {
    pub(super) source: Source,
    /// The file's text at the start, for settings that need a restart.
    pub(super) started_with: String,
    pub(super) gateway: Gateway,
    /// The directory, if it is a file.
    pub(super) directory: Option<Arc<FileDirectory>>,
    pub(super) tls: Option<Arc<Tls>>,
    /// Whether the metrics have a separate address.
    pub(super) has_metrics_listener: bool,
    /// The log, if the configuration sets its filter.
    pub(super) log: Option<Log>,
}

impl Reload {
    /// Reads and applies everything, or, on any error, logs it and changes nothing.
    pub(super) async fn run(&self) {
        let source = self.source.clone();
        // Reading files may block.
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
        // The only step that can fail is first.
        self.gateway
            .audit()
            .write_to(audit, config.audit.is_required)
            .map_err(|error| Failure::because(exit::INTERNAL, "the audit file is not written", &error))?;
        for setting in needs_restart(&self.started_with, &text) {
            tracing::warn!(setting, "changed, and does not count before a restart");
        }
        // The metrics stay on the address on which they were started.
        let has_metrics = config.gateway.metrics || config.metrics_listen.is_some();
        config.gateway.metrics = has_metrics && !self.has_metrics_listener;
        match (&self.tls, config.tls) {
            (Some(tls), Some(new)) => tls.replace(new.pair),
            (None, None) => {}
            // TLS stays on or off, and so does the cookies' Secure attribute.
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
