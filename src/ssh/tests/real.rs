//! OpenSSH's server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::process::Child;
use tokio::time::timeout;

use super::sshd::Sshd;
use super::*;
use crate::model::{Signal, Terminal};

const LONG: Duration = Duration::from_secs(30);

pub(super) async fn open(server: &Sshd, config: &Config) -> (Connection, Child) {
    let (stream, child) = server.connect();
    let connection = connect(stream, &server.key, config)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", server.log()));
    (connection, child)
}

/// Returns the process that wrote its id to the terminal as `pid:N;`.
async fn pid(terminal: &mut Terminal) -> u32 {
    let seen = read_until(&mut *terminal.output, ";").await;
    let digits = seen.split("pid:").nth(1).unwrap().split(';').next().unwrap();
    digits.parse().unwrap()
}

/// Waits until the process is gone; it may stay a zombie of a slow parent.
async fn gone(pid: u32) {
    let is_alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    timeout(LONG, async {
        while is_alive() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap_or_else(|_| {
        panic!(
            "process {pid} lives on: {}",
            std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default()
        )
    });
}

#[tokio::test]
async fn command_has_streams_input_and_status() {
    let server = Sshd::new(&["ed25519"], "");
    let (connection, mut child) = open(&server, &Config::bulk()).await;
    let request = command("cat; echo oops >&2; exit 7");
    let Terminal { mut input, mut output, control } = connection.open(&request, &ignore).await.unwrap();
    input.write(Bytes::from_static(b"one\ntwo\n")).await.unwrap();
    input.end().await.unwrap();
    let (stdout, stderr, exit) = read_all(&mut *output).await;
    assert_eq!((&stdout[..], &stderr[..]), (&b"one\ntwo\n"[..], &b"oops\n"[..]));
    assert_eq!(exit.unwrap(), Exit::Code(7));
    assert!(input.write(Bytes::from_static(b"x")).await.is_err(), "a write after the end does not hang");
    timeout(LONG, control.close()).await.unwrap();

    let mut killed = connection.open(&command("kill -TERM $$"), &ignore).await.unwrap();
    let exit = read_all(&mut *killed.output).await.2.unwrap();
    assert_eq!(exit, Exit::Signal { name: "TERM".into(), core_dumped: false });

    timeout(LONG, connection.close()).await.unwrap();
    assert!(connection.is_closed());
    timeout(LONG, child.wait()).await.expect("the server's process ends with the connection").unwrap();
}

#[tokio::test]
async fn terminal_has_size_and_status() {
    let server = Sshd::new(&["ed25519"], "");
    let (connection, _child) = open(&server, &Config::default()).await;
    let mut request = on_pty("stty size; echo $TERM $LANG; read x; stty size; exit 3");
    request.env.push(("LANG".into(), "C.UTF-8".into()));
    request.env.push(("NOT_ACCEPTED".into(), "x".into()));
    let log = Log::default();
    let mut terminal = connection.open(&request, &log.observer()).await.unwrap();
    assert_eq!(log.ended(), [(Stage::Channel, "passed"), (Stage::Shell, "passed")]);
    let seen = read_until(&mut *terminal.output, "C.UTF-8\r\n").await;
    assert!(seen.contains("24 80") && seen.contains("xterm-256color"), "{seen:?}");
    terminal.control.resize(Size::new(132, 50).unwrap()).await.unwrap();
    terminal.input.write(Bytes::from_static(b"\r")).await.unwrap();
    let (rest, stderr, exit) = read_all(&mut *terminal.output).await;
    assert!(String::from_utf8_lossy(&rest).contains("50 132"), "{rest:?}");
    assert!(stderr.is_empty());
    assert_eq!(exit.unwrap(), Exit::Code(3));
}

#[tokio::test]
async fn bulk_data_survives_rekeying() {
    const SIZE: usize = 64 * 1024 * 1024;
    let server = Sshd::new(&["ed25519"], "");
    let mut config = Config::bulk();
    config.rekey_bytes = 8 * 1024 * 1024;
    let (connection, _child) = open(&server, &config).await;
    let line = format!("head -c {SIZE} /dev/zero | tr '\\0' 'x'; sha256sum");
    let Terminal { mut input, mut output, .. } = connection.open(&command(&line), &ignore).await.unwrap();
    let write = async {
        let chunk = Bytes::from(vec![b'y'; 1024 * 1024]);
        for _ in 0..16 {
            input.write(chunk.clone()).await.unwrap();
        }
        input.end().await.unwrap();
    };
    let ((stdout, _, exit), ()) =
        timeout(LONG * 4, async { tokio::join!(read_all(&mut *output), write) }).await.unwrap();
    assert_eq!(exit.unwrap(), Exit::Code(0));
    assert!(stdout[..SIZE].iter().all(|&byte| byte == b'x'));
    // The sha256sum of 16 MiB of y.
    let sum = std::process::Command::new("sh")
        .args(["-c", "head -c 16777216 /dev/zero | tr '\\0' y | sha256sum"])
        .output()
        .unwrap()
        .stdout;
    assert_eq!(&stdout[SIZE..], &sum[..]);
    assert!(
        server.log().matches("rekey").count() > 0
            || server.log().matches("SSH2_MSG_KEXINIT received").count() > 2
    );
}

#[tokio::test]
async fn close_leaves_no_process() {
    let server = Sshd::new(&["ed25519"], "");
    let (connection, _child) = open(&server, &Config::default()).await;

    // The flood is not read.
    let mut flood = connection.open(&on_pty("echo \"pid:$$;\"; exec yes"), &ignore).await.unwrap();
    let process = pid(&mut flood).await;
    timeout(LONG, flood.control.close()).await.unwrap();
    gone(process).await;
    let (_, _, exit) = read_all(&mut *flood.output).await;
    // OpenSSH passes no signals on to root's processes and closes their PTY instead.
    assert!(matches!(exit.unwrap(), Exit::Signal { .. } | Exit::Unknown));

    // The input is not read: a paste waits for the window, and only the paste waits.
    let mut deaf =
        connection.open(&on_pty("echo \"pid:$$;\"; stty raw -echo; exec sleep 1000"), &ignore).await.unwrap();
    let deaf_process = pid(&mut deaf).await;
    let paste = Bytes::from(vec![b'p'; 16 * 1024 * 1024]);
    let Terminal { mut input, output, control } = deaf;
    let writing = tokio::spawn(async move { input.write(paste).await });
    timeout(LONG, control.resize(Size::new(100, 30).unwrap())).await.unwrap().unwrap();
    timeout(LONG, control.signal(Signal::Int)).await.unwrap().unwrap();
    let mut neighbour = connection.open(&command("echo here"), &ignore).await.unwrap();
    let (stdout, _, _) = timeout(LONG, read_all(&mut *neighbour.output)).await.unwrap();
    assert_eq!(&stdout[..], b"here\n");
    timeout(LONG, control.close()).await.unwrap();
    assert!(timeout(LONG, writing).await.unwrap().unwrap().is_err());
    drop(output);

    // Dropped without a close.
    let mut dropped =
        connection.open(&on_pty("echo \"pid:$$;\"; sleep 1000; sleep 1000"), &ignore).await.unwrap();
    let process = pid(&mut dropped).await;
    drop(dropped);
    gone(process).await;
    assert!(!connection.is_closed());

    // sshd first tries to deliver the input that it accepted; the end of the connection makes it stop. (Only for root's
    // processes: others get the signal.)
    drop(connection);
    gone(deaf_process).await;
}

#[tokio::test]
async fn dropped_connection_ends_the_server() {
    let server = Sshd::new(&["ed25519"], "");
    let (connection, mut child) = open(&server, &Config::default()).await;
    let mut terminal = connection.open(&on_pty("echo \"pid:$$;\"; exec yes"), &ignore).await.unwrap();
    let process = pid(&mut terminal).await;
    drop(connection);
    timeout(LONG, child.wait()).await.expect("the stream was closed").unwrap();
    gone(process).await;
    let (_, _, exit) = timeout(LONG, read_all(&mut *terminal.output)).await.unwrap();
    assert!(exit.is_err(), "a broken connection is never a clean end");
    timeout(LONG, terminal.control.close()).await.unwrap();
}

#[tokio::test]
async fn watcher_lives_as_long_as_the_terminal() {
    let server = Sshd::new(&["ed25519"], "");
    let (connection, _child) = open(&server, &Config::default()).await;
    let folder = tempfile::tempdir().unwrap();
    for ends_by_itself in [true, false] {
        let mark = folder.path().join(format!("{ends_by_itself}"));
        let mut request = on_pty("echo up; read x; exit 4");
        request.watcher = Some(format!("cat >/dev/null; touch {}", mark.display()));
        let mut terminal = connection.open(&request, &ignore).await.unwrap();
        read_until(&mut *terminal.output, "up").await;
        assert!(!mark.exists());
        if ends_by_itself {
            terminal.input.write(Bytes::from_static(b"\r")).await.unwrap();
            assert_eq!(read_all(&mut *terminal.output).await.2.unwrap(), Exit::Code(4));
        }
        timeout(LONG, terminal.control.close()).await.unwrap();
        assert!(mark.exists(), "ends on its own: {ends_by_itself}");
    }
}

#[tokio::test]
async fn excess_session_is_refused() {
    let server = Sshd::new(&["ed25519"], "MaxSessions 1");
    let (connection, _child) = open(&server, &Config::default()).await;
    let mut first = connection.open(&on_pty("read x"), &ignore).await.unwrap();
    let log = Log::default();
    let error = connection.open(&on_pty("true"), &log.observer()).await.unwrap_err();
    assert!(matches!(error, Error::ChannelRefused { .. }), "{error}");
    assert_eq!(log.ended(), [(Stage::Channel, "failed")]);
    first.input.write(Bytes::from_static(b"\r")).await.unwrap();
    read_all(&mut *first.output).await.2.unwrap();
    // sshd frees the session in its next loop, not with the close.
    let mut second = timeout(LONG, async {
        loop {
            match connection.open(&command("echo again"), &ignore).await {
                Err(Error::ChannelRefused { .. }) => {}
                other => return other.unwrap(),
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(&read_all(&mut *second.output).await.0[..], b"again\n");
}

#[tokio::test]
async fn changed_host_key_fails() {
    let (server, impostor) = (Sshd::new(&["ed25519", "ecdsa"], ""), Sshd::new(&["ed25519"], ""));
    let other_kind = Sshd::new(&["ecdsa"], "");
    let keys = Arc::new(MemoryHostKeys::new());
    let user = "root".parse().unwrap();
    let config = Config::default();
    let attempt = async |server: &Sshd, check| {
        let (stream, _child) = server.connect();
        handshake(stream, &config, check, &user, &ignore).await
    };
    let strict = || HostKeyCheck::pinned(scope(), keys.clone(), HostKeyPolicy::Strict);
    assert!(matches!(attempt(&server, strict()).await, Err(Error::HostKeyUnknown { .. })));
    attempt(&server, tofu(&keys)).await.unwrap();
    attempt(&server, strict()).await.unwrap();
    let error = attempt(&impostor, tofu(&keys)).await.unwrap_err();
    assert!(matches!(&error, Error::HostKeyChanged { pinned, .. } if pinned.len() == 1), "{error}");
    assert_eq!(error.to_string().matches("SHA256:").count(), 2, "{error}");
    let error = attempt(&other_kind, tofu(&keys)).await.unwrap_err();
    assert!(matches!(error, Error::HostKeyMissing { .. }), "no downgrade to an unknown key: {error}");
    attempt(&impostor, HostKeyCheck::danger_accept_any()).await.unwrap();
}

#[tokio::test]
async fn refused_key_names_the_user() {
    let server = Sshd::new(&["ed25519"], "");
    let (stream, _child) = server.connect();
    let wrong = EphemeralKey::generate().unwrap();
    let error = connect(stream, &wrong, &Config::default()).await.unwrap_err();
    assert!(matches!(&error, Error::KeyRefused { user, .. } if user == "root"), "{error}");
    assert_eq!(error.stage(), Stage::Authentication);
}

#[tokio::test]
async fn handshake_stages_are_in_order() {
    for early in [false, true] {
        stages_in_order(early).await;
    }
}

async fn stages_in_order(early: bool) {
    let server = Sshd::new(&["ed25519"], "");
    let (stream, _child) = server.connect();
    let log = Log::default();
    let began = Instant::now();
    let user = "root".parse().unwrap();
    let any = HostKeyCheck::danger_accept_any();
    let mut shaken = handshake(stream, &Config::default(), any, &user, &log.observer()).await.unwrap();
    if early {
        shaken.begin_authentication(&log.observer()).await.unwrap();
    }
    let connection = shaken.authenticate(server.key.clone(), &log.observer()).await.unwrap();
    let begun = log.0.lock().unwrap().iter().filter(|(stage, _)| *stage == Stage::Authentication).count();
    assert_eq!(begun, 2, "the stage starts once and ends once, early or not");
    assert_eq!(
        log.ended(),
        [(Stage::Banner, "passed"), (Stage::KeyExchange, "passed"), (Stage::Authentication, "passed")]
    );
    assert!(began.elapsed() < LONG);
    drop(connection);
}
