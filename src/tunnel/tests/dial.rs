//! Failures before the tunnel is open.

use std::future::pending;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::model::{Fault, Stage, StageEvent, StageState, error_chain};
use crate::tunnel::{ClockSkew, Dialer, Error, TlsFault};

use super::peer::*;

#[tokio::test]
async fn stages_and_request_id_are_reported() {
    let peer = tunnel_peer(|_stream| pending()).await;
    let (tunnel, stages) = dial_stages(trusting(&peer.certificate), peer.port).await;
    assert_eq!(tunnel.unwrap().request_id(), Some("req-1"));
    assert_eq!(
        stages,
        ["tcp started", "tcp passed", "tls started", "tls passed", "upgrade started", "upgrade passed"]
    );
}

#[tokio::test]
async fn sent_request_is_the_signed_one() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let peer = tls_peer(|_stream, head| async move {
        let _ = sender.send(head);
    })
    .await;
    let _ = dial(&peer).await;
    let head = receiver.await.unwrap();
    assert!(
        head.starts_with("GET /openTunnel?instanceConnectEndpointId=eice-0123456789abcdef0&remotePort=22&")
    );
    assert!(head.contains(&format!("\r\nHost: localhost:{}\r\n", peer.port)));
    assert!(head.contains("\r\nUser-Agent: eice/"));
    assert!(!head.contains("Origin:") && !head.contains("Sec-WebSocket-Extensions"));
}

