//! openTunnel: the checks in their order, and the behavior of an open tunnel.

use bytes::Bytes;
use eice_proto::{Credentials, Timestamp};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use super::client::{Answer, Ask, Socket, head, open, raw};
use super::*;

const ENDPOINT: &str = "eice-0123456789abcdef0";

/// Starts an emulator whose instance is the returned listener.
async fn forwarding() -> (Emulator, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = quick();
    config.instances[0].backend = Backend::Forward(listener.local_addr().unwrap());
    (start(config).await, listener)
}

fn code(answer: &Answer) -> (u16, String) {
    let body: Value = serde_json::from_str(&answer.body).expect(&answer.body);
    assert_eq!(body.as_object().unwrap().len(), 2, "ErrorCode and Message, nothing else");
    assert!(answer.head.contains("x-amzn-RequestId: "));
    (answer.status, body["ErrorCode"].as_str().unwrap().to_owned())
}

async fn ask(emulator: &Emulator, change: impl FnOnce(&mut Ask)) -> Answer {
    let mut ask = Ask::new(emulator.access());
    change(&mut ask);
    let head = head(emulator.access(), &ask.path(emulator.access()));
    soon(raw(emulator.access(), &head)).await.0
}

async fn next(socket: &mut Socket) -> Option<Message> {
    soon(socket.next()).await.map(Result::unwrap)
}

#[tokio::test]
async fn switching_response_suits_aws_cli() {
    let emulator = start(quick()).await;
    let answer = ask(&emulator, |_| {}).await;
    assert_eq!(answer.status, 101);
    assert!(answer.head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert!(answer.head.contains("x-amzn-RequestId: "));
    assert!(!answer.head.contains("Sec-WebSocket-Extensions"));
    assert!(!answer.head.contains("Sec-WebSocket-Protocol"));
}

/// Each request is invalid in one respect and in every later one, so that only the order of checks decides.
#[tokio::test]
async fn checks_run_in_the_service_order() {
    let mut config = quick();
    config.endpoints.push(EndpointSpec {
        id: "eice-0000000000000bad0".parse().unwrap(),
        state: EndpointState::CreateInProgress,
        tags: Default::default(),
        ..EndpointSpec::default()
    });
    config.quota = 0;
    let emulator = start(config).await;
    let access = emulator.access();
    let spoil_signature =
        |ask: &mut Ask| ask.credentials = Credentials::new(access.access_key_id(), "x", None);

    let bad = Ask { port: 5432, endpoint: "eice-0000000000000bad0".into(), ..Ask::new(access) };
    let path = {
        let mut ask = Ask { port: 5432, ..Ask::new(access) };
        spoil_signature(&mut ask);
        ask.path(access)
    };
    let good_head = head(access, &path);
    for (head, expected) in [
        (good_head.replace("GET ", "POST ").replace("/openTunnel", "/other"), (405, "MethodNotAllowed")),
        (
            good_head.replace("/openTunnel", "/other").replace("Upgrade: websocket\r\n", ""),
            (404, "ResourceNotFound"),
        ),
        (good_head.replace("/openTunnel", "/opentunnel"), (404, "ResourceNotFound")),
        (good_head.replace("Upgrade: websocket\r\n", ""), (400, "InvalidRequest")),
        (good_head.replace("Version: 13", "Version: 12"), (400, "InvalidRequest")),
        (good_head.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), (400, "InvalidRequest")),
        (good_head.clone(), (403, "AccessDeniedException")),
    ] {
        let answer = soon(raw(access, &head)).await.0;
        assert_eq!(code(&answer), (expected.0, expected.1.to_owned()), "{head}");
    }
    // From here on the signature is valid.
    let path = bad.path(access);
    let answer = soon(raw(access, &head(access, &path))).await.0;
    assert_eq!(code(&answer), (400, "InvalidParameter".into()));
    assert_eq!(
        answer.body,
        "{\"ErrorCode\":\"InvalidParameter\",\"Message\":\"The specified RemotePort is not valid. Specify \
         either 22 or 3389 as the RemotePort and retry your request.\"}"
    );
    let untagged = |ask: &mut Ask| ask.endpoint = "eice-0000000000000bad0".into();
    let answer = ask(&emulator, untagged).await;
    assert_eq!(code(&answer), (403, "AccessDeniedException".into()));
    assert!(answer.body.contains(
        "User: arn:aws:iam::123456789012:user/developer is not authorized to perform: \
         ec2-instance-connect:OpenTunnel on resource: \
         arn:aws:ec2:eu-west-1:123456789012:instance-connect-endpoint/eice-0000000000000bad0"
    ));
    emulator.set_policies(access.access_key_id(), vec![IamPolicy::allow_all()]);
    assert_eq!(code(&ask(&emulator, untagged).await), (400, "InvalidState".into()));
    assert_eq!(code(&ask(&emulator, |_| {}).await), (429, "ThrottlingException".into()));
}

