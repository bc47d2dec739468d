//! The metrics of a gateway, in Prometheus's text format 0.0.4.
//!
//! Every name begins with `molecule_terminal_`, the prefix that the platform uses too; `docs/operations.md` says what
//! each is for. Labels have few values: the only ones from outside are the ids of endpoints, at most [`MAX_ENDPOINTS`]
//! of them. No label contains a workspace, a user or an address.

mod maker;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{
    Error, Gauge, Histogram, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use super::process;
use maker::Maker;

/// The maximum number of endpoint labels; further endpoints count as [`OTHER`].
pub const MAX_ENDPOINTS: usize = 64;

/// The label for everything beyond a limit.
pub const OTHER: &str = "other";

/// The maximum number of connections per endpoint (EC2 Instance Connect Endpoint, quotas).
const MAX_TUNNELS: i64 = 20;

/// Upper bounds in seconds for one network step: 1 ms to a minute.
const STAGES: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Upper bounds in seconds for a keystroke and its echo: 0.1 ms to 2.5 s.
const ECHO: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Upper bounds in seconds for a request or a query: 1 ms to 30 s.
const REQUESTS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Upper bounds in seconds for a session: 10 s to 12 hours.
const SESSIONS: &[f64] = &[10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0];

/// A gateway's metrics, in their own registry. Cheap to clone; clones share all values.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    endpoints: Arc<Mutex<BTreeSet<String>>>,
    tunnels: IntGaugeVec,
    stages: HistogramVec,
    resident_memory: IntGauge,
    open_files: IntGauge,
    max_files: IntGauge,
    /// Connections that the gateway serves.
    pub connections: IntGauge,
    /// 1 while the gateway drains: it accepts no new terminals.
    pub draining: IntGauge,
    /// By `state`: connecting, open, closing.
    pub sessions: IntGaugeVec,
    /// The maximum number of sessions.
    pub sessions_limit: IntGauge,
    /// By `end`, which is how the session ended.
    pub session_ends: IntCounterVec,
    /// The duration of sessions.
    pub session_duration: Histogram,
    /// Open browser sockets by `protocol`.
    pub viewers: IntGaugeVec,
    /// By `code`: the sent close codes, `left` for a viewer that closed its socket, `lost` for a broken one.
    pub closes: IntCounterVec,
    /// By `stage` and `fault`.
    pub connect_failures: IntCounterVec,
    /// From the start of connecting to the terminal's first byte.
    pub first_byte: Histogram,
    /// By `leg`: `instance` is the round trip to the instance, `gateway` the time inside the gateway.
    pub echo: HistogramVec,
    /// By `direction`: `in` is input, `out` is output.
    pub bytes: IntCounterVec,
    /// By `reason`.
    pub denials: IntCounterVec,
    /// By `method`, `route` and `status`.
    pub requests: IntCounterVec,
    /// By `method` and `route`.
    pub request_duration: HistogramVec,
    /// By `outcome`: answered, failed, timeout.
    pub directory_queries: HistogramVec,
    /// By `outcome`: written, failed, dropped.
    pub audit_records: IntCounterVec,
    /// Activities that were dropped because the queue was full.
    pub activities_dropped: IntCounterVec,
    /// By `outcome`: completed, failed, timeout, plain.
    pub tls_handshakes: IntCounterVec,
    /// When the certificate ends, in seconds since 1970; 0 without TLS.
    pub certificate_not_after: Gauge,
    /// By `what` (configuration, certificate) and `outcome` (applied, failed).
    pub reloads: IntCounterVec,
}

impl Metrics {
    /// Creates the metrics with all values at zero.
    #[must_use]
    #[allow(clippy::expect_used, reason = "names and labels are literals, held by a test")]
    pub fn new() -> Self {
        Self::register(Registry::new()).expect("every metric has a name of its own and valid labels")
    }

