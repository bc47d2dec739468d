//! The lifetime of forwards, and the effect of a stalled one on the others.

use std::net::TcpListener as StdListener;
use std::time::Duration;

use eice::cli::ready::ForwardKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Forwarder, LONG, echo, server, spec, talks};
use crate::lab::{ClientMachine, eventually, noise};

#[tokio::test(flavor = "multi_thread")]
async fn stalled_client_blocks_nothing_else() {
    const LEN: usize = 32 << 20;
    let client = ClientMachine::start().await;
    let flood = server(|mut stream: TcpStream| async move {
        let _ = stream.write_all(&noise(9, LEN)).await;
    })
    .await;
    let to = server(echo).await;
    let ports: Vec<_> = [flood, to]
        .iter()
        .map(|_| StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port())
        .collect();
    let options = [
        format!("-L{}:localhost:{}", ports[0], flood.port()),
        format!("-L{}:localhost:{}", ports[1], to.port()),
    ];
    let mut tty = client.at_shell(&[&options[0], &options[1]]);
    assert_eq!(client.world.emulator.open_tunnels(), 1, "forwards have a tunnel when they need one");
    let mut stuck = TcpStream::connect(("127.0.0.1", ports[0])).await.unwrap();
    let mut first = [0; 1];
    timeout(LONG, stuck.read_exact(&mut first)).await.unwrap().unwrap();
    // New connections use another tunnel as soon as the first one is stalled.
    let at = ("127.0.0.1", ports[1]);
    timeout(LONG, async {
        while client.world.emulator.open_tunnels() < 3 {
            let stream = TcpStream::connect(at).await.unwrap();
            if let Ok(heard) = timeout(Duration::from_secs(2), talks(stream, b"hello")).await {
                assert_eq!(heard, b"hello");
            }
        }
    })
    .await
    .expect("a second tunnel for forwards");
    tty.until("is not being read and holds up");
    let data = noise(4, 1 << 20);
    assert!(talks(TcpStream::connect(at).await.unwrap(), &data).await == data);
    // The shell answers meanwhile and lists the open connections.
    tty.types("\recho awake-$((1+1))\r");
    tty.until("awake-2");
    tty.types("~#");
    tty.until(&format!("-L 127.0.0.1:{} to localhost:{}", ports[0], flood.port()));
    tty.until("from 127.0.0.1:");
    // The stalled connection has lost no byte.
    let mut rest = first.to_vec();
    timeout(LONG, stuck.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest == noise(9, LEN), "{} bytes", rest.len());
    drop(stuck);
    eventually("the second tunnel goes when it is not needed", || {
        (client.world.emulator.open_tunnels() == 2).then_some(())
    });
    tty.types("\rexit 4\r");
    assert_eq!(tty.ends().code(), Some(4));
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_ends_with_connection() {
    let client = ClientMachine::start().await;
    let to = server(echo).await;
    let mut forwarder = Forwarder::start(&client, &["-L", &spec(to)]);
    let mut stream = TcpStream::connect(forwarder.at(ForwardKind::Local)).await.unwrap();
    stream.write_all(b"!").await.unwrap();
    timeout(LONG, stream.read_exact(&mut [0])).await.unwrap().unwrap();
    for process in client.sshd.serving() {
        process.signal(rustix::process::Signal::KILL);
    }
    let status = eventually("it ends", || forwarder.0.part.child().try_wait().unwrap());
    assert_eq!(status.code(), Some(69), "{}", forwarder.0.stderr());
    assert!(forwarder.0.stderr().contains("the connection was lost: "), "{}", forwarder.0.stderr());
    assert!(matches!(timeout(LONG, stream.read(&mut [0])).await.unwrap(), Ok(0) | Err(_)));
    client.is_idle();
}

/// As with ssh, `eice ssh -L … -- sleep 10` stays while a forwarded connection is open.
#[tokio::test(flavor = "multi_thread")]
async fn forward_outlives_command() {
    let client = ClientMachine::start().await;
    let to = server(echo).await;
    let port = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gate = client.sshd.home().join("gate");
    let command = format!("until [ -e {} ]; do sleep 0.1; done; exit 6", gate.display());
    let forward = format!("{port}:localhost:{}", to.port());
    let options = ["-L", forward.as_str()];
    let running = client.ssh(&options, &command, b"");
    let using = async {
        let mut stream = loop {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
                stream.write_all(b"!").await.unwrap();
                if stream.read_exact(&mut [0]).await.is_ok() {
                    break stream;
                }
            }
        };
        std::fs::write(&gate, "").unwrap();
        // The end of the terminal's tunnel shows that the command has ended.
        tokio::task::block_in_place(|| {
            eventually("one tunnel is left", || (client.world.emulator.open_tunnels() == 1).then_some(()));
        });
        stream.write_all(b"still there").await.unwrap();
        let mut heard = [0; 11];
        timeout(LONG, stream.read_exact(&mut heard)).await.unwrap().unwrap();
    };
    let (said, ()) = tokio::join!(running, using);
    assert_eq!(said.code, Some(6), "{}", said.stderr);
    assert!(said.stderr.contains("forwarded connections are still open (1)"), "{}", said.stderr);
    client.is_idle();
}
