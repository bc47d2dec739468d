//! Metrics and audit records of one terminal.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::State;
use super::audit::{Record, Unwritten, credential};
use super::text::EndMessage;
use crate::model::{Exit, HostIds, Shell, StageState, Target};
use crate::session::{self, End, Observer, Outcome, SessionStep};
use crate::telemetry::metrics::GaugeGuard;
use crate::workspace::{Activity, Principal, Workspace, WorkspaceId};

/// The most activities that wait for the directory; further ones are dropped and counted.
const MAX_ACTIVITIES: usize = 256;

/// The most of them per user.
const MAX_ACTIVITIES_PER_USER: usize = 64;

/// One terminal, from the request for it to its end.
pub(super) struct Observation {
    state: Arc<State>,
    /// The members of every record.
    base: Record,
    workspace: WorkspaceId,
    now: Mutex<Now>,
}

/// Its progress.
#[derive(Default)]
struct Now {
    /// The gauge of its current state.
    session: Option<GaugeGuard>,
    tunnel: Option<GaugeGuard>,
    ids: HostIds,
    connect: Option<Duration>,
    close_code: Option<u16>,
    has_ended: bool,
    /// The activity of its opening, which precedes that of its end.
    noting: Option<JoinHandle<()>>,
}

impl Observation {
    /// A terminal in `workspace`, for `principal`, as the session `place`; `peer` and `origin` are where the request
    /// comes from.
    pub(super) fn new(
        state: &Arc<State>,
        session: uuid::Uuid,
        (principal, workspace): (&Principal, &Workspace),
        (peer, origin): (IpAddr, Option<String>),
        protocol: &'static str,
    ) -> Self {
        let mut base = Record {
            session: Some(session),
            principal: Some(principal.name.clone()),
            credential: Some(credential(principal.kind)),
            peer: Some(peer),
            origin,
            workspace: Some(workspace.id),
            protocol: Some(protocol),
            ..Record::default()
        };
        if let Target::Instance(target) = &workspace.target {
            base.instance = Some(target.instance.to_string());
            base.os_user = Some(target.os_user.to_string());
            if let Shell::Container(shell) = &target.shell {
                base.container = Some(shell.container.to_string());
            }
        }
        Self { state: Arc::clone(state), base, workspace: workspace.id, now: Mutex::default() }
    }

    /// Records the request, before anything is opened.
    pub(super) async fn requested(&self) -> Result<(), Unwritten> {
        self.state.audit.record_first(&self.record("terminal.request")).await
    }

    /// Counts its browser socket until the value is dropped.
    pub(super) fn attached(&self) -> GaugeGuard {
        let protocol = self.base.protocol.unwrap_or_default();
        GaugeGuard::count(self.state.metrics.viewers.with_label_values(&[protocol]))
    }

    /// Records that the socket is closed with `code`; `Err` is a word for an end without one of our codes.
    pub(super) fn closing(&self, code: Result<u16, &'static str>) {
        let closes = &self.state.metrics.closes;
        match code {
            Ok(code) => closes.with_label_values(&[&code.to_string()]).inc(),
            Err(word) => closes.with_label_values(&[word]).inc(),
        }
        self.now().close_code = code.ok();
    }

    /// Records the latency of a viewer's ping.
    pub(super) fn answered(&self, took: Duration) {
        self.state.metrics.echo.with_label_values(&["gateway"]).observe(took.as_secs_f64());
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self, state: &str) -> IntGauge {
        self.state.metrics.sessions.with_label_values(&[state])
    }

    /// Returns a record of `event` with everything known so far.
    fn record(&self, event: &'static str) -> Record {
        let now = self.now();
        let ids = now.ids.clone();
        Record {
            endpoint: ids.endpoint,
            tunnel_request_id: ids.tunnel,
            key_push_request_id: ids.key_push,
            connect_ms: now.connect.map(millis),
            close_code: now.close_code,
            time: Record::now(event).time,
            event,
            ..self.base.clone()
        }
    }

    fn opened(&self, took: Duration) {
        {
            let mut now = self.now();
            now.session = Some(GaugeGuard::count(self.sessions("open")));
            now.connect = Some(took);
        }
        let record = self.record("terminal.open");
        self.state.audit.record(&record);
        self.note(&record, Some(took));
    }

