//! Each fault knob has its effect.

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use super::client::{Ask, Call, head, open, raw, tls};
use super::*;

async fn forwarding(faults: Faults) -> (Emulator, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = EmulatorConfig { faults, ..quick() };
    config.instances[0].backend = Backend::Forward(listener.local_addr().unwrap());
    (start(config).await, listener)
}

/// Returns everything a client receives after its request, up to the end of the connection.
async fn everything(faults: Faults) -> Vec<u8> {
    let (emulator, _listener) = forwarding(faults).await;
    let access = emulator.access();
    let mut stream = soon(tls(access)).await.unwrap();
    stream.write_all(head(access, &Ask::new(access).path(access)).as_bytes()).await.unwrap();
    let mut got = Vec::new();
    let _ = soon(stream.read_to_end(&mut got)).await;
    got
}

/// Returns the bytes that follow the 101.
async fn frames(frame: FrameFault, count: usize) -> Vec<u8> {
    let (emulator, _listener) = forwarding(Faults { frame: Some(frame), ..Faults::default() }).await;
    let access = emulator.access();
    let (answer, mut stream) = soon(raw(access, &head(access, &Ask::new(access).path(access)))).await;
    assert_eq!(answer.status, 101);
    let mut got = vec![0; count];
    soon(stream.read_exact(&mut got)).await.unwrap();
    got
}

#[tokio::test]
async fn connection_drops_as_configured() {
    let upgrade = |fault| Faults { upgrade: Some(fault), ..Faults::default() };
    assert!(everything(upgrade(UpgradeFault::DropBefore)).await.is_empty());
    let half = everything(upgrade(UpgradeFault::DropMid)).await;
    assert!(half.starts_with(b"HTTP/1.1 101") && !half.ends_with(b"\r\n\r\n"));
    assert!(everything(upgrade(UpgradeFault::DropAfter)).await.ends_with(b"\r\n\r\n"));
    let (emulator, _listener) =
        forwarding(Faults { accept: Some(AcceptFault::Drop), ..Faults::default() }).await;
    assert!(soon(tls(emulator.access())).await.is_err());
}

#[tokio::test]
async fn upgrade_response_faults() {
    for (fault, part) in [
        (UpgradeFault::WrongAccept, "Sec-WebSocket-Accept: AAAA"),
        (UpgradeFault::Extension, "Sec-WebSocket-Extensions: permessage-deflate"),
        (UpgradeFault::Subprotocol, "Sec-WebSocket-Protocol: surprise"),
    ] {
        let faults = Faults { upgrade: Some(fault), ..Faults::default() };
        let (emulator, _listener) = forwarding(faults).await;
        let access = emulator.access();
        let (answer, _) = soon(raw(access, &head(access, &Ask::new(access).path(access)))).await;
        assert!(answer.head.contains(part), "{answer:?}");
    }
    let refusal = UpgradeRejection { status: 503, body: "<html>busy</html>".into(), content_length: false };
    let got = everything(Faults { upgrade: Some(UpgradeFault::Refuse(refusal)), ..Faults::default() }).await;
    let got = String::from_utf8(got).unwrap();
    assert!(got.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && got.ends_with("<html>busy</html>"));
    assert!(!got.contains("Content-Length"));
}

#[tokio::test]
async fn hanging_server_stays_silent() {
    for faults in [
        Faults { accept: Some(AcceptFault::Hang), ..Faults::default() },
        Faults { upgrade: Some(UpgradeFault::Hang), ..Faults::default() },
    ] {
        let (emulator, _listener) = forwarding(faults.clone()).await;
        let access = emulator.access().clone();
        let asked = Ask::new(&access);
        let waiting = open(&access, &asked);
        assert!(tokio::time::timeout(Duration::from_millis(150), waiting).await.is_err(), "{faults:?}");
        soon(emulator.shutdown()).await;
    }
}

#[tokio::test]
async fn invalid_certificates_are_rejected() {
    for certificate in [Certificate::WrongName, Certificate::Expired, Certificate::UnknownCa] {
        let (emulator, _listener) = forwarding(Faults { certificate, ..Faults::default() }).await;
        let error = soon(tls(emulator.access())).await.unwrap_err().to_string();
        assert!(error.contains("certificate"), "{certificate:?}: {error}");
        emulator.faults().clear();
        assert!(soon(tls(emulator.access())).await.is_ok(), "knobs are live");
    }
}

#[tokio::test]
async fn frame_faults_are_sent_verbatim() {
    assert_eq!(frames(FrameFault::Text, 10).await, b"\x81\x08surprise");
    assert_eq!(frames(FrameFault::Huge, 10).await, b"\x82\x7f\0\0\x01\0\0\0\0\0");
    assert_eq!(frames(FrameFault::Garbage, 64).await, [0xff; 64]);
    assert_eq!(frames(FrameFault::Masked, 6).await, b"\x82\x86\0\0\0\0");
    assert_eq!(frames(FrameFault::Reserved, 3).await, b"\xc2\x01x");
    assert_eq!(frames(FrameFault::Continuation, 2).await, b"\x80\x0a");
    assert_eq!(frames(FrameFault::Empty, 2).await, b"\x82\x00");
    assert_eq!(frames(FrameFault::Pong, 2).await, b"\x8a\x07");
    let half = everything(Faults { frame: Some(FrameFault::HalfWritten), ..Faults::default() }).await;
    assert!(half.ends_with(b"\r\n\r\n\x82\x64ten bytes."));
}