#[tokio::test]
async fn rejection_is_typed() {
    for (status, body, fault) in [
        (
            403,
            r#"{"ErrorCode":"AccessDeniedException","Message":"User: x is not authorized"}"#,
            Fault::Denied,
        ),
        (400, r#"{"ErrorCode":"InvalidParameter","Message":"RemotePort"}"#, Fault::Usage),
        (404, r#"{"ErrorCode":"ResourceNotFoundException","Message":"no such"}"#, Fault::NotFound),
        (429, r#"{"ErrorCode":"ThrottlingException","Message":"slow"}"#, Fault::Quota),
        (401, "Failed to connect", Fault::Denied),
        (503, "", Fault::Network),
    ] {
        let answer = format!(
            "HTTP/1.1 {status} Nope\r\nContent-Length: {}\r\nx-amzn-RequestId: req-9\r\n\r\n{body}",
            body.len()
        );
        let peer = tls_peer(move |mut stream, _| async move {
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            // The connection stays open: the body ends at its announced length.
            pending::<()>().await;
        })
        .await;
        let error = dial(&peer).await.unwrap_err();
        assert_eq!(error.stage(), Stage::Upgrade);
        assert_eq!(error.fault(), fault, "{status} {body}: {error:?}");
        assert_eq!(error.request_id(), Some("req-9"));
    }
}

#[tokio::test]
async fn rejection_body_is_read_in_any_framing() {
    let body = r#"{"ErrorCode":"AccessDeniedException","Message":"no access"}"#;
    for answer in [
        format!(
            "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ),
        format!("HTTP/1.1 403 No\r\nConnection: close\r\n\r\n{body}"),
    ] {
        let peer = tls_peer(move |mut stream, _| async move {
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        })
        .await;
        let error = dial(&peer).await.unwrap_err();
        assert!(error_chain(&error).contains("AccessDeniedException: no access"), "{}", error_chain(&error));
    }
}

#[tokio::test]
async fn clock_skew_is_reported() {
    let body = r#"{"ErrorCode":"SignatureDoesNotMatch","Message":"Signature expired"}"#;
    let answer = format!(
        "HTTP/1.1 403 No\r\nDate: Wed, 29 Jul 2020 12:00:00 GMT\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let peer = tls_peer(move |mut stream, _| async move {
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;
    let error = dial(&peer).await.unwrap_err();
    assert!(matches!(error, Error::Rejected { skew: Some(ClockSkew::Ahead(_)), .. }), "{error:?}");
    assert!(error.to_string().contains("the local clock is"), "{error}");
    assert_eq!(error.fault(), Fault::Credentials);
}

#[tokio::test]
async fn closed_handshake_fails_at_once() {
    let before_tls = tcp_peer(identity("localhost", false), |stream, _| async move { drop(stream) }).await;
    let error = dial(&before_tls).await.unwrap_err();
    assert!(matches!(error, Error::TlsBroken { .. }), "{error:?}");

    for part in [&b""[..], b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso"] {
        for is_rude in [false, true] {
            let peer = tls_peer(move |mut stream, _| async move {
                stream.write_all(part).await.unwrap();
                stream.flush().await.unwrap();
                if !is_rude {
                    stream.shutdown().await.unwrap();
                }
            })
            .await;
            let error = dial(&peer).await.unwrap_err();
            assert!(matches!(error, Error::UpgradeBroken { .. }), "{error:?}");
            assert!(error.to_string().contains("closed the connection in mid-handshake"));
            assert!(error.hint().is_some());
        }
    }
}

#[tokio::test]
async fn invalid_upgrade_response_is_rejected() {
    let wrong_accept =
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n";
    for answer in [
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        wrong_accept.into(),
        b"\x82\x05hello".to_vec(),
        [b"HTTP/1.1 101 X\r\n".to_vec(), vec![b'a'; 1 << 20]].concat(),
    ] {
        let peer = tls_peer(move |mut stream, _| async move {
            let _ = stream.write_all(&answer).await;
            pending::<()>().await;
        })
        .await;
        let error = dial(&peer).await.unwrap_err();
        assert!(matches!(error, Error::UpgradeMalformed { .. }), "{error:?}");
        assert_eq!(error.fault(), Fault::Protocol);
    }
}

#[tokio::test]
async fn silent_peer_times_out_in_its_stage() {
    let no_tls = tcp_peer(identity("localhost", false), |stream, _| async move {
        let _stream = stream;
        pending::<()>().await;
    })
    .await;
    let no_answer = tls_peer(|stream, _| async move {
        let _stream = stream;
        pending::<()>().await;
    })
    .await;
    for (peer, stage) in [(no_tls, Stage::Tls), (no_answer, Stage::Upgrade)] {
        let (result, stages) = dial_stages(impatient(trusting(&peer.certificate)), peer.port).await;
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        assert_eq!((error.stage(), error.fault()), (stage, Fault::Timeout));
        assert_eq!(stages.last(), Some(&format!("{stage} failed")));
    }
}

#[tokio::test]
async fn dropped_dial_fails_no_stage() {
    let peer = tls_peer(|stream, _| async move {
        let _stream = stream;
        pending::<()>().await;
    })
    .await;
    let events = std::sync::Mutex::new(Vec::new());
    let observer = |event: StageEvent| events.lock().unwrap().push((event.stage, event.state));
    let dialer = Dialer::new(trusting(&peer.certificate)).unwrap();
    let url = url(&format!("localhost:{}", peer.port));
    let is_waiting = async {
        while !events.lock().unwrap().contains(&(Stage::Upgrade, StageState::Started)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        result = dialer.dial(&url, None, &observer) => panic!("{result:?}"),
        () = is_waiting => {}
    }
    let events = events.into_inner().unwrap();
    assert!(!events.iter().any(|(_, state)| matches!(state, StageState::Failed(_))), "{events:?}");
    assert_eq!(events.last(), Some(&(Stage::Upgrade, StageState::Started)));
}

/// A listener with a full backlog acts like a firewall that drops every packet: Linux drops what exceeds it.
#[tokio::test]
async fn unresponsive_host_times_out_in_tcp() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let filling: Vec<_> = (0..8).map(|_| tokio::spawn(tokio::net::TcpStream::connect(addr))).collect();
    let first = filling.into_iter().map(Box::pin);
    let (_filled, _, _rest) = futures_util::future::select_all(first).await;
    let dialer = Dialer::new(impatient(Default::default())).unwrap();
    let error = dialer.dial(&url(&addr.to_string()), None, &|_| {}).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert_eq!((error.stage(), error.fault()), (Stage::Tcp, Fault::Timeout));
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn certificate_faults_are_distinguished() {
    for (name, is_expired, is_trusted, expected) in [
        ("other.example", false, true, TlsFault::Name),
        ("localhost", true, true, TlsFault::Expired),
        ("localhost", false, false, TlsFault::Untrusted),
    ] {
        let peer = tcp_peer(identity(name, is_expired), |stream, acceptor| async move {
            let _ = acceptor.accept(stream).await;
        })
        .await;
        let stranger = identity("localhost", false);
        let root = if is_trusted { &peer.certificate } else { &stranger.certificate };
        let error = dial_stages(trusting(root), peer.port).await.0.unwrap_err();
        match &error {
            Error::Tls { fault, .. } => assert_eq!(*fault, expected, "{error:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!((error.stage(), error.fault()), (Stage::Tls, Fault::Tls));
        assert!(error.hint().is_some());
    }
    let plain = tcp_peer(identity("localhost", false), |mut stream, _| async move {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n").await;
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let error = dial(&plain).await.unwrap_err();
    assert!(matches!(error, Error::Tls { fault: TlsFault::NotTls, .. }), "{error:?}");
}

#[tokio::test]
async fn closed_port_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (result, stages) = dial_stages(trusting(&identity("localhost", false).certificate), port).await;
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert_eq!(stages, ["tcp started", "tcp failed"]);
}

#[test]
fn missing_roots_fail_before_the_dial() {
    let mut config = trusting(&identity("localhost", false).certificate);
    config.extra_ca.clear();
    assert!(matches!(Dialer::new(config.clone()), Err(Error::NoRoots)));
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in
        [("empty", ""), ("broken", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n")]
    {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        config.ca_bundle = Some(path);
        assert!(matches!(Dialer::new(config.clone()), Err(Error::CaBundle { .. })), "{name}");
    }
    config.ca_bundle = Some(dir.path().join("absent"));
    assert!(matches!(Dialer::new(config), Err(Error::CaBundle { .. })));
}
