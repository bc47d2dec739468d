//! A session against a scripted host and against the echo.

mod observer;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::script::{Mode, SOON, Script, target};
use super::{Config, End, Event, Kill, OpenError, Owner, Request, Sessions, Viewer};
use crate::model::{Exit, Fault, Size, Stage, StageError, TerminalRequest, echo};

fn owner() -> Owner {
    Owner::new("workspace", "user")
}

fn refused() -> StageError {
    StageError::new(Stage::Tls, Fault::Tls, "no")
}

fn with(config: Config, script: Script) -> (Sessions, Arc<Script>) {
    let script = Arc::new(script);
    (Sessions::new(config, script.clone()), script)
}

fn start(mode: Mode) -> (Sessions, Arc<Script>) {
    with(Config::default(), Script::new(mode))
}

fn open(sessions: &Sessions) -> Viewer {
    sessions.open(owner(), Request::new(target())).unwrap()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("it did not happen in time")
}

/// Reads to the end: the output, and the end.
async fn rest(viewer: &mut Viewer) -> (Vec<u8>, Option<End>) {
    let mut output = Vec::new();
    loop {
        match soon(viewer.next()).await {
            Some(Event::Output(data)) => output.extend_from_slice(&data),
            Some(Event::Closed(end)) => return (output, Some(end)),
            Some(_) => {}
            None => return (output, None),
        }
    }
}

async fn gone(sessions: &Sessions) {
    soon(sessions.idle()).await;
    assert_eq!(sessions.live(), 0);
}

#[tokio::test]
async fn bytes_pass_until_exit() {
    let (sessions, script) = start(Mode::Open);
    let mut viewer = open(&sessions);
    assert_eq!(sessions.live(), 1);
    viewer.input().send(Bytes::from_static(b"whoami\r")).await.unwrap();
    script.until("input", |seen| seen.written == b"whoami\r").await;
    script.say(b"root\r\n");
    script.exit(3);
    let (output, end) = rest(&mut viewer).await;
    assert_eq!(output, b"root\r\n");
    assert!(matches!(end, Some(End::Exit(Exit::Code(3)))), "{end:?}");
    assert!(soon(viewer.next()).await.is_none());
    gone(&sessions).await;
    let seen = script.seen();
    assert_eq!((seen.terminal_closes, seen.host_closes, seen.terminals_dropped), (1, 1, 1));
    assert_eq!(seen.requests, [TerminalRequest::default()]);
    assert!(viewer.input().send(Bytes::from_static(b"x")).await.is_err());
}

#[tokio::test]
async fn an_echo_is_bridged_just_the_same() {
    let sessions = Sessions::new(Config::default(), Arc::new(echo::Echo));
    let mut viewer = open(&sessions);
    viewer.input().send(Bytes::from_static(b"hello")).await.unwrap();
    viewer.input().send(Bytes::from_static(b"\x04")).await.unwrap();
    let (output, end) = rest(&mut viewer).await;
    assert_eq!(output, b"hello");
    assert!(matches!(end, Some(End::Exit(Exit::Code(0)))), "{end:?}");
    gone(&sessions).await;
}

#[tokio::test]
async fn leaving_abandons_connecting() {
    let (sessions, script) = start(Mode::Hang);
    let viewer = open(&sessions);
    script.until("the attempt", |seen| seen.connects == 1).await;
    drop(viewer);
    gone(&sessions).await;
    assert_eq!(script.seen().abandoned, 1);
}

#[tokio::test]
async fn leaving_closes_terminal_and_host() {
    let (sessions, script) = start(Mode::Open);
    let viewer = open(&sessions);
    let input = viewer.input();
    script.until("the terminal", |seen| !seen.requests.is_empty()).await;
    drop(viewer);
    gone(&sessions).await;
    let seen = script.seen();
    assert_eq!((seen.terminal_closes, seen.host_closes, seen.terminals_dropped), (1, 1, 1));
    assert!(input.send(Bytes::from_static(b"x")).await.is_err(), "an input does not keep a session alive");
}

#[tokio::test]
async fn leaving_is_noticed_when_stuck() {
    let mut script = Script::new(Mode::Open);
    script.blocks_input = true;
    let (sessions, script) = with(Config::default(), script);
    let viewer = open(&sessions);
    viewer.input().send(Bytes::from(vec![0; 1 << 20])).await.unwrap();
    (0..100).for_each(|_| script.say(&[b'x'; 1000]));
    script.until("output", |seen| seen.taken > 1).await;
    drop(viewer);
    gone(&sessions).await;
    assert_eq!(script.seen().terminal_closes, 1);
}