    fn ended(&self, ended: &session::Record<'_>) {
        let metrics = &self.state.metrics;
        metrics.session_ends.with_label_values(&[ended.outcome.name()]).inc();
        metrics.session_duration.observe(ended.duration.as_secs_f64());
        let was_open = {
            let mut now = self.now();
            now.session = Some(GaugeGuard::count(self.sessions("closing")));
            now.has_ended = true;
            now.connect.is_some()
        };
        let mut record = self.record("terminal.close");
        record.end = Some(ended.outcome.name());
        record.duration_ms = Some(millis(ended.duration));
        record.input_bytes = Some(ended.input_bytes);
        record.output_bytes = Some(ended.output_bytes);
        if let Outcome::End(end) = ended.outcome {
            record.close_code = Some(EndMessage::new(Some(end)).code);
            match end {
                End::Exit(Exit::Code(code)) => record.exit_code = Some(*code),
                End::Exit(Exit::Signal { name, .. }) => record.exit_signal = Some(name.clone()),
                End::Failed(error) => {
                    let (stage, fault) = (error.stage().name(), error.fault().name());
                    metrics.connect_failures.with_label_values(&[stage, fault]).inc();
                    record.stage = Some(stage);
                    record.fault = Some(fault);
                    record.error = Some(error.chain());
                }
                End::Broken(error) => record.error = Some(error.to_string()),
                _ => {}
            }
        }
        self.state.audit.record(&record);
        // An end without an opening is a failed opening.
        let method = if was_open { "terminal.close" } else { "terminal.open" };
        self.note(&Record { event: method, ..record }, Some(ended.duration));
    }

    /// Passes `record` to the directory in the background, after earlier ones.
    fn note(&self, record: &Record, took: Option<Duration>) {
        let state = Arc::clone(&self.state);
        let user = self.base.principal.clone().unwrap_or_default();
        let Ok(permit) = state.activities.take(MAX_ACTIVITIES, [(user, MAX_ACTIVITIES_PER_USER)]) else {
            state.metrics.activities_dropped.with_label_values::<&str>(&[]).inc();
            return;
        };
        let activity = Activity {
            workspace: self.workspace,
            method: record.event,
            summary: summary(record),
            details: serde_json::to_value(record).unwrap_or_default(),
            took,
            error: record.error.clone(),
        };
        let mut now = self.now();
        let before = now.noting.take();
        let noting = state.viewers.clone().track_future(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            let limit = state.config().directory_timeout;
            if timeout(limit, state.directory.note(activity)).await.is_err() {
                tracing::warn!("the directory did not note an activity in time");
            }
            drop(permit);
        });
        now.noting = Some(tokio::spawn(noting));
    }
}

impl Observer for Observation {
    fn on_step(&self, step: SessionStep<'_>) {
        let metrics = &self.state.metrics;
        match step {
            SessionStep::Connecting => {
                self.now().session = Some(GaugeGuard::count(self.sessions("connecting")))
            }
            SessionStep::Stage(event) => match event.state {
                StageState::Passed(took) => metrics.stage(event.stage.name(), true, took),
                StageState::Failed(took) => metrics.stage(event.stage.name(), false, took),
                StageState::Started => {}
            },
            SessionStep::Connected(ids) => {
                let mut now = self.now();
                now.ids = ids.clone();
                now.tunnel = ids.endpoint.as_deref().map(|endpoint| metrics.tunnel(endpoint));
            }
            SessionStep::Opened(took) => self.opened(took),
            SessionStep::FirstOutput(took) => metrics.first_byte.observe(took.as_secs_f64()),
            SessionStep::Input(bytes) => metrics.bytes.with_label_values(&["in"]).inc_by(bytes as u64),
            SessionStep::Output(bytes) => metrics.bytes.with_label_values(&["out"]).inc_by(bytes as u64),
            SessionStep::RoundTrip(took) => {
                metrics.echo.with_label_values(&["instance"]).observe(took.as_secs_f64());
            }
            SessionStep::Ended(record) => self.ended(&record),
            SessionStep::Closed => {
                let mut now = self.now();
                now.session = None;
                now.tunnel = None;
            }
        }
    }
}

impl Drop for Observation {
    /// A request without a socket ends as well.
    fn drop(&mut self) {
        if !self.now().has_ended {
            let record = Record { end: Some("no-socket"), ..self.record("terminal.close") };
            self.state.audit.record(&record);
        }
    }
}

/// Returns a human-readable line.
fn summary(record: &Record) -> String {
    let who = record.principal.as_deref().unwrap_or("somebody");
    match (record.event, record.error.is_some(), record.end) {
        ("terminal.open", false, None) => format!("{who} opened a terminal"),
        ("terminal.open", ..) => format!("{who} could not open a terminal"),
        (_, _, Some(end)) => format!("the terminal of {who} ended: {end}"),
        _ => format!("the terminal of {who} ended"),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
