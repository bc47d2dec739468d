//! Other terminals stay responsive during a flood in one terminal and an unread paste in another.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::bystander::Bystander;
use super::wire::{PATIENCE, Wire, frame};
use super::{gateway, has_not_grown};
use crate::lab::{GatewayProgram, OTHER_WORKSPACE, PUBLIC_HOST, TOKEN, eventually};

/// How much of the flood is read, in bytes.
const FLOOD: usize = 64 << 20;

/// The size of a paste into a program that does not read, in bytes.
const PASTE: usize = 12 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn flood_and_paste_spare_neighbors() {
    let gateway = gateway("").await;
    let bystander = Bystander::start(&gateway).await;
    let before = gateway.memory();
    // Pasted into a program that does not read.
    let mut paste = Wire::terminal(gateway.addr(), 9, None).await;
    paste.send(frame(0x81, b"stty raw -echo; sleep 1000\r")).await.unwrap();
    let mut pasting = tokio::spawn(async move {
        paste.send(frame(0x82, &vec![b'x'; PASTE])).await.unwrap();
        paste
    });
    // The flood is read at full speed.
    let read = read_flood(&gateway).await;
    assert!(read >= FLOOD);
    // The largest paste is read from the socket, so that close frames are still seen; at most one more is buffered.
    let paste = timeout(PATIENCE, &mut pasting).await.expect("the paste is taken").unwrap();
    let kept = gateway.memory();
    assert!(kept < before + 4 * PASTE as u64, "{} MiB became {} MiB", before >> 20, kept >> 20);
    drop(paste);
    eventually("only the bystander's is left", || (gateway.world.emulator.open_tunnels() == 1).then_some(()));
    bystander.assert_unharmed().await;
    has_not_grown(&gateway, before);
    gateway.stop().await;
}

/// Runs `yes` in another workspace of the same instance and reads [`FLOOD`] bytes; then Ctrl-C works.
async fn read_flood(gateway: &GatewayProgram) -> usize {
    let url = format!("ws://{PUBLIC_HOST}/workspaces/{OTHER_WORKSPACE}/terminal");
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    let stream = TcpStream::connect(gateway.addr()).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    socket.send(Message::text("yes\r")).await.unwrap();
    let mut read = 0;
    while read < FLOOD {
        match timeout(PATIENCE, socket.next()).await.expect("the flood goes on") {
            Some(Ok(Message::Binary(data))) => read += data.len(),
            Some(Ok(_)) => {}
            other => panic!("{other:?} after {read} bytes"),
        }
    }
    socket.send(Message::text("\u{3}exit\r")).await.unwrap();
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("the flood ends") {
            Some(Ok(Message::Close(frame))) => {
                assert_eq!(frame.map(|frame| u16::from(frame.code)), Some(1000));
                return read;
            }
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}
