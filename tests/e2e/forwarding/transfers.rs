//! Forwarded data arrives complete, in each direction and by each kind of forward.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::unix::net::UnixStream;

use eice::cli::ready::ForwardKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Forwarder, LONG, by_socks, echo, server, spec, talks};
use crate::lab::{ClientMachine, INSTANCE, Program, World, eventually, noise, run};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_connections_share_one_tunnel() {
    const LEN: usize = 2 << 20;
    let client = ClientMachine::start().await;
    let to = server(echo).await;
    let forwarder = Forwarder::start(&client, &["-L", &spec(to), "-D", "0"]);
    let (local, socks) = (forwarder.at(ForwardKind::Local), forwarder.at(ForwardKind::Dynamic));
    let all = (0..50_u64).map(|n| {
        tokio::spawn(async move {
            let stream = match n % 2 {
                0 => TcpStream::connect(local).await.unwrap(),
                _ => by_socks(socks, "localhost", to.port()).await.unwrap(),
            };
            let data = noise(n, LEN);
            let heard = talks(stream, &data).await;
            assert!(heard == data, "connection {n}: {} of {LEN} bytes, or others", heard.len());
        })
    });
    for one in futures_util::future::join_all(all).await {
        one.unwrap();
    }
    assert_eq!(client.world.emulator.open_tunnels(), 1, "they share it");
    assert_eq!(forwarder.0.stderr().matches("eice: ").count(), 2, "{}", forwarder.0.stderr());
    forwarder.ends(&client);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_close_is_forwarded() {
    let client = ClientMachine::start().await;
    // Answers only at the end of the question.
    let after = server(|mut stream: TcpStream| async move {
        let mut question = Vec::new();
        stream.read_to_end(&mut question).await.unwrap();
        question.reverse();
        stream.write_all(&question).await.unwrap();
    })
    .await;
    // Ends its own direction first, and then reads.
    let (note, mut noted) = tokio::sync::mpsc::channel(1);
    let before = server(move |mut stream: TcpStream| {
        let note = note.clone();
        async move {
            stream.write_all(b"that is all").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.unwrap();
            note.send(heard).await.unwrap();
        }
    })
    .await;
    let forwarder = Forwarder::start(&client, &["-L", &spec(after)]);
    let mut data = noise(7, 300_000);
    let heard = talks(TcpStream::connect(forwarder.at(ForwardKind::Local)).await.unwrap(), &data).await;
    data.reverse();
    assert!(heard == data);
    forwarder.ends(&client);

    let forwarder = Forwarder::start(&client, &["-L", &spec(before)]);
    let mut stream = TcpStream::connect(forwarder.at(ForwardKind::Local)).await.unwrap();
    let mut all = Vec::new();
    timeout(LONG, stream.read_to_end(&mut all)).await.unwrap().unwrap();
    assert_eq!(all, b"that is all");
    stream.write_all(&data).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(timeout(LONG, noted.recv()).await.unwrap().unwrap() == data);
    forwarder.ends(&client);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_uses_each_socks_version() {
    let client = ClientMachine::start().await;
    let page = noise(3, 1 << 20);
    let served = page.clone();
    let web = server(move |mut stream: TcpStream| {
        let page = served.clone();
        async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", page.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&page).await.unwrap();
        }
    })
    .await;
    let forwarder = Forwarder::start(&client, &["-D", "0"]);
    let socks = forwarder.at(ForwardKind::Dynamic).to_string();
    let url = format!("http://localhost:{}/", web.port());
    let curl = async |kind: &str, url: &str| {
        let args = ["-sS", "--noproxy", "", "--max-time", "60", kind, &socks, url].map(str::to_owned);
        tokio::task::spawn_blocking(move || run("curl", args)).await.unwrap()
    };
    for kind in ["--socks4", "--socks4a", "--socks5", "--socks5-hostname"] {
        let output = curl(kind, &url).await;
        assert!(output.stdout == page, "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // No listener: each SOCKS version has its reply for that.
    let dead = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://localhost:{}/", dead.port());
    for kind in ["--socks4a", "--socks5-hostname"] {
        let output = curl(kind, &url).await;
        assert_eq!(output.status.code(), Some(97), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(by_socks(forwarder.at(ForwardKind::Dynamic), "localhost", dead.port()).await.unwrap_err(), 5);
    forwarder.says(&format!("localhost:{}: the server cannot connect to it", dead.port()));
    // A client that does not speak SOCKS is reported, and others are not blocked.
    let mut stream = TcpStream::connect(forwarder.at(ForwardKind::Dynamic)).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(timeout(LONG, stream.read(&mut [0; 9])).await.unwrap().unwrap_or(0), 0);
    forwarder.says(&format!("-D {socks}: the client does not speak SOCKS"));
    forwarder.ends(&client);
}

#[tokio::test(flavor = "multi_thread")]
async fn remote_port_is_forwarded() {
    let client = ClientMachine::start().await;
    let to = server(echo).await;
    let dead = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let forwarder = Forwarder::start(&client, &["-R", &spec(to), "-R", &spec(dead)]);
    let listening: Vec<_> = forwarder.0.ready.forwards.iter().map(|forward| forward.listen.clone()).collect();
    forwarder.says(&format!("listens on {} of the instance", listening[0]));
    let all = (0..8_u64).map(|n| {
        let at = forwarder.at(ForwardKind::Remote);
        tokio::spawn(async move {
            let data = noise(n, 1 << 20);
            assert!(talks(TcpStream::connect(at).await.unwrap(), &data).await == data, "connection {n}");
        })
    });
    for one in futures_util::future::join_all(all).await {
        one.unwrap();
    }
    let nowhere = listening[1].replace("localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(nowhere).await.unwrap();
    assert_eq!(timeout(LONG, stream.read(&mut [0])).await.unwrap().unwrap_or(0), 0, "it is closed");
    forwarder.says("cannot connect: ");
    forwarder.ends(&client);
}

#[tokio::test(flavor = "multi_thread")]
async fn unix_sockets_are_forwarded() {
    let client = ClientMachine::start().await;
    let to = server(echo).await;
    let there = client.sshd.home().join("socket").display().to_string();
    let here = client.here().join("socket").display().to_string();
    // A local socket leads to a remote one, which leads back to `to` by the other forward.
    let forwarder = Forwarder::start(&client, &["-R", &format!("{there}:localhost:{}", to.port())]);
    let second = Forwarder::start(&client, &["-L", &format!("{here}:{there}")]);
    let data = noise(5, 200_000);
    let sent = data.clone();
    let path = here.clone();
    let heard = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        writing.join().unwrap();
        heard
    });
    assert!(timeout(LONG, heard).await.unwrap().unwrap() == data);
    assert_eq!(
        tokio::task::block_in_place(|| {
            let mut second = second;
            second.0.part.terminate()
        })
        .code(),
        Some(143)
    );
    assert!(!std::path::Path::new(&here).exists(), "the socket's file goes with it");
    forwarder.ends(&client);
}

/// The emulator's built-in SSH server forwards as well, on its loopback.
#[tokio::test(flavor = "multi_thread")]
async fn emulator_forwards_both_ways() {
    let world = World::builtin().await;
    let to = server(echo).await;
    let args = ["ssh", "-N", "--json", "-L", &spec(to), "-R", &spec(to), "-D", "0", INSTANCE];
    let mut program = Program::start(&args, &world.emulator.access().env());
    let data = noise(6, 2 << 20);
    for forward in program.ready.forwards.clone() {
        let at: SocketAddr = forward.listen.replace("localhost", "127.0.0.1").parse().unwrap();
        let stream = match forward.kind {
            ForwardKind::Dynamic => by_socks(at, "localhost", to.port()).await.unwrap(),
            _ => TcpStream::connect(at).await.unwrap(),
        };
        assert!(talks(stream, &data).await == data, "{forward}");
    }
    assert_eq!(tokio::task::block_in_place(|| program.part.terminate()).code(), Some(143));
    eventually("the tunnel is closed", || (world.emulator.open_tunnels() == 0).then_some(()));
}