#[tokio::test]
async fn bad_signature_is_rejected() {
    let mut config = quick();
    let token = "IQoJb3JpZ2luX2VjE//abc+def==/xyz=";
    config.principals.push(IamUser {
        name: "temporary".into(),
        access_key_id: "ASIATEMPORARY".into(),
        session_token: Some(token.into()),
        secret_access_key: "secret".into(),
        ..IamUser::default()
    });
    let emulator = start(config).await;
    let access = emulator.access();
    let now = Ask::new(access).now.as_unix();
    let key = access.access_key_id().to_owned();
    let with = |id: &str, secret: &str, token: Option<&str>| {
        let credentials = Credentials::new(id, secret, token.map(str::to_owned));
        move |ask: &mut Ask| ask.credentials = credentials
    };
    assert_eq!(ask(&emulator, with("ASIATEMPORARY", "secret", Some(token))).await.status, 101);
    let denied = (403, "AccessDeniedException".to_owned());
    assert_eq!(code(&ask(&emulator, with("ASIATEMPORARY", "secret", None)).await), denied, "no token");
    assert_eq!(code(&ask(&emulator, with("ASIATEMPORARY", "secret", Some("x"))).await), denied, "its token");
    assert_eq!(code(&ask(&emulator, with("AKIAUNKNOWN", "secret", None)).await), denied, "key");
    assert_eq!(code(&ask(&emulator, with(&key, "wrong", None)).await), denied, "secret");
    let at = |seconds: u64| move |ask: &mut Ask| ask.now = Timestamp::from_unix(seconds);
    assert_eq!(code(&ask(&emulator, at(now - 70)).await), denied, "expired after 60 s");
    assert_eq!(code(&ask(&emulator, at(now + 310)).await), denied, "from the future");
    assert_eq!(code(&ask(&emulator, |ask| ask.region = "us-east-1".into()).await), denied, "region");
    assert_eq!(ask(&emulator, at(now - 30)).await.status, 101);
    let path = Ask::new(access).path(access).replace("remotePort=22", "remotePort=3389");
    let changed = soon(raw(access, &head(access, &path))).await.0;
    assert_eq!(code(&changed), denied, "a changed parameter");
    let other_host =
        head(access, &Ask::new(access).path(access)).replace("Host: localhost", "Host: 127.0.0.1");
    assert_eq!(code(&soon(raw(access, &other_host)).await.0), denied, "another host");
}

#[tokio::test]
async fn parameters_and_conditions_are_checked() {
    let mut config = quick();
    config.principals[0].policies = vec![
        r#"{"Statement":[
            {"Effect":"Allow","Action":"ec2-instance-connect:OpenTunnel","Resource":"*","Condition":{
                "NumericLessThanEquals":{"ec2-instance-connect:maxTunnelDuration":"600"},
                "IpAddress":{"ec2-instance-connect:privateIpAddress":"10.0.1.0/24"}}}]}"#
            .parse()
            .unwrap(),
    ];
    let emulator = start(config).await;
    let short = |ask: &mut Ask| ask.duration = Some(600);
    assert_eq!(ask(&emulator, short).await.status, 101);
    let denied = (403, "AccessDeniedException".to_owned());
    assert_eq!(code(&ask(&emulator, |_| {}).await), denied, "absent means 3600");
    let elsewhere = |ask: &mut Ask| {
        ask.duration = Some(600);
        ask.address = "10.0.2.1".into();
    };
    assert_eq!(code(&ask(&emulator, elsewhere).await), denied);
    let ipv6 = |ask: &mut Ask| ask.address = "2600::1".into();
    assert_eq!(code(&ask(&emulator, ipv6).await), (400, "InvalidParameter".into()), "an IPv4 endpoint");
    let unknown = |ask: &mut Ask| ask.endpoint = "eice-00000000000000000".into();
    assert_eq!(code(&ask(&emulator, unknown).await), (404, "ResourceNotFound".into()));
}

