//! End to end: pushed key, tunnel, SSH, a shell on a PTY.

use std::sync::Arc;

use russh::client::{self, Handle};
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{Channel, ChannelMsg};

use super::client::{Ask, Call, bytes, open};
use super::*;
use crate::model::processes;

const INSTANCE: &str = "i-0123456789abcdef0";

struct Client {
    host_key: Arc<std::sync::Mutex<Option<String>>>,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let russh::keys::PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        *self.host_key.lock().unwrap() = Some(key.to_openssh().unwrap());
        Ok(true)
    }
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn line(key: &PrivateKey) -> String {
    PublicKey::from(key).to_openssh().unwrap()
}

/// Opens an SSH connection through a tunnel, before the login; returns the offered host key too.
async fn dial(emulator: &Emulator) -> (Handle<Client>, String) {
    let socket = soon(open(emulator.access(), &Ask::new(emulator.access()))).await.unwrap();
    let host_key = Arc::new(std::sync::Mutex::new(None));
    let client = Client { host_key: Arc::clone(&host_key) };
    let handle = soon(client::connect_stream(Arc::new(client::Config::default()), bytes(socket), client));
    let handle = handle.await.unwrap();
    let met = host_key.lock().unwrap().clone().unwrap();
    (handle, met)
}

async fn log_in(handle: &mut Handle<Client>, user: &str, key: PrivateKey) -> bool {
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    soon(handle.authenticate_publickey(user, key)).await.unwrap().success()
}

async fn logged_in(emulator: &Emulator) -> Handle<Client> {
    let pushed = Call::new(emulator.access()).push_key(INSTANCE, "ec2-user", &line(&key(1))).await;
    assert_eq!(pushed.status, 200, "{pushed:?}");
    let (mut handle, _) = dial(emulator).await;
    assert!(log_in(&mut handle, "ec2-user", key(1)).await);
    handle
}

#[derive(Default, Debug)]
struct ChannelResult {
    out: String,
    err: String,
    status: Option<u32>,
    signal: Option<String>,
}

async fn outcome(channel: &mut Channel<client::Msg>) -> ChannelResult {
    let mut outcome = ChannelResult::default();
    while let Some(message) = soon(channel.wait()).await {
        match message {
            ChannelMsg::Data { data } => outcome.out.push_str(&String::from_utf8_lossy(&data)),
            ChannelMsg::ExtendedData { data, .. } => outcome.err.push_str(&String::from_utf8_lossy(&data)),
            ChannelMsg::ExitStatus { exit_status } => outcome.status = Some(exit_status),
            ChannelMsg::ExitSignal { signal_name, .. } => outcome.signal = Some(format!("{signal_name:?}")),
            _ => {}
        }
    }
    outcome
}

async fn until(channel: &mut Channel<client::Msg>, seen: &mut String, end: &str) {
    while !seen.contains(end) {
        match soon(channel.wait()).await {
            Some(ChannelMsg::Data { data }) => seen.push_str(&String::from_utf8_lossy(&data)),
            Some(ChannelMsg::Success) => {}
            other => panic!("{other:?} after {seen:?}"),
        }
    }
}

#[tokio::test]
async fn pty_shell_resizes_and_reports_status() {
    let emulator = start(quick()).await;
    let handle = logged_in(&emulator).await;
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.request_pty(true, "xterm-256color", 80, 24, 0, 0, &[]).await.unwrap();
    channel.set_env(true, "LANG", "C.UTF-8").await.unwrap();
    channel.request_shell(true).await.unwrap();
    let mut seen = String::new();
    channel.data_bytes(&b"PS1=; stty -echo; echo $TERM:$LANG:$USER:$0; stty size\n"[..]).await.unwrap();
    until(&mut channel, &mut seen, "xterm-256color:C.UTF-8:ec2-user:-sh\r\n24 80\r\n").await;
    channel.window_change(100, 40, 0, 0).await.unwrap();
    channel.data_bytes(&b"stty size\n"[..]).await.unwrap();
    until(&mut channel, &mut seen, "40 100\r\n").await;
    channel.data_bytes(&b"exit 7\n"[..]).await.unwrap();
    assert_eq!(outcome(&mut channel).await.status, Some(7));
    soon(emulator.shutdown()).await;
}

#[tokio::test]
async fn exec_separates_stderr_and_sees_eof() {
    let emulator = start(quick()).await;
    let handle = logged_in(&emulator).await;
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.exec(true, "echo no >&2; wc -c; exit 3").await.unwrap();
    channel.data_bytes(vec![b'x'; 100_000]).await.unwrap();
    channel.eof().await.unwrap();
    let ended = outcome(&mut channel).await;
    assert_eq!((ended.out.trim(), ended.err.as_str(), ended.status), ("100000", "no\n", Some(3)));

    let mut channel = handle.channel_open_session().await.unwrap();
    channel.exec(true, "kill -TERM $$").await.unwrap();
    assert_eq!(outcome(&mut channel).await.signal.as_deref(), Some("TERM"));
}

