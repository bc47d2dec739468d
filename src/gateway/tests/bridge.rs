//! Back-pressure, limits, and the end of either side.

use std::time::Duration;

use futures_util::SinkExt as _;

use super::*;
use crate::model::echo::Echo;

#[tokio::test]
async fn echo_passes_a_real_socket() {
    let gateway = Gateway::new(Config::new(vec![ORIGIN.parse().unwrap()]), directory(), Arc::new(Echo));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = gateway.router();
    let task = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.serve(listener, routes, std::future::pending()).await }
    });
    let mut request = format!("ws://{HOST}/workspaces/{MINE}/terminal").into_client_request().unwrap();
    request.headers_mut().insert("authorization", "Bearer abc".parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    socket.send(Message::text("h\u{e9}llo")).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::binary("h\u{e9}llo".as_bytes().to_vec()));
    socket.send(Message::text("\u{4}")).await.unwrap();
    let (_, text, close) = read_to_close(&mut socket).await;
    assert_eq!((text.as_str(), close), ("", Some((1000, String::new()))));
    timeout(SOON, gateway.sessions().idle()).await.unwrap();
    task.abort();
}

#[tokio::test]
async fn vanished_viewer_closes_terminal() {
    let server = Server::start(script(Mode::Open)).await;
    // By a close frame, by a bare end of its connection, and by a reset.
    for way in 0..3 {
        let mut socket = server.terminal().await;
        server.script.until("the terminal", |seen| seen.requests.len() == way + 1).await;
        assert_eq!(server.gateway.sessions().live(), 1);
        match way {
            0 => socket.close(None).await.unwrap(),
            1 => drop(socket),
            _ => {
                let stream = socket.into_inner();
                stream.set_zero_linger().unwrap();
                drop(stream);
            }
        }
        server.idle().await;
        let seen = server.script.seen();
        assert_eq!(
            (seen.terminal_closes, seen.host_closes, seen.terminals_dropped),
            (way + 1, way + 1, way + 1)
        );
    }
}

#[tokio::test]
async fn a_viewer_that_closes_is_answered() {
    let server = Server::start(script(Mode::Open)).await;
    let mut socket = server.terminal().await;
    socket.close(None).await.unwrap();
    let (_, text, _) = read_to_close(&mut socket).await;
    assert_eq!(text, "");
    assert!(!matches!(next(&mut socket).await, Some(Ok(_))), "the connection ends");
    server.idle().await;
}

#[tokio::test]
async fn leaving_abandons_connecting() {
    let server = Server::start(script(Mode::Hang)).await;
    let socket = server.terminal().await;
    server.script.until("the attempt", |seen| seen.connects == 1).await;
    drop(socket);
    server.idle().await;
    assert_eq!(server.script.seen().abandoned, 1);
}

#[tokio::test]
async fn early_input_is_not_lost() {
    let server = Server::start(script(Mode::Open)).await;
    let mut socket = server.terminal().await;
    socket.send(Message::text("early")).await.unwrap();
    server.script.until("input", |seen| seen.written == b"early").await;
}

#[tokio::test]
async fn slow_viewer_gets_everything() {
    let server = Server::start(script(Mode::Open)).await;
    let mut socket = server.terminal().await;
    let pieces = 2000;
    let said: Vec<u8> = (0..pieces).flat_map(|n: u32| n.to_be_bytes().repeat(8192)).collect();
    said.chunks(32 << 10).for_each(|piece| server.script.say(piece));
    server.script.exit(0);
    // Until nothing moves: the buffers of the kernel, the queue and the socket are full.
    let mut taken = 0;
    loop {
        let more = server.script.until("more", |seen| seen.taken > taken);
        if timeout(Duration::from_millis(300), more).await.is_err() {
            break;
        }
        taken = server.script.seen().taken;
    }
    assert!(taken < 700, "{taken} of {pieces} pieces of 32 KiB were taken without a reader");
    let (binary, _, close) = read_to_close(&mut socket).await;
    assert!(binary == said, "{} of {} bytes", binary.len(), said.len());
    assert_eq!(close, Some((1000, String::new())));
    server.idle().await;
}

#[tokio::test]
async fn oversized_paste_closes_with_1009() {
    let server = Server::start(script(Mode::Open)).await;
    let mut socket = server.terminal().await;
    let paste = vec![b'x'; 16 << 20];
    socket.send(Message::binary(paste.clone())).await.unwrap();
    server.script.until("the paste", |seen| seen.written.len() == paste.len()).await;

    // The server stops in the middle of it, and discards the rest so that the close arrives.
    socket.send(Message::binary(vec![b'x'; (16 << 20) + 1])).await.unwrap();
    let (_, text, close) = read_to_close(&mut socket).await;
    assert_eq!(text, "Error: a message is too large\r\n");
    assert_eq!(close, Some((1009, "a message is too large".into())));
    server.idle().await;
    assert_eq!(server.script.seen().written.len(), paste.len());
}

#[tokio::test]
async fn a_small_limit_is_kept_and_told() {
    let configure = |config: &mut Config| config.max_message = 100;
    let server = Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await;
    let mut socket = server.terminal().await;
    socket.send(Message::text("x".repeat(101))).await.unwrap();
    let (_, text, close) = read_to_close(&mut socket).await;
    assert_eq!(text, "Error: a message is too large\r\n");
    assert_eq!(close, Some((1009, "a message is too large".into())));
    server.idle().await;
    assert!(server.script.seen().written.is_empty());
}

#[tokio::test]
async fn leaving_is_noticed_despite_full_input() {
    let mut script = script(Mode::Open);
    script.blocks_input = true;
    let server = Server::start(script).await;
    let mut socket = server.terminal().await;
    socket.send(Message::binary(vec![b'x'; 15 << 20])).await.unwrap();
    drop(socket);
    server.idle().await;
    assert_eq!(server.script.seen().terminal_closes, 1);
}

#[tokio::test]
async fn dead_peer_is_closed_after_pings() {
    /// Longer than a busy machine keeps an answer from being read.
    const DEAD_PEER: Duration = Duration::from_secs(2);
    let configure = |config: &mut Config| {
        config.ping_interval = Duration::from_millis(20);
        config.dead_peer_timeout = DEAD_PEER;
    };
    let server = Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await;
    let mut socket = server.terminal().await;
    let began = std::time::Instant::now();
    // A client that answers stays; tungstenite answers whenever it is read.
    while began.elapsed() < DEAD_PEER + DEAD_PEER / 2 {
        assert!(matches!(next(&mut socket).await, Some(Ok(Message::Ping(_)))));
    }
    assert_eq!(server.gateway.sessions().live(), 1);
    // A client that does not is closed.
    server.idle().await;
    assert_eq!(server.script.seen().terminal_closes, 1);
}

#[tokio::test]
async fn broken_frame_closes_with_code() {
    let server = Server::start(script(Mode::Open)).await;
    for (bytes, code) in [
        // TEXT that is not UTF-8, a reserved opcode, a frame without a mask.
        (&b"\x81\x81\0\0\0\0\xff"[..], 1007),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x81\x01x", 1002),
    ] {
        let mut stream = server.terminal().await.into_inner();
        stream.write_all(bytes).await.unwrap();
        let mut answer = [0; 4];
        timeout(SOON, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!((&answer[..2], u16::from_be_bytes([answer[2], answer[3]])), (&[0x88, 2][..], code));
        drop(stream);
        server.idle().await;
    }
}
