//! The gateway behind a real nginx with the configuration of docs/canvas.md.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use eice::gateway;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

use crate::lab::nginx::{Nginx, documented};
use crate::lab::{InProcessGateway, TOKEN, Viewer, WORKSPACE, World, request};

/// The body of every response of the platform's stand-in.
const PLATFORM: &str = "the platform";

/// Starts an HTTP server in place of the platform.
async fn platform() -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                if stream.read_buf(&mut head).await.unwrap() == 0 {
                    break;
                }
            }
            let length = PLATFORM.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{PLATFORM}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (addr, tasks)
}

/// Starts nginx in front of `served` and the platform. It is the gateway's only origin and a trusted proxy.
async fn in_front(
    served: &InProcessGateway,
    platform: SocketAddr,
    idle_timeout: &str,
    configure: impl FnOnce(&mut gateway::Config),
) -> Nginx {
    let replaced = [
        ("listen 443 ssl;", "listen LISTEN;"),
        ("127.0.0.1:8080", &platform.to_string()),
        ("127.0.0.1:8081", &served.addr.to_string()),
        ("proxy_read_timeout 75s;", &format!("proxy_read_timeout {idle_timeout};")),
    ];
    let nginx = tokio::task::block_in_place(|| Nginx::start(&documented(), &replaced));
    let mut config = gateway::Config::new(vec![format!("http://{}", nginx.addr).parse().unwrap()]);
    config.trusted_proxies = 1;
    configure(&mut config);
    served.gateway.reconfigure(config);
    nginx
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_routes_terminals_and_files() {
    let world = World::builtin().await;
    let served = InProcessGateway::start(&world, "").await;
    let (platform, _serving) = platform().await;
    let nginx = in_front(&served, platform, "75s", |_| {}).await;

    // The headers that a browser sends from the platform's page.
    let origin = format!("http://{}", nginx.addr);
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("origin", origin.as_str()), ("authorization", &bearer)];
    let mut viewer = Viewer::try_open(nginx.addr, WORKSPACE, &headers).await.unwrap();
    viewer.line("echo thr''ough").await;
    viewer.until("through").await;
    viewer.line("exit 0").await;
    assert_eq!(viewer.finish().await.close, Some((1000, String::new())));

    let foreign = [("origin", "https://evil.example"), ("authorization", &bearer)];
    let refused = Viewer::try_open(nginx.addr, WORKSPACE, &foreign).await.err();
    assert_eq!(refused.map(|status| status.as_u16()), Some(403), "Origin arrives");

    let terminal = format!("/workspaces/{WORKSPACE}/terminal");
    let files = format!("/workspaces/{WORKSPACE}/files");
    for (method, path) in [
        ("GET", terminal.clone()),
        ("POST", format!("{terminal}/ticket")),
        ("GET", format!("{terminal}/diagnose")),
        ("GET", format!("{terminal}/sessions")),
        ("PUT", files.clone()),
        ("PUT", format!("{files}/a/b.md")),
    ] {
        let (status, body) = request(nginx.addr, method, &path, &[], "").await;
        assert_eq!(status, 401, "{method} {path}: {body}");
        assert!(body.contains("missing workspace auth token"), "{method} {path}: {body}");
    }
    for (method, path) in [
        ("GET", "/".to_owned()),
        ("GET", "/health".to_owned()),
        ("GET", format!("/workspaces/{WORKSPACE}")),
        ("GET", format!("{terminal}s")),
        ("GET", files.clone()),
        ("DELETE", format!("{files}/a/b.md")),
    ] {
        assert_eq!(
            request(nginx.addr, method, &path, &[], "").await,
            (200, PLATFORM.to_owned()),
            "{method} {path}"
        );
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limit_is_per_client_address() {
    let world = World::builtin().await;
    let served = InProcessGateway::start(&world, "").await;
    let (platform, _serving) = platform().await;
    let nginx = in_front(&served, platform, "75s", |config| config.rate_limit = 3).await;
    let path = format!("/workspaces/{WORKSPACE}/terminal/sessions");

    let from = async |address: [u8; 4], forged: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((address, 0))).unwrap();
        let mut stream = socket.connect(nginx.addr).await.unwrap();
        let host = nginx.addr;
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nx-forwarded-for: {forged}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).map(str::to_owned).unwrap()
    };
    for n in 0..3 {
        assert_eq!(from([127, 0, 0, 2], &format!("198.51.100.{n}")).await, "401");
    }
    assert_eq!(from([127, 0, 0, 2], "198.51.100.99").await, "429", "whatever it says of itself");
    assert_eq!(from([127, 0, 0, 3], "").await, "401", "another peer has a limit of its own");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_outlive_proxy_idle_timeout() {
    let world = World::builtin().await;
    let served = InProcessGateway::start(&world, "").await;
    let (platform, _serving) = platform().await;
    let interval = Duration::from_millis(300);
    let nginx = in_front(&served, platform, "1s", |config| config.ping_interval = interval).await;

    let mut viewer = Viewer::open(nginx.addr, WORKSPACE, TOKEN).await;
    viewer.line("echo rea''dy").await;
    viewer.until("ready").await;
    // Longer than the proxy's idle timeout.
    viewer.pings(8).await;
    viewer.line("echo still th''ere").await;
    viewer.until("still there").await;
    viewer.leave().await;
    served.stop().await;
}
