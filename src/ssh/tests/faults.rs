//! Peers that fail on purpose, with short timeouts where one must expire.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::scripted::{self, Script, any_key, serve};
use super::*;
use crate::model::Terminal;

/// Short enough to wait for, long enough for an in-memory peer on a busy machine.
const SHORT: Duration = Duration::from_millis(500);

/// Returns settings with timeouts of [`SHORT`] if `hangs`.
fn config(hangs: bool) -> Config {
    let mut config = Config::default();
    if hangs {
        config.timeouts.banner = SHORT;
        config.timeouts.key_exchange = SHORT;
        config.timeouts.shell = SHORT;
    }
    config
}

async fn terminal(script: Script, request: &ChannelRequest) -> (Connection, Result<Terminal, Error>) {
    let connection = connect(serve(script), &any_key(), &config(script.ignore_requests)).await.unwrap();
    let terminal = connection.open(request, &ignore).await;
    (connection, terminal)
}

/// Returns how a handshake fails if the peer sends `text` and then hangs or closes.
async fn says(text: &[u8], hangs: bool) -> (Error, Vec<(Stage, &'static str)>) {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    theirs.write_all(text).await.unwrap();
    let peer = tokio::spawn(async move {
        if hangs {
            let _ = theirs.read_to_end(&mut Vec::new()).await;
        } else {
            let _ = theirs.read(&mut [0; 64]).await;
        }
    });
    let log = Log::default();
    let mut config = config(hangs);
    config.why_closed = Some(Arc::new(|| Some("Unable to connect to target".into())));
    let user = "root".parse().unwrap();
    let any = HostKeyCheck::danger_accept_any();
    let error = handshake(ours, &config, any, &user, &log.observer()).await.unwrap_err();
    peer.await.unwrap();
    (error, log.ended())
}

#[tokio::test]
async fn silent_peer_times_out_at_the_banner() {
    let (error, stages) = says(b"", true).await;
    assert!(matches!(error, Error::Timeout { stage: Stage::Banner, .. }), "{error}");
    assert_eq!(stages, [(Stage::Banner, "failed")]);
}

#[tokio::test]
async fn non_ssh_peer_differs_from_closed() {
    for (text, hangs) in
        [(&b"HTTP/1.1 400 Bad Request\r\n"[..], true), (&[0xff; 4096], true), (&[b'x'; 300], false)]
    {
        let (error, _) = says(text, hangs).await;
        assert!(matches!(&error, Error::NotSsh { said } if said.len() <= 2048), "{error}");
        assert_eq!(error.stage(), Stage::Banner);
    }
    let (error, _) = says(b"Exceeded MaxStartups\r\n", false).await;
    assert_eq!(
        error.to_string(),
        "the connection was closed after \"Exceeded MaxStartups\" (Unable to connect to target)"
    );
    let (error, stages) = says(b"", false).await;
    assert_eq!(error.to_string(), "the connection was closed (Unable to connect to target)");
    assert_eq!(stages, [(Stage::Banner, "failed")]);
}

#[tokio::test]
async fn stalled_key_exchange_is_reported() {
    let (error, stages) = says(b"hello\r\nSSH-2.0-silent\r\n", true).await;
    assert!(matches!(error, Error::Timeout { stage: Stage::KeyExchange, .. }), "{error}");
    assert_eq!(stages, [(Stage::Banner, "passed"), (Stage::KeyExchange, "failed")]);
    let (error, _) = says(b"SSH-2.0-gone\r\n", false).await;
    assert!(matches!(error, Error::Closed { stage: Stage::KeyExchange, reason: Some(_), .. }), "{error}");
    let mut nonsense = b"SSH-2.0-mad\r\n".to_vec();
    nonsense.extend([0xff; 64]);
    let (error, _) = says(&nonsense, true).await;
    assert_eq!(error.stage(), Stage::KeyExchange, "{error}");
}

#[tokio::test]
async fn refusals_are_distinguished() {
    let (_c, result) = terminal(Script { refuse_channel: true, ..Script::default() }, &on_pty("x")).await;
    assert!(matches!(result, Err(Error::ChannelRefused { .. })), "{result:?}");
    let (_c, result) = terminal(Script { refuse_pty: true, ..Script::default() }, &on_pty("x")).await;
    assert!(matches!(result, Err(Error::PtyRefused)), "{result:?}");
    let (_c, result) = terminal(Script { refuse_exec: true, ..Script::default() }, &on_pty("x")).await;
    assert!(matches!(result, Err(Error::CommandRefused)), "{result:?}");
    let (_c, result) = terminal(Script { ignore_requests: true, ..Script::default() }, &on_pty("x")).await;
    assert!(matches!(result, Err(Error::Timeout { stage: Stage::Shell, .. })), "{result:?}");
}

#[tokio::test]
async fn hanging_server_times_out_in_its_stage() {
    let mut config = Config::default();
    config.timeouts.authentication = SHORT;
    config.timeouts.channel = SHORT;
    let script = |stage| Script { hangs_in: Some(stage), ..Script::default() };
    let error = connect(serve(script(Stage::Authentication)), &any_key(), &config).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { stage: Stage::Authentication, after: SHORT }), "{error:?}");
    let connection = connect(serve(script(Stage::Channel)), &any_key(), &config).await.unwrap();
    let error = connection.open(&on_pty("x"), &ignore).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { stage: Stage::Channel, after: SHORT }), "{error:?}");
}