#[tokio::test]
async fn fragments_and_pings_arrive() {
    let faults = Faults { frame: Some(FrameFault::Fragmented), ping_every_ms: Some(1), ..Faults::default() };
    let (emulator, listener) = forwarding(faults).await;
    let mut socket = open(emulator.access(), &Ask::new(emulator.access())).await.unwrap();
    let (mut target, _) = soon(listener.accept()).await.unwrap();
    target.write_all(b"ABCD").await.unwrap();
    let (mut pings, mut data) = (0, None);
    while pings < 4 || data.is_none() {
        match soon(socket.next()).await.unwrap().unwrap() {
            Message::Ping(_) => pings += 1,
            Message::Binary(bytes) => data = Some(bytes),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(&data.unwrap()[..], b"ABCD");
}

#[tokio::test]
async fn tunnel_ends_after_bytes_or_idle() {
    let form = CloseForm::Close { code: 1001, reason: "enough".into() };
    let close_after = Some(CloseAfter { bytes: 5, form });
    let (emulator, listener) = forwarding(Faults { close_after, ..Faults::default() }).await;
    let mut socket = open(emulator.access(), &Ask::new(emulator.access())).await.unwrap();
    let (mut target, _) = soon(listener.accept()).await.unwrap();
    target.write_all(b"1234567890").await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap().into_data(), &b"12345"[..]);
    let Some(Ok(Message::Close(Some(frame)))) = soon(socket.next()).await else { panic!("no CLOSE") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1001, "enough"));

    let (emulator, _listener) = forwarding(Faults { idle_cut_ms: Some(1), ..Faults::default() }).await;
    let mut socket = open(emulator.access(), &Ask::new(emulator.access())).await.unwrap();
    assert!(!matches!(soon(socket.next()).await, Some(Ok(_))), "a bare FIN");

    let at_once = Some(CloseAfter { bytes: 0, form: CloseForm::Empty });
    let (emulator, _listener) = forwarding(Faults { close_after: at_once, ..Faults::default() }).await;
    let mut socket = open(emulator.access(), &Ask::new(emulator.access())).await.unwrap();
    assert!(matches!(soon(socket.next()).await, Some(Ok(Message::Close(None)))));
}

#[tokio::test]
async fn latency_and_rate_keep_byte_order() {
    let faults = Faults { latency_ms: 20, jitter_ms: 10, ..Faults::default() };
    let (emulator, listener) = forwarding(faults).await;
    let begun = std::time::Instant::now();
    let mut socket = soon(open(emulator.access(), &Ask::new(emulator.access()))).await.unwrap();
    // TLS 1.3 takes one round trip, the upgrade another.
    assert!(begun.elapsed() >= Duration::from_millis(80), "{:?}", begun.elapsed());
    let (mut target, _) = soon(listener.accept()).await.unwrap();
    let pattern: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let sending = pattern.clone();
    let feeding = tokio::spawn(async move {
        target.write_all(&sending).await.unwrap();
        target
    });
    let mut got = Vec::new();
    while got.len() < pattern.len() {
        got.extend_from_slice(&soon(socket.next()).await.unwrap().unwrap().into_data());
    }
    assert_eq!(got, pattern);
    drop(feeding);

    let (emulator, listener) = forwarding(Faults { rate: Some(1_000_000), ..Faults::default() }).await;
    let mut socket = soon(open(emulator.access(), &Ask::new(emulator.access()))).await.unwrap();
    let (mut target, _) = soon(listener.accept()).await.unwrap();
    let begun = std::time::Instant::now();
    target.write_all(&vec![0; 100_000]).await.unwrap();
    let mut count = 0;
    while count < 100_000 {
        count += soon(socket.next()).await.unwrap().unwrap().into_data().len();
    }
    assert!(begun.elapsed() >= Duration::from_millis(60), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn api_faults_throttle_fail_and_hang() {
    let emulator = start(quick()).await;
    let call = Call::new(emulator.access());
    let query = "Action=DescribeInstances";
    emulator.faults().update(|faults| faults.api_throttled = 1);
    let throttled = call.ec2(query).await;
    assert_eq!(throttled.status, 503);
    assert!(throttled.body.contains("<Code>RequestLimitExceeded</Code>"));
    assert_eq!(call.ec2(query).await.status, 200);
    emulator.faults().update(|faults| faults.api_errors = 1);
    assert_eq!(call.ec2(query).await.status, 500);
    emulator.faults().update(|faults| {
        faults.api_hang = true;
        faults.api_action = Some("SendSSHPublicKey".into());
    });
    assert_eq!(call.ec2(query).await.status, 200, "another action");
    let hanging = call.push_key("i-0123456789abcdef0", "ec2-user", "");
    assert!(tokio::time::timeout(Duration::from_millis(100), hanging).await.is_err());
    soon(emulator.shutdown()).await;
}