    fn register(registry: Registry) -> Result<Self, Error> {
        let make = Maker::new(&registry);
        let build = make.gauges("build_info", "The running version; always 1.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let started =
            make.float("process_start_time_seconds", "Start time of the process, in seconds since 1970.")?;
        started.set(now());
        make.gauge("tunnels_limit", "Maximum open tunnels of an endpoint, an AWS quota.")?.set(MAX_TUNNELS);
        let metrics = Self {
            endpoints: Arc::default(),
            tunnels: make.gauges("tunnels", "Open tunnels of this process by endpoint.", &["endpoint"])?,
            stages: make.histograms(
                "stage_duration_seconds",
                "Duration of each stage of connecting.",
                &["stage", "outcome"],
                STAGES,
            )?,
            resident_memory: make.gauge("process_resident_memory_bytes", "Memory in use.")?,
            open_files: make.gauge("process_open_fds", "Open files and sockets.")?,
            max_files: make.gauge("process_max_fds", "Maximum open files and sockets.")?,
            connections: make.gauge("connections", "Connections of browsers and other clients.")?,
            draining: make.gauge("draining", "1 once no new terminals are taken.")?,
            sessions: make.gauges("sessions", "Terminals by state.", &["state"])?,
            sessions_limit: make.gauge("sessions_limit", "Maximum number of terminals.")?,
            session_ends: make.counters("session_ends_total", "Ended terminals by reason.", &["end"])?,
            session_duration: make.histogram(
                "session_duration_seconds",
                "Duration of terminals.",
                SESSIONS,
            )?,
            viewers: make.gauges("viewers", "Open browser sockets.", &["protocol"])?,
            closes: make.counters("closes_total", "Closed browser sockets by close code.", &["code"])?,
            connect_failures: make.counters(
                "connect_failures_total",
                "Terminals that did not open, by failed stage and fault.",
                &["stage", "fault"],
            )?,
            first_byte: make.histogram(
                "first_byte_seconds",
                "From the start of connecting to the terminal's first byte.",
                STAGES,
            )?,
            echo: make.histograms(
                "echo_seconds",
                "Parts of a keystroke's echo: round trip to the instance, time inside the gateway.",
                &["leg"],
                ECHO,
            )?,
            bytes: make.counters(
                "bytes_total",
                "Bytes of terminals: in is input, out is output.",
                &["direction"],
            )?,
            denials: make.counters("denials_total", "Denied requests by reason.", &["reason"])?,
            requests: make.counters(
                "http_requests_total",
                "Answered requests; a terminal counts with its upgrade.",
                &["method", "route", "status"],
            )?,
            request_duration: make.histograms(
                "http_request_duration_seconds",
                "Duration of requests; a terminal's ends with its upgrade.",
                &["method", "route"],
                REQUESTS,
            )?,
            directory_queries: make.histograms(
                "directory_query_duration_seconds",
                "Duration of queries to the workspace directory.",
                &["outcome"],
                REQUESTS,
            )?,
            audit_records: make.counters("audit_records_total", "Audit records by outcome.", &["outcome"])?,
            activities_dropped: make.counters(
                "activities_dropped_total",
                "Activities dropped because the queue was full.",
                &[],
            )?,
            tls_handshakes: make.counters("tls_handshakes_total", "TLS handshakes.", &["outcome"])?,
            certificate_not_after: make.float(
                "tls_certificate_not_after_seconds",
                "When the certificate ends, in seconds since 1970; 0 without TLS.",
            )?,
            reloads: make.counters("reloads_total", "Reloads while serving.", &["what", "outcome"])?,
            registry,
        };
        metrics.begin();
        Ok(metrics)
    }

    /// Exports every known counter at zero from the start, so that the first failure is an increase.
    fn begin(&self) {
        for state in ["connecting", "open", "closing"] {
            self.sessions.with_label_values(&[state]);
        }
        for direction in ["in", "out"] {
            self.bytes.with_label_values(&[direction]);
        }
        for outcome in ["answered", "failed", "timeout"] {
            self.directory_queries.with_label_values(&[outcome]);
        }
        for outcome in ["written", "failed", "dropped"] {
            self.audit_records.with_label_values(&[outcome]);
        }
        self.activities_dropped.with_label_values::<&str>(&[]);
        for outcome in ["completed", "failed", "timeout", "plain"] {
            self.tls_handshakes.with_label_values(&[outcome]);
        }
        for what in ["configuration", "certificate"] {
            for outcome in ["applied", "failed"] {
                self.reloads.with_label_values(&[what, outcome]);
            }
        }
    }

    /// Records the end of a stage of connecting.
    pub fn stage(&self, stage: &str, passed: bool, took: Duration) {
        let outcome = if passed { "passed" } else { "failed" };
        self.stages.with_label_values(&[stage, outcome]).observe(took.as_secs_f64());
    }

    /// Counts a tunnel through `endpoint` until the returned value is dropped.
    #[must_use]
    pub fn tunnel(&self, endpoint: &str) -> GaugeGuard {
        let mut known = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let name = if known.contains(endpoint) {
            endpoint
        } else if known.len() < MAX_ENDPOINTS {
            known.insert(endpoint.to_owned());
            endpoint
        } else {
            OTHER
        };
        GaugeGuard::count(self.tunnels.with_label_values(&[name]))
    }

    /// Returns all metrics as text, and its `Content-Type`.
    ///
    /// # Errors
    /// If a metric cannot be encoded: a bug in this program.
    pub fn render(&self) -> Result<(&'static str, String), Error> {
        if let Some(usage) = process::Usage::now() {
            self.resident_memory.set(usage.resident_bytes);
            self.open_files.set(usage.open_files);
            self.max_files.set(usage.max_files);
        }
        let text = TextEncoder::new().encode_to_string(&self.registry.gather())?;
        Ok((prometheus::TEXT_FORMAT, text))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts one in a gauge until it is dropped.
#[derive(Debug)]
pub struct GaugeGuard(IntGauge);

impl GaugeGuard {
    /// Increments `gauge`.
    #[must_use]
    pub fn count(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Returns the seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(metrics: &Metrics, start: &str) -> Option<String> {
        let (_, text) = metrics.render().unwrap();
        text.lines().find(|line| line.starts_with(start)).map(str::to_owned)
    }

    #[test]
    fn output_is_valid_prometheus_text() {
        let (content_type, text) = Metrics::new().render().unwrap();
        assert_eq!(content_type, "text/plain; version=0.0.4");
        for line in text.lines() {
            let name = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")).unwrap_or(line);
            assert!(name.starts_with("molecule_terminal_"), "{line}");
        }
        let version = concat!("molecule_terminal_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1");
        assert!(text.lines().any(|line| line == version));
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            line.rsplit_once(' ').unwrap().1.parse().unwrap()
        };
        assert!((now() - value("molecule_terminal_process_start_time_seconds")).abs() < 60.0);
        assert!(value("molecule_terminal_process_resident_memory_bytes") > 1e6);
        assert!(value("molecule_terminal_process_open_fds") >= 3.0);
        assert!(value("molecule_terminal_process_max_fds") >= value("molecule_terminal_process_open_fds"));
    }

    #[test]
    fn operations_page_lists_every_metric() {
        let page = include_str!("../../docs/operations.md");
        let table = page.split("## Metrics").nth(1).unwrap().split("## Alerts").next().unwrap();
        let rows =
            table.lines().filter(|line| line.starts_with("| `")).filter_map(|row| row.split(" | ").next());
        let mut listed: Vec<_> = rows.flat_map(|names| names.split('`').skip(1).step_by(2)).collect();
        listed.sort_unstable();
        let metrics = Metrics::new();
        // Metrics with labels from outside appear once they have a value.
        metrics.session_ends.with_label_values(&["exit"]).inc();
        metrics.viewers.with_label_values(&["legacy"]).inc();
        metrics.closes.with_label_values(&["1000"]).inc();
        metrics.connect_failures.with_label_values(&["tls", "tls"]).inc();
        metrics.echo.with_label_values(&["gateway"]).observe(0.1);
        metrics.denials.with_label_values(&["host"]).inc();
        metrics.requests.with_label_values(&["GET", "page", "200"]).inc();
        metrics.request_duration.with_label_values(&["GET", "page"]).observe(0.1);
        metrics.stage("tls", true, Duration::from_millis(1));
        let _tunnel = metrics.tunnel("eice-1");
        let (_, text) = metrics.render().unwrap();
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE molecule_terminal_"));
        let mut names: Vec<_> = names.filter_map(|line| line.split(' ').next()).collect();
        names.sort_unstable();
        assert_eq!(listed, names);
        // The alerts use only existing metrics.
        for word in page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if let Some(name) = word.strip_prefix("molecule_terminal_").filter(|name| !name.is_empty()) {
                let name = ["_bucket", "_count", "_sum"]
                    .iter()
                    .find_map(|end| name.strip_suffix(end))
                    .unwrap_or(name);
                assert!(names.contains(&name), "{word}");
            }
        }
    }

    #[test]
    fn gateways_do_not_share_metrics() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.draining.set(1);
        assert_eq!(line(&other, "molecule_terminal_draining ").unwrap(), "molecule_terminal_draining 0");
    }

    #[test]
    fn open_tunnels_are_counted_per_endpoint() {
        let metrics = Metrics::new();
        let name = "molecule_terminal_tunnels{endpoint=\"eice-1\"}";
        let tunnels = [metrics.tunnel("eice-1"), metrics.tunnel("eice-1")];
        assert_eq!(line(&metrics, name), Some(format!("{name} 2")));
        drop(tunnels);
        assert_eq!(line(&metrics, name), Some(format!("{name} 0")));
        let many: Vec<_> = (0..MAX_ENDPOINTS + 5).map(|n| metrics.tunnel(&format!("eice-{n}"))).collect();
        let (_, text) = metrics.render().unwrap();
        let count = text.lines().filter(|line| line.starts_with("molecule_terminal_tunnels{")).count();
        assert_eq!(count, MAX_ENDPOINTS + 1);
        let other = "molecule_terminal_tunnels{endpoint=\"other\"}";
        assert_eq!(line(&metrics, other), Some(format!("{other} 5")));
        drop(many);
    }
}