#[tokio::test]
async fn exit_is_kept_in_any_order() {
    for (exit, expected) in [
        (scripted::Exit::StatusAfterEof(9), Exit::Code(9)),
        (scripted::Exit::Signal, Exit::Signal { name: "SEGV".into(), core_dumped: true }),
        (scripted::Exit::CloseOnly, Exit::Unknown),
    ] {
        let (_connection, result) = terminal(Script { exit, ..Script::default() }, &on_pty("x")).await;
        let (stdout, _, ended) = read_all(&mut *result.unwrap().output).await;
        assert_eq!(&stdout[..], b"hello");
        assert_eq!(ended.unwrap(), expected);
    }
    let script = Script { exit: scripted::Exit::Disconnect, ..Script::default() };
    let (connection, result) = terminal(script, &command("x")).await;
    if let Ok(mut terminal) = result {
        let error = read_all(&mut *terminal.output).await.2.unwrap_err();
        assert!(error.to_string().contains("out of order"), "{error}");
    }
    assert_eq!(connection.closed().await.as_deref(), Some("the server says: out of order"));
}

#[tokio::test]
async fn unrequested_channel_is_refused() {
    let script = Script { open_channel_back: true, ..Script::default() };
    let (_connection, result) = terminal(script, &on_pty("x")).await;
    read_until(&mut *result.unwrap().output, "hello").await;
}

#[tokio::test]
async fn process_ignoring_signals_is_closed() {
    let (connection, result) = terminal(Script::default(), &on_pty("x")).await;
    let mut terminal = result.unwrap();
    tokio::time::timeout(Duration::from_secs(10), terminal.control.close()).await.unwrap();
    let (_, _, exit) = read_all(&mut *terminal.output).await;
    assert_eq!(exit.unwrap(), Exit::Unknown);
    assert!(!connection.is_closed());
    connection.close().await;
    assert!(connection.is_closed());
}

#[tokio::test]
async fn no_task_survives_a_drop() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    for stop in 0..4 {
        let stream = serve(Script::default());
        let user = "root".parse().unwrap();
        let any = HostKeyCheck::danger_accept_any();
        if stop == 0 {
            drop(stream);
            continue;
        }
        let mut shaken = handshake(stream, &Config::default(), any, &user, &ignore).await.unwrap();
        if stop == 1 {
            continue;
        }
        shaken.begin_authentication(&ignore).await.unwrap();
        let connection = shaken.authenticate(any_key(), &ignore).await.unwrap();
        if stop == 2 {
            continue;
        }
        let terminal = connection.open(&on_pty("x"), &ignore).await.unwrap();
        drop(connection);
        drop(terminal);
    }
    tokio::time::timeout(Duration::from_secs(60), async {
        while metrics.num_alive_tasks() > before {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("tasks are left");
}

/// Drives `attempt` until `stage` has started, then drops it.
async fn give_up_in<T>(stage: Stage, log: &Log, attempt: impl Future<Output = T>) {
    let started = async {
        while !log.has_started(stage) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = attempt => panic!("{stage} ended"),
        () = started => {}
    }
}

#[tokio::test]
async fn dropped_attempt_fails_no_stage() {
    let user: crate::model::OsUser = "root".parse().unwrap();
    let config = Config::default();
    let passed = |stages: &[Stage]| stages.iter().map(|stage| (*stage, "passed")).collect::<Vec<_>>();
    for (banner, stage) in [(&b""[..], Stage::Banner), (b"SSH-2.0-silent\r\n", Stage::KeyExchange)] {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs.write_all(banner).await.unwrap();
        let log = Log::default();
        let observer = log.observer();
        let any = HostKeyCheck::danger_accept_any();
        give_up_in(stage, &log, handshake(ours, &config, any, &user, &observer)).await;
        let expected = if banner.is_empty() { vec![] } else { passed(&[Stage::Banner]) };
        assert_eq!(log.ended(), expected);
    }

    let log = Log::default();
    let observer = log.observer();
    let hanging = serve(Script { hangs_in: Some(Stage::Authentication), ..Script::default() });
    let any = HostKeyCheck::danger_accept_any();
    let shaken = handshake(hanging, &config, any, &user, &observer).await.unwrap();
    give_up_in(Stage::Authentication, &log, shaken.authenticate(any_key(), &observer)).await;
    assert_eq!(log.ended(), passed(&[Stage::Banner, Stage::KeyExchange]));

    for (script, stage) in [
        (Script { hangs_in: Some(Stage::Channel), ..Script::default() }, Stage::Channel),
        (Script { ignore_requests: true, ..Script::default() }, Stage::Shell),
    ] {
        let connection = connect(serve(script), &any_key(), &config).await.unwrap();
        let log = Log::default();
        let observer = log.observer();
        give_up_in(stage, &log, connection.open(&on_pty("x"), &observer)).await;
        let expected = if stage == Stage::Channel { vec![] } else { passed(&[Stage::Channel]) };
        assert_eq!(log.ended(), expected);
    }
}