#[tokio::test]
async fn pushed_key_expires() {
    let emulator = start(quick()).await;
    let pushed = Call::new(emulator.access()).push_key(INSTANCE, "ec2-user", &line(&key(1))).await;
    assert_eq!(pushed.status, 200);
    assert!(!log_in(&mut dial(&emulator).await.0, "root", key(1)).await, "another user");
    assert!(!log_in(&mut dial(&emulator).await.0, "ec2-user", key(2)).await, "another key");
    emulator.clock().advance(Duration::from_secs(59));
    emulator.clock().rewind(Duration::from_secs(59));
    assert!(log_in(&mut dial(&emulator).await.0, "ec2-user", key(1)).await);
    emulator.set_policies(emulator.access().access_key_id(), vec![IamPolicy::allow_all()]);
    let (mut late, _) = dial(&emulator).await;
    emulator.clock().advance(Duration::from_secs(61));
    assert!(!log_in(&mut late, "ec2-user", key(1)).await, "expired");
}

#[tokio::test]
async fn console_shows_the_host_key() {
    let emulator = start(quick()).await;
    let (_handle, met) = dial(&emulator).await;
    let answer =
        Call::new(emulator.access()).ec2(&format!("Action=GetConsoleOutput&InstanceId={INSTANCE}")).await;
    let coded = answer.body.split("<output>").nth(1).unwrap().split("</output>").next().unwrap();
    assert!(decode(coded).contains(&met), "{}", decode(coded));
    assert!(decode(coded).contains("-----BEGIN SSH HOST KEY KEYS-----"));
}

fn decode(base64: &str) -> String {
    let value = |b: u8| match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bytes = base64.trim_end_matches('=').as_bytes().chunks(4).flat_map(|chunk| {
        let bits =
            chunk.iter().fold(0_u32, |bits, b| bits << 6 | u32::from(value(*b))) << (6 * (4 - chunk.len()));
        bits.to_be_bytes()[1..chunk.len()].to_vec()
    });
    String::from_utf8(bytes.collect()).unwrap()
}

#[tokio::test]
async fn processes_end_with_channel() {
    let emulator = start(quick()).await;
    for close_connection in [false, true] {
        let handle = logged_in(&emulator).await;
        let mut channel = handle.channel_open_session().await.unwrap();
        channel.request_pty(false, "xterm", 80, 24, 0, 0, &[]).await.unwrap();
        channel.exec(true, "trap '' HUP; sleep 1000 & echo leader=$$; sleep 1000").await.unwrap();
        let mut seen = String::new();
        until(&mut channel, &mut seen, "\r\n").await;
        let leader = seen.trim().strip_prefix("leader=").unwrap().parse().unwrap();
        assert!(!processes::members(leader).is_empty());
        if close_connection {
            drop((channel, handle));
        } else {
            channel.close().await.unwrap();
        }
        soon(async {
            while !processes::members(leader).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    let handle = logged_in(&emulator).await;
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.exec(true, "setsid sleep 1000 & echo $EICE_EMULATED_INSTANCE; sleep 1000").await.unwrap();
    let mut seen = String::new();
    until(&mut channel, &mut seen, "\n").await;
    let marker = format!("EICE_EMULATED_INSTANCE={}", seen.trim());
    assert!(processes::marked(&marker).len() >= 2);
    let ca = emulator.access().ca_file().to_owned();
    assert!(ca.exists());
    soon(emulator.shutdown()).await;
    assert!(processes::marked(&marker).is_empty(), "processes that called setsid end with the emulator");
    assert!(!ca.parent().unwrap().exists(), "and so does its directory");
}

#[tokio::test]
async fn max_sessions_is_enforced() {
    let mut config = quick();
    config.instances[0].backend = Backend::Builtin(Builtin { max_sessions: 1, ..Builtin::default() });
    let emulator = start(config).await;
    let handle = logged_in(&emulator).await;
    let mut first = handle.channel_open_session().await.unwrap();
    first.exec(true, "cat").await.unwrap();
    assert!(handle.channel_open_session().await.is_err(), "MaxSessions");
    first.eof().await.unwrap();
    outcome(&mut first).await;
    assert!(soon(handle.channel_open_session()).await.is_ok(), "the session slot is free again");
}

#[tokio::test]
async fn only_loopback_ports_are_forwarded() {
    let emulator = start(quick()).await;
    let handle = logged_in(&emulator).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = u32::from(listener.local_addr().unwrap().port());
    let channel = handle.channel_open_direct_tcpip("127.0.0.1", port, "127.0.0.1", 0).await.unwrap();
    let (mut accepted, _) = soon(listener.accept()).await.unwrap();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    accepted.write_all(b"hello").await.unwrap();
    let mut stream = channel.into_stream();
    let mut got = [0; 5];
    soon(stream.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"hello");
    assert!(handle.channel_open_direct_tcpip("192.0.2.1", 80, "127.0.0.1", 0).await.is_err());
}
