//! The tunnel through the endpoint: its TLS, its upgrade, its frames, its end.

use eice::emulator::{AcceptFault, Certificate, CloseAfter, CloseForm, Faults, FrameFault, UpgradeFault};
use eice::model::{Fault, Stage, TerminalRequest};

use super::fails_with;
use crate::lab::{World, open_terminal};

#[tokio::test(flavor = "multi_thread")]
async fn untrusted_certificate() {
    for (certificate, word) in [
        (Certificate::WrongName, "name"),
        (Certificate::Expired, "expired"),
        (Certificate::UnknownCa, "certificate"),
    ] {
        let faults = Faults { certificate, ..Faults::default() };
        fails_with(faults, Stage::Tls, Fault::Tls, &[word]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_in_handshake() {
    let accept = |fault| Faults { accept: Some(fault), ..Faults::default() };
    let upgrade = |fault| Faults { upgrade: Some(fault), ..Faults::default() };
    fails_with(accept(AcceptFault::Drop), Stage::Tls, Fault::Network, &[]).await;
    fails_with(accept(AcceptFault::Hang), Stage::Tls, Fault::Timeout, &[]).await;
    fails_with(upgrade(UpgradeFault::DropBefore), Stage::Upgrade, Fault::Network, &[]).await;
    fails_with(upgrade(UpgradeFault::DropMid), Stage::Upgrade, Fault::Network, &[]).await;
    fails_with(upgrade(UpgradeFault::Hang), Stage::Upgrade, Fault::Timeout, &[]).await;
    fails_with(upgrade(UpgradeFault::DropAfter), Stage::Banner, Fault::Network, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_upgrade() {
    for fault in [
        UpgradeFault::WrongAccept,
        UpgradeFault::NoAccept,
        UpgradeFault::Extension,
        UpgradeFault::Subprotocol,
    ] {
        let faults = Faults { upgrade: Some(fault), ..Faults::default() };
        fails_with(faults, Stage::Upgrade, Fault::Protocol, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_frames() {
    for frame in [
        FrameFault::Text,
        FrameFault::Garbage,
        FrameFault::Masked,
        FrameFault::Reserved,
        FrameFault::Continuation,
    ] {
        let faults = Faults { frame: Some(frame), ..Faults::default() };
        fails_with(faults, Stage::Banner, Fault::Protocol, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_and_partial_frame() {
    let faults = Faults { frame: Some(FrameFault::Huge), ..Faults::default() };
    fails_with(faults, Stage::Banner, Fault::Protocol, &[]).await;
    let faults = Faults { frame: Some(FrameFault::HalfWritten), ..Faults::default() };
    fails_with(faults, Stage::Banner, Fault::Network, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_valid_frames_are_accepted() {
    for frame in [FrameFault::Empty, FrameFault::Pong, FrameFault::Fragmented] {
        let world = World::builtin().await;
        world.emulator.faults().update(|faults| {
            faults.frame = Some(frame);
            faults.ping_every_ms = Some(20);
        });
        let host = world.host(&world.target()).await;
        let mut shell = open_terminal(&*host, &TerminalRequest::default()).await;
        shell.line("echo $((6*7))").await;
        shell.until("42").await;
        shell.close().await;
        host.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnel_closed_in_key_exchange() {
    for form in [CloseForm::Empty, CloseForm::normal(), CloseForm::target_failed()] {
        let faults = Faults { close_after: Some(CloseAfter { bytes: 300, form }), ..Faults::default() };
        fails_with(faults, Stage::KeyExchange, Fault::Network, &[]).await;
    }
}

/// A reset loses data in transit, so the stage that SSH has reached varies.
#[tokio::test(flavor = "multi_thread")]
async fn tunnel_reset_in_key_exchange() {
    for form in [CloseForm::Fin, CloseForm::Rst] {
        let world = World::builtin().await;
        let before = world.leak_check().await;
        let close_after = Some(CloseAfter { bytes: 300, form });
        world.emulator.faults().set(Faults { close_after, ..Faults::default() });
        let error = world.try_host(&world.target()).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Network, "{error}: {}", error.chain());
        assert!(matches!(error.stage(), Stage::Banner | Stage::KeyExchange), "{error}");
        assert!(error.hint().is_some(), "{error}");
        before.assert_no_leaks().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_quota() {
    let faults = Faults { quota: Some(0), ..Faults::default() };
    fails_with(faults, Stage::Upgrade, Fault::Quota, &["20"]).await;
}
