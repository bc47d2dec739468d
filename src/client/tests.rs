#![allow(clippy::unwrap_used, reason = "a broken set-up ends the test")]

use tokio::io::AsyncReadExt as _;

use super::*;
use crate::emulator::{self, Emulator};
use crate::model::{Exit, Size, TerminalEvent};

const INSTANCE: &str = "i-0123456789abcdef0";

async fn emulated() -> (Emulator, Client) {
    let emulator = Emulator::start(emulator::EmulatorConfig::default()).await.unwrap();
    let client = Client::for_emulator(emulator.access()).unwrap();
    (emulator, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnel_carries_the_server_banner() {
    let (emulator, client) = emulated().await;
    let mut tunnel = client.open_tunnel(INSTANCE).await.unwrap();
    let mut start = [0; 8];
    tunnel.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"SSH-2.0-");
    drop(tunnel);
    emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_separates_streams_and_returns_status() {
    let (emulator, client) = emulated().await;
    let command = "cat; echo no >&2; exit 3";
    let mut process = client.exec(INSTANCE, command).await.unwrap();
    process.write("yes\n").await.unwrap();
    let output = process.output().await.unwrap();
    assert_eq!((&*output.stdout, &*output.stderr, output.exit), (&b"yes\n"[..], &b"no\n"[..], Exit::Code(3)));
    emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_output_is_bounded() {
    let (emulator, client) = emulated().await;
    let error = client.exec(INSTANCE, "yes").await.unwrap().output().await.unwrap_err();
    assert!(matches!(error, Error::OutputTooLong(MAX_OUTPUT)), "{error:?}");
    emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_has_the_requested_size() {
    let (emulator, client) = emulated().await;
    let request = TerminalRequest::new(Size::new(97, 31).unwrap());
    let mut shell = client.terminal(INSTANCE, request).await.unwrap();
    shell.write("stty size; exit 7\n").await.unwrap();
    let (mut shown, mut exit) = (Vec::new(), None);
    while let Some(event) = shell.next().await.unwrap() {
        match event {
            TerminalEvent::Output(bytes) => shown.extend_from_slice(&bytes),
            TerminalEvent::Exit(how) => exit = Some(how),
            TerminalEvent::Stderr(_) => {}
        }
    }
    assert!(String::from_utf8_lossy(&shown).contains("31 97"), "{}", String::from_utf8_lossy(&shown));
    assert_eq!(exit, Some(Exit::Code(7)));
    shell.close().await;
    emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_stage_keeps_its_hint() {
    let (emulator, client) = emulated().await;
    emulator.faults().update(|faults| faults.quota = Some(0));
    let error = client.open_tunnel(INSTANCE).await.unwrap_err();
    let Error::Stage(error) = error else { unreachable!("{error:?}") };
    assert!(error.hint().is_some(), "{error}");
    emulator.shutdown().await;
}
