//! Proxies, correct and broken.

use std::future::pending;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::model::{Fault, Stage, error_chain};
use crate::tunnel::{Error, Proxy, ProxyConfig, ProxyFault, TlsFault};

use super::peer::*;

async fn quiet_endpoint() -> Peer {
    tunnel_peer(|stream| async move {
        let _stream = stream;
        pending::<()>().await;
    })
    .await
}

async fn dial_by(peer: &Peer, proxy: &str) -> (Result<crate::tunnel::Tunnel, Error>, Vec<String>) {
    let mut config = impatient(trusting(&peer.certificate));
    config.proxy = ProxyConfig::new(Proxy::parse("https_proxy", proxy).unwrap(), "");
    dial_stages(config, peer.port).await
}

#[tokio::test]
async fn connect_logs_in_and_carries_the_tunnel() {
    let peer = quiet_endpoint().await;
    let target = peer.port;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let (port, _task) = listen(move |mut stream| async move {
        let head = read_head(&mut stream).await;
        let _ = sender.send(head);
        stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").await.unwrap();
        let mut onward = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut onward).await;
    })
    .await;
    let (tunnel, stages) = dial_by(&peer, &format!("http://user:p%40ss@127.0.0.1:{port}")).await;
    tunnel.unwrap();
    assert_eq!(stages[..4], ["tcp started", "tcp passed", "proxy started", "proxy passed"]);
    let head = receiver.await.unwrap();
    assert!(
        head.starts_with(&format!("CONNECT localhost:{target} HTTP/1.1\r\nHost: localhost:{target}\r\n"))
    );
    // user:p@ss
    assert!(head.contains("\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n"), "{head}");
}

#[tokio::test]
async fn proxy_refusal_has_its_status() {
    for (answer, expected, text) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", 407, "user:password"),
        ("HTTP/1.1 403 Forbidden\x1b[2J\r\nContent-Length: 0\r\n\r\n", 403, "NO_PROXY"),
        ("HTTP/1.0 502\r\n\r\n", 502, "CONNECT"),
    ] {
        let peer = quiet_endpoint().await;
        let (port, _task) = listen(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let (result, stages) = dial_by(&peer, &format!("http://u:hunter2@127.0.0.1:{port}")).await;
        let error = result.unwrap_err();
        let status = match &error {
            Error::Proxy { source: ProxyFault::Status { status, .. }, .. } => *status,
            other => panic!("{other:?}"),
        };
        assert_eq!(status, expected);
        assert_eq!((error.stage(), error.fault()), (Stage::Proxy, Fault::Proxy));
        assert!(error_chain(&error).contains(&expected.to_string()) && !error_chain(&error).contains('\x1b'));
        assert!(error.hint().unwrap().contains(text), "{:?}", error.hint());
        assert_eq!(stages.last().unwrap(), "proxy failed");
    }
}

#[tokio::test]
async fn broken_proxy_fails_in_the_proxy_stage() {
    for (answer, is_open) in [
        (&b"SSH-2.0-OpenSSH\r\n"[..], true),
        (b"HTTP/1.1 200 OK\r\n\r\nunexpected bytes", true),
        (b"", false),
        (b"HTTP/1.1 200", false),
        (b"", true),
    ] {
        let peer = quiet_endpoint().await;
        let (port, _task) = listen(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(answer).await.unwrap();
            if is_open {
                pending::<()>().await;
            }
        })
        .await;
        let error = dial_by(&peer, &format!("127.0.0.1:{port}")).await.0.unwrap_err();
        assert_eq!(error.stage(), Stage::Proxy, "{answer:?}: {error:?}");
        assert!(error.hint().is_some());
    }
}

#[tokio::test]
async fn https_proxy_uses_tls() {
    let peer = quiet_endpoint().await;
    let target = peer.port;
    let front = identity("localhost", false);
    let (acceptor, certificate) = (front.acceptor, front.certificate);
    let (port, _task) = listen(move |stream| async move {
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut onward = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut onward).await;
    })
    .await;
    let mut config = trusting(&peer.certificate);
    config.proxy = ProxyConfig::new(Proxy::parse("p", &format!("https://localhost:{port}")).unwrap(), "");
    config.extra_ca.push(certificate);
    dial_stages(config, target).await.0.unwrap();

    let stranger = identity("localhost", false);
    let (port, _task) = listen(move |stream| async move {
        let _ = stranger.acceptor.accept(stream).await;
    })
    .await;
    let error = dial_by(&peer, &format!("https://localhost:{port}")).await.0.unwrap_err();
    assert!(matches!(error, Error::ProxyTls { fault: TlsFault::Untrusted, .. }), "{error:?}");
}

