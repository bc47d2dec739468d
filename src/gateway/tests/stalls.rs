//! Peers that accept no data are dropped.

use std::time::{Duration, Instant};

use futures_util::SinkExt as _;

use super::*;
use crate::gateway::eicterm::WINDOW;

/// The stall timeout of these tests.
const STALL: Duration = Duration::from_secs(1);

/// The deadline for a connection's end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A socket that accepted nothing for this long counts as full.
const FULL: Duration = Duration::from_millis(300);

/// A piece of output that fits the peer's kernel buffers, in bytes, without a reader.
const PIECE: usize = 32 << 10;

/// More than the buffers of both systems hold, in bytes.
const MUCH: usize = 16 << 20;

async fn impatient() -> Server {
    let configure = |config: &mut Config| config.write_stall_timeout = STALL;
    Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await
}

/// Waits until it holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} did not happen");
        tokio::task::yield_now().await;
    }
}

impl Server {
    fn closes(&self, how: &str) -> u64 {
        self.gateway.metrics().closes.with_label_values(&[how]).get()
    }

    async fn eicterm(&self) -> Socket {
        let headers = [("Authorization", "Bearer abc"), ("Sec-WebSocket-Protocol", "eicterm.v1")];
        let mut socket = self.socket(&format!("/workspaces/{MINE}/terminal"), &headers).await.unwrap();
        let attach = Message::binary(&b"\x10{\"cols\":80,\"rows\":24}"[..]);
        socket.send(attach).await.unwrap();
        socket
    }
}

/// Reads output until there were `length` bytes of it.
async fn read(socket: &mut Socket, length: usize) {
    let mut seen = 0;
    while seen < length {
        if let Message::Binary(data) = next(socket).await.unwrap().unwrap() {
            seen += data.len();
        }
    }
    assert_eq!(seen, length);
}

#[tokio::test]
async fn stalled_viewer_is_dropped() {
    let server = impatient().await;
    // A viewer that has its whole window and acknowledges nothing.
    let mut paused = server.eicterm().await;
    let window = usize::try_from(WINDOW).unwrap();
    for _ in 0..window / PIECE {
        server.script.say(&[b'x'; PIECE]);
        read(&mut paused, PIECE).await;
    }
    server.script.say(b"behind the window");

    for is_eicterm in [false, true] {
        let server = impatient().await;
        let deaf = if is_eicterm { server.eicterm().await } else { server.terminal().await };
        for _ in 0..if is_eicterm { window } else { MUCH } / PIECE {
            server.script.say(&[b'x'; PIECE]);
        }
        until("the end", || server.closes("stalled") == 1).await;
        timeout(PATIENCE, server.gateway.sessions().idle()).await.expect("its session ended");
        drop(deaf);
    }
    assert_eq!((server.closes("stalled"), server.gateway.sessions().live()), (0, 1));
    paused.send(Message::binary([&[2][..], &(window as u64).to_be_bytes()].concat())).await.unwrap();
    read(&mut paused, b"behind the window".len()).await;
}

#[tokio::test]
async fn terminated_stalled_viewer_is_freed() {
    use crate::session::Kill;
    for is_eicterm in [false, true] {
        let server = Server::start(script(Mode::Open)).await;
        let deaf = if is_eicterm { server.eicterm().await } else { server.terminal().await };
        let window = usize::try_from(WINDOW).unwrap();
        for _ in 0..if is_eicterm { window } else { MUCH } / PIECE {
            server.script.say(&[b'x'; PIECE]);
        }
        // Until a legacy viewer's socket is full; `eicterm.v1` has its whole window.
        let (mut last, mut since) = (0, Instant::now());
        until("a full socket", || {
            let taken = server.script.seen().taken;
            if taken != last {
                (last, since) = (taken, Instant::now());
            }
            taken > 0 && since.elapsed() > FULL
        })
        .await;
        let session = server.gateway.sessions().list()[0].id;
        assert!(server.gateway.sessions().kill(session, Kill::Revoked));
        // Long before the stall timeout.
        until("the end", || server.closes("4403") == 1).await;
        timeout(PATIENCE, server.gateway.sessions().idle()).await.expect("its session ended");
        let viewers = &server.gateway.metrics().viewers;
        let left = |protocol| viewers.with_label_values(&[protocol]).get();
        until("the end of its socket", || left("legacy") + left("eicterm.v1") == 0).await;
        drop(deaf);
    }
}

#[tokio::test]
async fn unread_response_is_dropped() {
    let server = impatient().await;
    let connections = &server.gateway.metrics().connections;
    let mut deaf = TcpStream::connect(server.address).await.unwrap();
    deaf.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    until("its coming", || connections.get() == 1).await;
    let rest = format!("Host: {HOST}\r\n\r\nGET /metrics HTTP/1.1\r\n");
    let asking = async {
        // Until the gateway stops reading, because its responses are not read.
        while deaf.write_all(rest.as_bytes()).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = asking => {}
        () = until("its end", || connections.get() == 0) => {}
    }
}
