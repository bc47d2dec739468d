//! One user's attack on what all users of a gateway share, and a second user who must not notice: the program in front
//! of the emulator. Most of these attacks are in `src/gateway/tests/fairness`.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::lab::{
    GatewayProgram, OTHER_TOKEN, OTHER_WORKSPACE, PUBLIC_HOST, TOKEN, Viewer, WORKSPACE, World,
};

/// How long the gateway may take for anything here on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many tunnels an endpoint carries.
const TUNNELS: usize = 20;

/// How many requests are refused in a flood.
const FLOOD: usize = 4000;

/// What the log of a flood may take, in bytes: one line for each refused request would be about 1.2 MB.
const MAX_LOG: usize = 64 << 10;

async fn connect_from(gateway: &GatewayProgram, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).unwrap();
    socket.connect(gateway.addr()).await.unwrap()
}

/// Sends `requests` on `stream`, the last of which closes it, and returns the responses.
async fn exchange(stream: TcpStream, requests: String) -> String {
    let (mut reader, mut writer) = stream.into_split();
    let sending = tokio::spawn(async move { writer.write_all(requests.as_bytes()).await.map(|()| writer) });
    let mut responses = Vec::new();
    timeout(PATIENCE, reader.read_to_end(&mut responses)).await.expect("responses in time").unwrap();
    let _writer = sending.await.unwrap().unwrap();
    String::from_utf8_lossy(&responses).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_users_terminals_leave_tunnels_to_others() {
    let gateway = GatewayProgram::start(World::builtin().await, "");
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("host", PUBLIC_HOST)];
    let mut terminals = Vec::new();
    let refused = loop {
        match Viewer::try_open(gateway.addr(), WORKSPACE, &headers).await {
            Ok(terminal) => terminals.push(terminal),
            Err(status) => break status,
        }
    };
    assert_eq!(refused, 429);
    for terminal in &mut terminals {
        terminal.line("echo rea''dy").await;
        terminal.until("ready").await;
    }
    assert!(gateway.world.emulator.open_tunnels() < TUNNELS);
    let bearer = format!("Bearer {OTHER_TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("host", PUBLIC_HOST)];
    let mut neighbor = Viewer::try_open(gateway.addr(), OTHER_WORKSPACE, &headers).await.expect("a terminal");
    neighbor.line("echo unno''ticed").await;
    neighbor.until("unnoticed").await;
    drop((terminals, neighbor));
    gateway.is_idle();
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_is_sampled_in_the_log() {
    let gateway = GatewayProgram::start(World::builtin().await, "");
    let mut flood = "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n".repeat(FLOOD - 1);
    flood += "GET / HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n";
    let responses = exchange(connect_from(&gateway, 9).await, flood).await;
    assert_eq!(responses.matches("HTTP/1.1 403 ").count(), FLOOD);
    let neighbors = format!("GET /workspaces HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\nConnection: close\r\n\r\n");
    let response = exchange(connect_from(&gateway, 8).await, neighbors).await;
    assert!(response.starts_with("HTTP/1.1 401 "), "{response}");
    let log = gateway.stop().await;
    let lines = |peer: &str| {
        log.lines().filter(|line| line.contains("gateway::access") && line.contains(peer)).count()
    };
    // Those of one peer in 10 s, in one or two such windows.
    assert!((1..=40).contains(&lines("127.0.0.9")), "{log}");
    assert_eq!(lines("127.0.0.8"), 1, "{log}");
    assert!(log.len() < MAX_LOG, "{} bytes", log.len());
}