#[tokio::test]
async fn bytes_pass_both_ways() {
    let (emulator, listener) = forwarding().await;
    let mut socket = open(emulator.access(), &Ask::new(emulator.access())).await.unwrap();
    socket.send(Message::Binary(Bytes::from_static(b"early"))).await.unwrap();
    socket.send(Message::Binary(Bytes::new())).await.unwrap();
    socket.send(Message::Ping(Bytes::from_static(b"are you there"))).await.unwrap();
    let (mut target, _) = soon(listener.accept()).await.unwrap();
    let mut got = [0; 5];
    soon(target.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"early");
    assert_eq!(next(&mut socket).await, Some(Message::Pong(Bytes::from_static(b"are you there"))));

    // A megabyte in each direction at once, checked byte by byte.
    let pattern: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 253) as u8).collect();
    let (mut from_target, mut to_target) = target.into_split();
    let sending = pattern.clone();
    let feeding = tokio::spawn(async move {
        to_target.write_all(&sending).await.unwrap();
        to_target
    });
    let expected = pattern.clone();
    let draining = tokio::spawn(async move {
        let mut got = vec![0; expected.len()];
        from_target.read_exact(&mut got).await.unwrap();
        assert_eq!(got, expected);
        from_target
    });
    let (mut write, mut read) = socket.split();
    let pushing = tokio::spawn(async move {
        for chunk in pattern.chunks(65_000) {
            write.send(Message::Binary(Bytes::copy_from_slice(chunk))).await.unwrap();
        }
        write
    });
    let mut got = 0_usize;
    while got < 1_000_000 {
        let Some(Ok(Message::Binary(data))) = soon(read.next()).await else { panic!("after {got}") };
        assert!(data.len() <= 65_000);
        assert!(data.iter().enumerate().all(|(at, byte)| usize::from(*byte) == (got + at) % 253));
        got += data.len();
    }
    let _write = soon(pushing).await.unwrap();
    // The target closes the connection: CLOSE 1000.
    drop((soon(feeding).await.unwrap(), soon(draining).await.unwrap()));
    let Some(Ok(Message::Close(Some(frame)))) = soon(read.next()).await else { panic!("no CLOSE") };
    assert_eq!(u16::from(frame.code), 1000);
}

#[tokio::test]
async fn dead_target_closes_after_101() {
    let mut config = quick();
    config.instances[0].backend = Backend::Closed;
    let emulator = start(config).await;
    let closed = async |change: fn(&mut Ask)| {
        let mut ask = Ask::new(emulator.access());
        change(&mut ask);
        let mut socket = open(emulator.access(), &ask).await.unwrap();
        let Some(Message::Close(Some(frame))) = next(&mut socket).await else { panic!("no CLOSE") };
        (u16::from(frame.code), frame.reason.to_string())
    };
    let failed = (1011, "Unable to connect to target".to_owned());
    assert_eq!(closed(|_| {}).await, failed, "nothing listens");
    assert_eq!(closed(|ask| ask.address = "10.0.9.9".into()).await, failed, "no instance has the address");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = Backend::Forward(listener.local_addr().unwrap());
    let spec = InstanceSpec { backend, ..InstanceSpec::default() };
    emulator.add_instance(spec).await.unwrap();
    assert!(open(emulator.access(), &Ask::new(emulator.access())).await.is_ok());
    emulator.edit_security_groups(|groups| groups[1].egress.clear());
    assert_eq!(closed(|_| {}).await, failed, "the endpoint's group lets nothing out");
    emulator.edit_security_groups(|groups| {
        *groups = EmulatorConfig::default().security_groups;
        groups[0].ingress.clear();
    });
    assert_eq!(closed(|_| {}).await, failed, "the instance's group lets nothing in");
    emulator.edit_security_groups(|groups| *groups = EmulatorConfig::default().security_groups);
    emulator.set_instance_state(&InstanceSpec::default().id, InstanceState::Stopped);
    assert_eq!(closed(|_| {}).await, failed, "stopped");
}

#[tokio::test]
async fn illegal_client_frame_closes_tunnel() {
    let (emulator, _listener) = forwarding().await;
    let path = || head(emulator.access(), &Ask::new(emulator.access()).path(emulator.access()));
    for (bytes, expected) in [
        (&b"\x82\x05hello"[..], Some(1002_u16)),
        (&b"\xc2\x80\0\0\0\0"[..], Some(1002)),
        (&b"\x82\xff\0\0\x01\0\0\0\0\0\0\0\0\0"[..], Some(1009)),
        // TEXT is not part of the protocol; AWS's response is unknown.
        (&b"\x81\x81\0\0\0\0x"[..], None),
    ] {
        let (answer, mut stream) = soon(raw(emulator.access(), &path())).await;
        assert_eq!(answer.status, 101);
        stream.write_all(bytes).await.unwrap();
        let mut got = Vec::new();
        let _ = soon(stream.read_to_end(&mut got)).await;
        assert_eq!(got[0], 0x88, "{got:?}");
        if let Some(code) = expected {
            assert_eq!(got[2..4], code.to_be_bytes(), "{bytes:?}");
        }
    }
}