#[tokio::test]
async fn slow_viewer_gets_everything() {
    let config = Config { output_queue: 4, max_piece: 1000, ..Config::default() };
    let (sessions, script) = with(config, Script::new(Mode::Open));
    let mut viewer = open(&sessions);
    let said: Vec<u8> = (0..200_u8).flat_map(|n| [n; 1000]).collect();
    said.chunks(1000).for_each(|piece| script.say(piece));
    script.exit(0);
    script.until("output", |seen| seen.taken >= 3).await;
    // Whatever could still move does so now: the queue is full, the terminal waits.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let taken = script.seen().taken;
    assert!(taken <= 5, "{taken} pieces were taken for a queue of 4");
    let (output, end) = rest(&mut viewer).await;
    assert!(output == said && matches!(end, Some(End::Exit(_))));
    gone(&sessions).await;
}

#[tokio::test]
async fn output_pieces_are_bounded() {
    let (sessions, script) = start(Mode::Open);
    let mut viewer = open(&sessions);
    script.say(&[b'x'; 100_000]);
    script.exit(0);
    let mut pieces = Vec::new();
    while let Some(event) = soon(viewer.next()).await {
        if let Event::Output(data) = event {
            pieces.push(data.len());
        }
    }
    assert_eq!(pieces, [32_768, 32_768, 32_768, 1696]);
}

#[tokio::test]
async fn failed_stage_reaches_the_viewer() {
    let (sessions, script) = start(Mode::Fail(refused));
    let (_, end) = rest(&mut open(&sessions)).await;
    assert!(matches!(end, Some(End::Failed(error)) if error.stage() == Stage::Tls));
    gone(&sessions).await;
    assert_eq!(script.seen().host_closes, 0);

    let (sessions, script) = start(Mode::FailTerminal(refused));
    let (_, end) = rest(&mut open(&sessions)).await;
    assert!(matches!(end, Some(End::Failed(_))));
    gone(&sessions).await;
    assert_eq!(script.seen().host_closes, 1);
}

#[tokio::test]
async fn connect_timeout_names_the_stage() {
    let config = Config { connect_timeout: Duration::from_millis(20), ..Config::default() };
    let (sessions, script) = with(config, Script::new(Mode::Hang));
    let (_, end) = rest(&mut open(&sessions)).await;
    let Some(End::Failed(error)) = end else { panic!("{end:?}") };
    assert_eq!((error.stage(), error.fault()), (Stage::Tcp, Fault::Timeout));
    gone(&sessions).await;
    assert_eq!(script.seen().abandoned, 1);
}

#[tokio::test]
async fn broken_connection_is_reported() {
    let (sessions, script) = start(Mode::Open);
    let mut viewer = open(&sessions);
    script.say(b"half a li");
    script.break_off("reset");
    let (output, end) = rest(&mut viewer).await;
    assert_eq!(output, b"half a li");
    assert!(matches!(end, Some(End::Broken(error)) if error.to_string() == "reset"));
    gone(&sessions).await;
}

#[tokio::test]
async fn drain_ends_every_session() {
    let (sessions, script) = start(Mode::Open);
    let mut viewer = open(&sessions);
    script.until("the terminal", |seen| !seen.requests.is_empty()).await;
    let place = sessions.reserve(owner()).unwrap();
    sessions.drain();
    assert!(matches!(rest(&mut viewer).await.1, Some(End::Drained)));
    assert_eq!(sessions.reserve(owner()).unwrap_err(), OpenError::Draining);
    let mut late = place.open(Request::new(target()));
    assert!(matches!(rest(&mut late).await.1, Some(End::Drained)));
    gone(&sessions).await;
    assert_eq!((script.seen().connects, script.seen().terminal_closes), (1, 1));
}

