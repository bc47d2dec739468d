//! How a connection is made: what runs concurrently, which AWS calls are made, and when a key is pushed again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use eice::aws::{self, Aws};
use eice::connect::{self, Connector};
use eice::emulator::{Emulator, EmulatorConfig};
use eice::model::{
    Exit, Host, InstanceTarget, Stage, StageEvent, StageState, TerminalEvent, TerminalRequest,
};
use eice::ssh::host_keys::MemoryHostKeys;
use eice::tunnel::{self, Dialer};

/// Longer than any of this takes.
const LONG: Duration = Duration::from_secs(60);

fn connector(emulator: &Emulator, config: connect::ConnectConfig) -> Connector {
    let access = emulator.access();
    let mut aws = aws::AwsConfig::default();
    aws.region = Some(access.region().to_owned());
    aws.endpoint_url = Some(access.api_url());
    aws.credentials = Some(access.credentials());
    let mut tunnel = tunnel::Config::default();
    tunnel.native_roots = false;
    tunnel.ca_bundle = Some(access.ca_file().to_owned());
    Connector::new(Aws::new(aws), Dialer::new(tunnel).unwrap(), Arc::new(MemoryHostKeys::new()), config)
}

fn target() -> InstanceTarget {
    InstanceTarget::new("i-0123456789abcdef0".parse().unwrap())
}

/// Returns how many calls of `name` the emulator recorded.
fn calls(emulator: &Emulator, name: &str) -> usize {
    emulator
        .records()
        .iter()
        .filter(|record| serde_json::to_value(record).unwrap()["eventName"] == name)
        .count()
}

/// Connects and returns the stages in the order in which they passed.
async fn passed(connector: &Connector) -> (connect::SshHost, Vec<Stage>) {
    let passed = Mutex::new(Vec::new());
    let observer = |event: StageEvent| match event.state {
        StageState::Passed(_) => passed.lock().unwrap().push(event.stage),
        StageState::Failed(_) => panic!("{event:?}"),
        _ => {}
    };
    let host =
        tokio::time::timeout(LONG, connector.connect_ssh(&target(), &observer)).await.unwrap().unwrap();
    (host, passed.into_inner().unwrap())
}

#[tokio::test]
async fn key_push_overlaps_the_dial() {
    let emulator = Emulator::start(EmulatorConfig::default()).await.unwrap();
    emulator.faults().update(|faults| {
        faults.api_action = Some("SendSSHPublicKey".into());
        faults.api_delay_ms = 1500;
    });
    let (host, passed) = passed(&connector(&emulator, connect::ConnectConfig::default())).await;
    assert_eq!(
        passed,
        [
            Stage::Credentials,
            Stage::Instance,
            Stage::Endpoint,
            Stage::Tcp,
            Stage::Tls,
            Stage::Upgrade,
            Stage::Banner,
            Stage::KeyExchange,
            Stage::KeyPush,
            Stage::Authentication,
        ]
    );
    let ids = host.ids();
    assert!(ids.key_push.is_some() && ids.tunnel.is_some(), "{ids:?}");

    let request = TerminalRequest::command("echo out; echo err >&2; exit 5");
    let mut terminal = host.open(&request, &|_: StageEvent| {}).await.unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = loop {
        match tokio::time::timeout(LONG, terminal.output.next()).await.unwrap().unwrap().unwrap() {
            TerminalEvent::Output(bytes) => out.extend_from_slice(&bytes),
            TerminalEvent::Stderr(bytes) => err.extend_from_slice(&bytes),
            TerminalEvent::Exit(exit) => break exit,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((&out[..], &err[..], exit), (&b"out\n"[..], &b"err\n"[..], Exit::Code(5)));

    tokio::time::timeout(LONG, host.close()).await.unwrap();
    assert!(host.is_closed());
    emulator.shutdown().await;
}

#[tokio::test]
async fn expired_key_is_pushed_again() {
    let emulator = Emulator::start(EmulatorConfig::default()).await.unwrap();
    let mut config = connect::ConnectConfig::default();
    let (host, _) = passed(&connector(&emulator, config.clone())).await;
    assert_eq!(calls(&emulator, "SendSSHPublicKey"), 1);
    host.close().await;
    config.max_key_age = Duration::ZERO;
    let (host, stages) = passed(&connector(&emulator, config)).await;
    assert_eq!(calls(&emulator, "SendSSHPublicKey"), 3);
    assert_eq!(stages.iter().filter(|stage| **stage == Stage::KeyPush).count(), 2);
    host.close().await;
    emulator.shutdown().await;
}

#[tokio::test]
async fn bare_tunnel_pushes_no_key() {
    let emulator = Emulator::start(EmulatorConfig::default()).await.unwrap();
    let connector = connector(&emulator, connect::ConnectConfig::default());
    let mut tunnel = connector.open_tunnel(&target(), &|_: StageEvent| {}).await.unwrap();
    let mut banner = [0; 4];
    tokio::time::timeout(LONG, tokio::io::AsyncReadExt::read_exact(&mut tunnel, &mut banner))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&banner, b"SSH-");
    assert_eq!((calls(&emulator, "SendSSHPublicKey"), calls(&emulator, "OpenTunnel")), (0, 1));
    drop(tunnel);
    emulator.shutdown().await;
}