#[tokio::test]
async fn quota_counts_open_tunnels() {
    let (emulator, listener) = forwarding().await;
    emulator.faults().update(|faults| faults.quota = Some(2));
    let one = open(emulator.access(), &Ask::new(emulator.access())).await.unwrap();
    let mut two = open(emulator.access(), &Ask::new(emulator.access())).await.unwrap();
    assert_eq!(emulator.open_tunnels(), 2);
    assert_eq!(code(&ask(&emulator, |_| {}).await), (429, "ThrottlingException".into()));
    // An abrupt end, and a CLOSE without a payload.
    drop(one);
    two.send(Message::Close(None)).await.unwrap();
    soon(async {
        while emulator.open_tunnels() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut ended = 0;
    while ended < 2 {
        let (mut target, _) = soon(listener.accept()).await.unwrap();
        assert_eq!(soon(target.read(&mut [0; 1])).await.unwrap(), 0, "the target's side is closed as well");
        ended += 1;
    }
    emulator.faults().clear();
    let tunnels: Vec<_> = futures_util::future::join_all(
        (0..20).map(async |_| open(emulator.access(), &Ask::new(emulator.access())).await.unwrap()),
    )
    .await;
    assert_eq!(code(&ask(&emulator, |_| {}).await), (429, "ThrottlingException".into()), "AWS's 20");
    drop(tunnels);
}

#[tokio::test]
async fn max_duration_ends_tunnel() {
    let (emulator, _listener) = forwarding().await;
    for (form, expected) in [
        (None, Some(1000)),
        (Some(CloseForm::Close { code: 1001, reason: "time is up".into() }), Some(1001)),
        (Some(CloseForm::Empty), Some(0)),
        (Some(CloseForm::Fin), None),
        (Some(CloseForm::Rst), None),
    ] {
        emulator.faults().update(|faults| faults.duration_form = form.clone());
        let asked = Ask { duration: Some(60), ..Ask::new(emulator.access()) };
        let mut socket = open(emulator.access(), &asked).await.unwrap();
        emulator.clock().advance(Duration::from_secs(61));
        let end = soon(socket.next()).await;
        emulator.clock().reset();
        match (end, expected) {
            (Some(Ok(Message::Close(None))), Some(0)) => {}
            (Some(Ok(Message::Close(Some(frame)))), Some(code)) => assert_eq!(u16::from(frame.code), code),
            (Some(Err(_)) | None, None) => {}
            (end, expected) => panic!("{form:?}: {end:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn tunnels_and_rejections_are_recorded() {
    let (emulator, _listener) = forwarding().await;
    let asked = Ask { duration: Some(3600), ..Ask::new(emulator.access()) };
    let head_of = head(emulator.access(), &asked.path(emulator.access()));
    let (answer, _stream) = soon(raw(emulator.access(), &head_of)).await;
    ask(&emulator, |ask| ask.port = 5432).await;
    let records = emulator.records();
    let record = serde_json::to_value(&records[0]).unwrap();
    assert_eq!(record["eventSource"], "ec2-instance-connect.amazonaws.com");
    assert_eq!(record["eventName"], "OpenTunnel");
    assert_eq!(
        record["requestParameters"],
        serde_json::json!({
            "instanceConnectEndpointId": ENDPOINT, "maxTunnelDuration": "3600", "remotePort": "22",
            "privateIpAddress": "10.0.1.23",
        })
    );
    assert_eq!(record["responseElements"], Value::Null);
    assert_eq!(record["resources"][0]["type"], "AWS::EC2::InstanceConnectEndpoint");
    assert_eq!(record["userIdentity"]["arn"], "arn:aws:iam::123456789012:user/developer");
    assert_eq!(record["userAgent"], "test/1");
    assert!(answer.head.contains(record["requestID"].as_str().unwrap()));
    let refused = serde_json::to_value(&records[1]).unwrap();
    assert_eq!(refused["errorCode"], "InvalidParameter");
    assert!(refused["requestParameters"].get("maxTunnelDuration").is_none(), "absent when it was not sent");
    assert_eq!(records.len(), 2);
}

#[tokio::test]
async fn shutdown_closes_tunnels_and_listeners() {
    let (emulator, _listener) = forwarding().await;
    let access = emulator.access().clone();
    let mut socket = open(&access, &Ask::new(&access)).await.unwrap();
    let said = tokio::spawn(async move { next(&mut socket).await });
    soon(emulator.shutdown()).await;
    let Some(Message::Close(Some(frame))) = soon(said).await.unwrap() else { panic!("no CLOSE") };
    assert_eq!(u16::from(frame.code), 1001);
    assert!(tokio::net::TcpStream::connect(access.tunnel_addr()).await.is_err());
    assert!(tokio::net::TcpStream::connect(access.api_addr()).await.is_err());
    assert!(!access.ca_file().exists());
}
