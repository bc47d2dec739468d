//! The open tunnel as a byte stream.

use std::future::pending;
use std::io;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use eice_proto::tunnel::ProtocolError;

use crate::tunnel::{CloseReason, MAX_MESSAGE, Tunnel};

use super::peer::*;

/// Reads to the end, within a timeout.
async fn read_to_end(tunnel: &mut Tunnel) -> (Vec<u8>, io::Result<usize>) {
    let mut data = Vec::new();
    let result = timeout(Duration::from_secs(10), tunnel.read_to_end(&mut data)).await.unwrap();
    (data, result)
}

/// Returns what a client reads and why it ends, if the server sends `bytes` and then closes or stays silent.
async fn ends(bytes: Vec<u8>, is_open: bool) -> (Vec<u8>, io::Result<usize>, CloseReason) {
    let peer = tunnel_peer(move |mut stream| async move {
        let _ = stream.write_all(&bytes).await;
        let _ = stream.flush().await;
        if is_open {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    let mut tunnel = dial(&peer).await.unwrap();
    let status = tunnel.status();
    let (data, result) = read_to_end(&mut tunnel).await;
    let reason = status.close_reason().unwrap();
    if let Err(error) = &result {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<CloseReason>());
        assert_eq!(inner, Some(&reason));
        assert!(tunnel.write(b"x").await.is_err());
    }
    (data, result, reason)
}

#[tokio::test]
async fn megabytes_pass_both_ways_intact() {
    const SIZE: usize = 8 << 20;
    let peer = tunnel_peer(|stream| async move {
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        let (mut sink, mut source) = socket.split();
        while let Some(Ok(message)) = source.next().await {
            match message {
                Message::Binary(bytes) => {
                    assert!(bytes.len() <= 65_000);
                    sink.send(Message::Binary(bytes)).await.unwrap();
                }
                Message::Close(frame) => {
                    assert_eq!(frame, None, "our CLOSE has no payload");
                    return;
                }
                _ => {}
            }
        }
        panic!("no CLOSE came");
    })
    .await;
    let mut tunnel = dial(&peer).await.unwrap();
    let status = tunnel.status();
    let sent: Vec<u8> = (0..SIZE).map(|n| (n * 31 % 251) as u8).collect();
    let (mut reader, mut writer) = tokio::io::split(&mut tunnel);
    let mut got = vec![0; SIZE];
    let both = async {
        let write = async {
            writer.write_all(&sent).await?;
            writer.flush().await
        };
        tokio::try_join!(write, reader.read_exact(&mut got))
    };
    timeout(Duration::from_secs(60), both).await.unwrap().unwrap();
    assert!(got == sent);
    assert_eq!(status.close_reason(), None);
    tunnel.shutdown().await.unwrap();
    assert_eq!(status.close_reason(), Some(CloseReason::Local));
    let mut peer = peer;
    timeout(Duration::from_secs(10), &mut peer.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn read_sends_unflushed_writes() {
    let peer = tunnel_peer(|stream| async move {
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        while let Some(Ok(Message::Binary(bytes))) = socket.next().await {
            socket.send(Message::Binary(bytes)).await.unwrap();
        }
    })
    .await;
    let mut tunnel = dial(&peer).await.unwrap();
    for _ in 0..3 {
        tunnel.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        timeout(Duration::from_secs(10), tunnel.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"ping");
    }
}

#[tokio::test]
async fn each_end_has_its_reason() {
    let close = |code: u16, reason: &str| frame(0x88, &[&code.to_be_bytes(), reason.as_bytes()].concat());
    for (bytes, is_open, expected) in [
        (close(1000, "bye"), true, CloseReason::Clean),
        (frame(0x88, b""), true, CloseReason::Clean),
        (frame(0x88, b""), false, CloseReason::Clean),
        (
            close(1011, "Unable to connect to target"),
            true,
            CloseReason::Peer { code: 1011, reason: "Unable to connect to target".into() },
        ),
        (close(1008, ""), false, CloseReason::Peer { code: 1008, reason: String::new() }),
        (Vec::new(), false, CloseReason::Eof),
        (frame(0x81, b"text"), true, CloseReason::Protocol(ProtocolError::Text)),
        (frame(0xf2, b"reserved bits"), true, CloseReason::Protocol(ProtocolError::Malformed)),
        (frame(0x83, b"unknown opcode"), true, CloseReason::Protocol(ProtocolError::Malformed)),
        (frame(0x80, b"stray"), true, CloseReason::Protocol(ProtocolError::Malformed)),
        (
            [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[b' '; 100]].concat(),
            true,
            CloseReason::Protocol(ProtocolError::Malformed),
        ),
    ] {
        let (data, result, reason) = ends(bytes.clone(), is_open).await;
        assert!(data.is_empty());
        assert_eq!(reason, expected, "{bytes:?}");
        assert_eq!(result.is_ok(), expected.is_clean(), "{bytes:?}: {result:?}");
    }
}

#[tokio::test]
async fn data_before_the_end_is_read_first() {
    let bytes = [
        frame(0x82, b"AB"),
        frame(0x82, b""),
        frame(0x02, b"CD"),
        frame(0x89, b"ping"),
        frame(0x80, b"EF"),
        frame(0x88, &[&1011_u16.to_be_bytes()[..], b"late"].concat()),
    ]
    .concat();
    let (data, result, reason) = ends(bytes, true).await;
    assert_eq!(data, b"ABCDEF");
    assert!(result.is_err());
    assert_eq!(reason, CloseReason::Peer { code: 1011, reason: "late".into() });
}

#[tokio::test]
async fn oversized_message_is_rejected() {
    let limit = MAX_MESSAGE;
    let expected = CloseReason::Protocol(ProtocolError::TooLong { limit });
    // Only the length is sent: nothing of that size is ever buffered.
    let mut lying = vec![0x82, 127];
    lying.extend((limit as u64 + 1).to_be_bytes());
    assert_eq!(ends(lying, true).await.2, expected);
    let mut absurd = vec![0x82, 127];
    absurd.extend((u64::MAX >> 1).to_be_bytes());
    assert_eq!(ends(absurd, true).await.2, expected);
    let piece = vec![0; limit / 2];
    let pieces = [frame(0x02, &piece), frame(0x00, &piece), frame(0x80, b"x")].concat();
    assert_eq!(ends(pieces, true).await.2, expected);
}

#[tokio::test]
async fn truncated_frame_is_eof() {
    let mut cut = frame(0x82, &[7; 1000]);
    cut.truncate(500);
    let (data, result, reason) = ends(cut, false).await;
    assert!(data.is_empty() && result.is_err());
    assert_eq!(reason, CloseReason::Eof);
}

#[tokio::test]
async fn frames_sent_with_the_101_are_kept() {
    let peer = tls_peer(|mut stream, head| async move {
        let all =
            [accepted(&head).into_bytes(), frame(0x82, b"SSH-2.0-first\r\n"), frame(0x88, b"")].concat();
        stream.write_all(&all).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let mut tunnel = dial(&peer).await.unwrap();
    assert_eq!(read_to_end(&mut tunnel).await.0, b"SSH-2.0-first\r\n");
}

#[tokio::test]
async fn pings_are_answered_and_sent() {
    let peer = tunnel_peer(|stream| async move {
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        socket.send(Message::Ping("are you there".into())).await.unwrap();
        let (mut has_pong, mut has_ping) = (false, false);
        while !(has_pong && has_ping) {
            match socket.next().await.unwrap().unwrap() {
                Message::Pong(payload) => has_pong = payload == "are you there",
                Message::Ping(_) => has_ping = true,
                other => panic!("{other:?}"),
            }
        }
        socket.close(None).await.unwrap();
    })
    .await;
    let mut config = trusting(&peer.certificate);
    config.keepalive = Some(Duration::from_millis(20));
    let mut tunnel = dial_stages(config, peer.port).await.0.unwrap();
    let (_, result) = read_to_end(&mut tunnel).await;
    assert!(result.is_ok(), "{result:?}");
}

#[tokio::test]
async fn stalled_peer_blocks_the_writer() {
    let peer = tunnel_peer(|stream| async move {
        let _stream = stream;
        pending::<()>().await;
    })
    .await;
    let mut tunnel = dial(&peer).await.unwrap();
    let chunk = vec![0; 64 << 10];
    let mut taken = 0_usize;
    while let Ok(written) = timeout(Duration::from_millis(300), tunnel.write(&chunk)).await {
        taken += written.unwrap();
        assert!(taken < 64 << 20, "no backpressure");
    }
    // The peer does not read the CLOSE either: closing ends by its own timeout.
    timeout(Duration::from_secs(5), tunnel.shutdown()).await.unwrap().unwrap();
    assert_eq!(tunnel.status().close_reason(), Some(CloseReason::Local));
}

#[tokio::test]
async fn dropped_tunnel_is_closed_locally() {
    let peer = tunnel_peer(|mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let tunnel = dial(&peer).await.unwrap();
    let mut status = tunnel.status();
    drop(tunnel);
    assert_eq!(timeout(Duration::from_secs(5), status.closed()).await.unwrap(), CloseReason::Local);
    let mut peer = peer;
    timeout(Duration::from_secs(5), &mut peer.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn max_duration_is_reported_as_such() {
    // As the service's own clock does, it cuts the connection when the second is over.
    let peer = tunnel_peer(|stream| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(stream);
    })
    .await;
    let dialer = crate::tunnel::Dialer::new(trusting(&peer.certificate)).unwrap();
    let one_second = eice_proto::MaxDuration::from_secs(1).unwrap();
    let url = url(&format!("localhost:{}", peer.port));
    let mut tunnel = dialer.dial(&url, Some(one_second), &|_| {}).await.unwrap();
    let (_, result) = read_to_end(&mut tunnel).await;
    assert!(result.is_err());
    assert!(matches!(tunnel.status().close_reason(), Some(CloseReason::DurationReached { .. })));
}