#[tokio::test]
async fn session_limit_is_enforced() {
    let config = Config { max_sessions: 2, ..Config::default() };
    let (sessions, _script) = with(config, Script::new(Mode::Hang));
    let (first, _second) = (open(&sessions), sessions.reserve(owner()).unwrap());
    assert_eq!(sessions.reserve(owner()).unwrap_err(), OpenError::Full(2));
    drop(first);
    timeout(SOON, async {
        while sessions.live() == 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(sessions.reserve(owner()).is_ok());
}

#[tokio::test]
async fn panic_releases_the_reservation() {
    let (sessions, _script) = start(Mode::Panic);
    let mut viewer = open(&sessions);
    assert!(rest(&mut viewer).await.1.is_none());
    gone(&sessions).await;
}

#[tokio::test]
async fn unresponsive_host_is_dropped() {
    let config = Config { close_timeout: Duration::from_millis(20), ..Config::default() };
    let mut script = Script::new(Mode::Open);
    script.hangs_on_close = true;
    let (sessions, script) = with(config, script);
    let viewer = open(&sessions);
    script.until("the terminal", |seen| !seen.requests.is_empty()).await;
    drop(viewer);
    gone(&sessions).await;
    let seen = script.seen();
    assert_eq!((seen.terminal_closes, seen.terminals_dropped, seen.host_closes), (1, 1, 1));
}

#[tokio::test]
async fn shares_are_enforced() {
    let config = Config { max_per_workspace: 2, max_per_user: 3, ..Config::default() };
    let (sessions, _script) = with(config, Script::new(Mode::Open));
    let reserve = |workspace: &str, user: &str| sessions.reserve(Owner::new(workspace, user));
    let held = [reserve("a", "ann").unwrap(), reserve("a", "bob").unwrap()];
    assert_eq!(reserve("a", "cid").unwrap_err(), OpenError::WorkspaceFull(2));
    let more = [reserve("b", "ann").unwrap(), reserve("c", "ann").unwrap()];
    assert_eq!(reserve("d", "ann").unwrap_err(), OpenError::UserFull(3));
    assert!(reserve("d", "bob").is_ok());
    drop(held);
    assert!(reserve("a", "ann").is_ok());
    drop(more);
    gone(&sessions).await;
}

#[tokio::test]
async fn session_is_listed_and_ended_by_id() {
    let (sessions, script) = start(Mode::Open);
    let mut viewer = open(&sessions);
    viewer.input().send(Bytes::from_static(b"abc")).await.unwrap();
    script.until("input", |seen| seen.written == b"abc").await;
    let [listed] = sessions.list().try_into().unwrap();
    assert_eq!((listed.id, listed.owner, listed.input_bytes), (viewer.session(), owner(), 3));
    assert!(!sessions.kill(uuid::Uuid::new_v4(), Kill::Request), "an unknown id");
    assert!(sessions.kill(viewer.session(), Kill::Revoked));
    let (_, end) = rest(&mut viewer).await;
    assert!(matches!(end, Some(End::Killed(Kill::Revoked))), "{end:?}");
    gone(&sessions).await;
    assert!(sessions.list().is_empty());
    assert_eq!(script.seen().terminal_closes, 1);
}

#[tokio::test]
async fn terminal_follows_the_viewers_size() {
    let (sessions, script) = start(Mode::Open);
    let viewer = sessions.open(owner(), Request::new(target()).waiting_for_size()).unwrap();
    script.until("the connection", |seen| seen.connects == 1).await;
    assert!(script.seen().requests.is_empty(), "connected, but not opened");
    let size = |cols, rows| Size::new(cols, rows).unwrap();
    viewer.control().resize(size(132, 43));
    script.until("the terminal", |seen| !seen.requests.is_empty()).await;
    assert_eq!(script.seen().requests[0].size, size(132, 43));
    viewer.control().resize(size(90, 30));
    script.until("the new size", |seen| seen.sizes == [size(90, 30)]).await;
}

#[tokio::test]
async fn taken_input_is_counted() {
    let (sessions, script) = start(Mode::Open);
    let viewer = open(&sessions);
    let mut taken = viewer.control().taken();
    viewer.input().send(Bytes::from(vec![b'x'; 100_000])).await.unwrap();
    viewer.input().end().unwrap();
    soon(taken.wait_for(|taken| *taken == 100_000)).await.unwrap();
    script.until("the end", |seen| seen.input_ended).await;
    assert_eq!(script.seen().written.len(), 100_000);
}

#[tokio::test]
async fn round_trip_is_measured_on_request() {
    let (sessions, script) = start(Mode::Open);
    let viewer = open(&sessions);
    script.until("the terminal", |seen| !seen.requests.is_empty()).await;
    assert_eq!(viewer.control().round_trip(), None);
    viewer.control().measure();
    script.until("the measurement", |seen| seen.measured == 1).await;
    let mut viewer = viewer;
    script.exit(0);
    rest(&mut viewer).await;
    assert_eq!(viewer.control().round_trip(), Some(super::script::ROUND_TRIP));
}

#[tokio::test]
async fn limit_is_reported_to_the_viewer() {
    let config = Config { idle_timeout: Some(Duration::from_millis(50)), ..Config::default() };
    let (sessions, _script) = with(config, Script::new(Mode::Open));
    let mut viewer = open(&sessions);
    let (_, end) = rest(&mut viewer).await;
    assert!(matches!(end, Some(End::Limit(super::Limit::Idle))), "{end:?}");
    gone(&sessions).await;
}
