//! Faults of a proxy in front of the endpoint.

use std::net::SocketAddr;

use eice::model::{Fault, Stage};
use eice::tunnel;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Expected, impatient, refused};
use crate::lab::World;

#[tokio::test(flavor = "multi_thread")]
async fn proxy_refuses() {
    let world = World::builtin().await;
    for answer in [
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
    ] {
        let (proxy, _task) = proxy(answer).await;
        let connector = world.client(|_, tunnel, _| tunnel.proxy = through(proxy));
        let target = world.target();
        let status = &answer[9..12];
        let expected = Expected { stage: Stage::Proxy, fault: Fault::Proxy, words: &[status] };
        refused(&world, &connector, &target, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_missing_or_silent() {
    let world = World::builtin().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let connector = world.client(|_, tunnel, _| tunnel.proxy = through(gone));
    let target = world.target();
    let expected = Expected { stage: Stage::Tcp, fault: Fault::Network, words: &["proxy"] };
    refused(&world, &connector, &target, expected).await;

    let (silent, _task) = proxy("").await;
    let connector = world.client(|aws, tunnel, connect| {
        impatient(aws, tunnel, connect);
        tunnel.proxy = through(silent);
    });
    let expected = Expected { stage: Stage::Proxy, fault: Fault::Timeout, words: &["proxy"] };
    refused(&world, &connector, &target, expected).await;
}

/// Starts a proxy that reads a request and replies with `answer`, or not at all when that is empty.
async fn proxy(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        // Sequentially in one task: the leak check counts tasks.
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            if answer.is_empty() {
                let _ = stream.read(&mut head).await;
            } else {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    (addr, serving)
}

fn through(proxy: SocketAddr) -> tunnel::ProxyConfig {
    let env = std::collections::BTreeMap::from([("HTTPS_PROXY", format!("http://{proxy}"))]);
    tunnel::ProxyConfig::from_lookup(|name| env.get(name).cloned()).unwrap()
}