/// A SOCKS5 proxy that requires `login`, sends `reply` and forwards if that is 0. Returns the request.
async fn socks(
    login: Option<&'static [u8]>,
    accepts: u8,
    reply: u8,
    target: u16,
) -> (u16, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 2];
        stream.read_exact(&mut hello).await.unwrap();
        let mut methods = vec![0; usize::from(hello[1])];
        stream.read_exact(&mut methods).await.unwrap();
        if let Some(login) = login {
            assert!(methods.contains(&2));
            stream.write_all(&[5, 2]).await.unwrap();
            let mut got = vec![0; login.len()];
            stream.read_exact(&mut got).await.unwrap();
            assert_eq!(got, login);
            stream.write_all(&[1, accepts]).await.unwrap();
            if accepts != 0 {
                return Vec::new();
            }
        } else {
            stream.write_all(&[5, accepts]).await.unwrap();
            if accepts != 0 {
                return Vec::new();
            }
        }
        let mut request = vec![0; 4];
        stream.read_exact(&mut request).await.unwrap();
        let rest = match request[3] {
            1 => 4,
            4 => 16,
            _ => {
                request.push(stream.read_u8().await.unwrap());
                usize::from(request[4])
            }
        };
        let mut address = vec![0; rest + 2];
        stream.read_exact(&mut address).await.unwrap();
        request.extend(address);
        stream.write_all(&[5, reply, 0, 3, 4, b'h', b'o', b's', b't', 0, 80]).await.unwrap();
        if reply == 0 {
            let mut onward = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut onward).await;
        }
        request
    });
    (port, task)
}

#[tokio::test]
async fn socks5_resolves_and_logs_in() {
    for (scheme, user, login, kind) in [
        ("socks5", "", None, 1_u8),
        ("socks5h", "", None, 3),
        ("socks5h", "user:pass@", Some(&b"\x01\x04user\x04pass"[..]), 3),
    ] {
        let peer = quiet_endpoint().await;
        let (port, task) = socks(login, 0, 0, peer.port).await;
        let (tunnel, _) = dial_by(&peer, &format!("{scheme}://{user}127.0.0.1:{port}")).await;
        drop(tunnel.unwrap());
        peer.task.abort();
        let request = task.await.unwrap();
        // `localhost` may resolve to either family.
        let is_address = matches!(request[3], 1 | 4);
        assert_eq!(is_address, kind == 1, "{request:?}");
        if kind == 3 {
            assert_eq!(request[5..14], *b"localhost");
        }
        assert_eq!(request[request.len() - 2..], peer.port.to_be_bytes());
    }
}

#[tokio::test]
async fn socks5_replies_are_typed() {
    let peer = quiet_endpoint().await;
    let login = Some(&b"\x01\x01u\x07hunter2"[..]);
    for (user, login, accepts, reply, expected) in [
        ("", None, 0, 2, ProxyFault::SocksReply(2)),
        ("", None, 0xff, 0, ProxyFault::NoMethod),
        ("", None, 2, 0, ProxyFault::NoMethod),
        ("u:hunter2@", login, 1, 0, ProxyFault::Login),
    ] {
        let (port, _task) = socks(login, accepts, reply, 0).await;
        let error = dial_by(&peer, &format!("socks5h://{user}127.0.0.1:{port}")).await.0.unwrap_err();
        match &error {
            Error::Proxy { source, .. } => assert_eq!(*source, expected),
            other => panic!("{other:?}"),
        }
        assert_eq!(error.fault(), Fault::Proxy);
    }
    let (port, _task) = listen(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        pending::<()>().await;
    })
    .await;
    let error = dial_by(&peer, &format!("socks5://127.0.0.1:{port}")).await.0.unwrap_err();
    assert!(matches!(error, Error::Proxy { source: ProxyFault::Protocol(_), .. }), "{error:?}");
}

#[tokio::test]
async fn bypassed_host_is_dialed_directly() {
    let peer = quiet_endpoint().await;
    let mut config = trusting(&peer.certificate);
    config.proxy = ProxyConfig::new(Proxy::parse("p", "http://127.0.0.1:1").unwrap(), "localhost");
    let (tunnel, stages) = dial_stages(config, peer.port).await;
    tunnel.unwrap();
    assert!(!stages.iter().any(|stage| stage.starts_with("proxy")));
}
