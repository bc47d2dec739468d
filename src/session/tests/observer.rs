//! The steps that an observer receives.

use std::sync::Mutex;

use super::*;
use crate::session::{Observer, Outcome, SessionStep};

/// Remembers the steps, in a word or two each.
#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

impl Diary {
    fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Diary {
    fn on_step(&self, step: SessionStep<'_>) {
        let entry = match step {
            SessionStep::Connecting => "connecting".to_owned(),
            SessionStep::Stage(event) => format!("stage {}", event.stage),
            SessionStep::Connected(ids) => format!("connected {}", ids.tunnel.as_deref().unwrap_or("-")),
            SessionStep::Opened(_) => "opened".into(),
            SessionStep::FirstOutput(_) => "first output".into(),
            SessionStep::Input(bytes) => format!("in {bytes}"),
            SessionStep::Output(bytes) => format!("out {bytes}"),
            SessionStep::RoundTrip(took) => format!("round trip {}", took.as_millis()),
            SessionStep::Ended(record) => {
                let bytes = (record.input_bytes, record.output_bytes);
                let failed = matches!(record.outcome, Outcome::End(End::Failed(_)));
                format!("ended {} {bytes:?} {} {failed}", record.outcome.name(), record.ids.is_some())
            }
            SessionStep::Closed => "closed".into(),
        };
        self.0.lock().unwrap().push(entry);
    }
}

fn observed(sessions: &Sessions) -> (Viewer, Arc<Diary>) {
    let diary = Arc::new(Diary::default());
    let request = Request::new(target()).observed_by(diary.clone());
    (sessions.open(owner(), request).unwrap(), diary)
}

#[tokio::test]
async fn a_whole_life_is_told_in_order() {
    let (sessions, script) = start(Mode::Open);
    let (mut viewer, diary) = observed(&sessions);
    script.until("the terminal", |seen| !seen.requests.is_empty()).await;
    viewer.input().send(Bytes::from_static(b"ls\r")).await.unwrap();
    script.until("input", |seen| seen.written == b"ls\r").await;
    viewer.control().measure();
    script.until("the measurement", |seen| seen.measured == 1).await;
    script.say(b"a");
    script.say(b"bc");
    script.exit(0);
    rest(&mut viewer).await;
    gone(&sessions).await;
    let steps = diary.entries();
    let round_trip = format!("round trip {}", crate::session::script::ROUND_TRIP.as_millis());
    assert_eq!(
        steps,
        [
            "connecting",
            "stage tcp",
            "connected -",
            "opened",
            "in 3",
            round_trip.as_str(),
            "first output",
            "out 1",
            "out 2",
            "ended exit (3, 3) true false",
            "closed",
        ]
    );
}

#[tokio::test]
async fn end_and_close_are_reported_once() {
    for (mode, ended) in [
        (Mode::Fail(refused), "ended failed (0, 0) false true"),
        (Mode::FailTerminal(refused), "ended failed (0, 0) true true"),
        (Mode::Panic, "ended internal (0, 0) false false"),
    ] {
        let (sessions, _script) = start(mode);
        let (mut viewer, diary) = observed(&sessions);
        rest(&mut viewer).await;
        gone(&sessions).await;
        let steps = diary.entries();
        assert_eq!(steps[steps.len() - 2..], [ended, "closed"], "{steps:?}");
        assert_eq!(steps.iter().filter(|entry| entry.starts_with("ended") || *entry == "closed").count(), 2);
    }
    let (sessions, script) = start(Mode::Hang);
    let (viewer, diary) = observed(&sessions);
    script.until("the attempt", |seen| seen.connects == 1).await;
    drop(viewer);
    gone(&sessions).await;
    assert_eq!(diary.entries()[2..], ["ended viewer-left (0, 0) false false", "closed"]);
}
