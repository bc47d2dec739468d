//! Against peers that fail on purpose. The deadlines are short where one is to pass.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::scripted::{self, Script, any_key, serve};
use super::*;
use crate::model::Terminal;

/// Short enough to wait for, long enough for a peer in memory on a busy machine.
const SHORT: Duration = Duration::from_millis(500);

/// A configuration whose deadlines are [`SHORT`] where `hangs`.
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

/// What becomes of a handshake with a peer that says `text` and then hangs or closes.
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
async fn a_peer_that_never_speaks_times_out_at_the_banner() {
    let (error, stages) = says(b"", true).await;
    assert!(matches!(error, Error::Timeout { stage: Stage::Banner, .. }), "{error}");
    assert_eq!(stages, [(Stage::Banner, "failed")]);
}

#[tokio::test]
async fn a_peer_that_is_no_ssh_server_is_told_from_one_that_closed() {
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
async fn a_peer_that_stops_in_the_key_exchange_is_named_as_such() {
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
async fn refusals_are_told_apart() {
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
async fn a_server_that_hangs_ends_at_the_deadline_of_its_stage() {
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
async fn an_exit_is_kept_however_it_comes() {
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
async fn a_channel_that_the_server_opens_is_refused_and_harms_nothing() {
    let script = Script { open_channel_back: true, ..Script::default() };
    let (_connection, result) = terminal(script, &on_pty("x")).await;
    read_until(&mut *result.unwrap().output, "hello").await;
}

#[tokio::test]
async fn a_process_that_no_signal_reaches_is_closed_all_the_same() {
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
async fn nothing_runs_on_after_a_drop_at_any_point() {
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
