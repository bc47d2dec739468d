//! Forwards that fail, and how the failure is reported.

use std::net::TcpListener as StdListener;

use eice::cli::ready::ForwardKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Forwarder, LONG, by_socks, echo, server, spec};
use crate::lab::{ClientMachine, CommandOutput};

#[tokio::test(flavor = "multi_thread")]
async fn remote_refusal_is_reported() {
    let client = ClientMachine::start().await;
    let dead = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let forwarder = Forwarder::start(&client, &["-L", &spec(dead)]);
    let mut stream = TcpStream::connect(forwarder.at(ForwardKind::Local)).await.unwrap();
    assert_eq!(timeout(LONG, stream.read(&mut [0])).await.unwrap().unwrap_or(0), 0, "it is closed");
    forwarder.says("the server cannot connect to it: nothing listens there");
    forwarder.ends(&client);

    let strict = ClientMachine::with("AllowTcpForwarding no").await;
    let forwarder = Forwarder::start(&strict, &["-L", &spec(dead), "-D", "0"]);
    let mut stream = TcpStream::connect(forwarder.at(ForwardKind::Local)).await.unwrap();
    assert_eq!(timeout(LONG, stream.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
    forwarder.says("the server does not allow it: AllowTcpForwarding");
    assert_eq!(
        by_socks(forwarder.at(ForwardKind::Dynamic), "localhost", 9).await.unwrap_err(),
        2,
        "by a rule"
    );
    forwarder.ends(&strict);
    let args = ["ssh", "-N", "-R", "0:localhost:9", &strict.destination];
    let said = CommandOutput::from(strict.run(&args, b"").await);
    assert_eq!(said.code, Some(69), "{}", said.stderr);
    assert!(
        said.stderr.contains("-R localhost:0 to localhost:9") && said.stderr.contains("AllowTcpForwarding")
    );
    strict.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn listen_failure_precedes_aws_calls() {
    let client = ClientMachine::start().await;
    let taken = StdListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let begun = client.world.emulator.open_tunnels();
    for option in [["-L", &format!("{port}:localhost:9")], ["-D", &port]] {
        let said = client.ssh(&option, "echo ran", b"").await;
        assert_eq!((said.code, said.stdout.as_slice()), (Some(69), &b""[..]), "{option:?}: {}", said.stderr);
        assert!(said.stderr.contains(&format!("cannot listen on localhost:{port}")), "{}", said.stderr);
        assert!(said.stderr.contains("hint: something listens there already"), "{}", said.stderr);
    }
    assert_eq!(begun, 0);
    // The remote port as well, before the command runs; sshd needs only one of the two loopback addresses.
    let _also = StdListener::bind(format!("[::1]:{port}"));
    let said = client.ssh(&["-R", &format!("{port}:localhost:9")], "echo ran", b"").await;
    assert_eq!((said.code, said.stdout.as_slice()), (Some(69), &b""[..]), "{}", said.stderr);
    assert!(said.stderr.contains("something listens there already"), "{}", said.stderr);
    for wrong in [vec!["-L", "1:2"], vec!["-R", "80"], vec!["-D", "/x"], vec!["-N"], vec!["--json"]] {
        let args = [&["ssh"], wrong.as_slice(), &[client.destination.as_str()]].concat();
        assert_eq!(CommandOutput::from(client.run(&args, b"").await).code, Some(64), "{wrong:?}");
    }
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_limit_holds() {
    const MAX: usize = 256;
    let client = ClientMachine::start().await;
    let to = server(echo).await;
    let forwarder = Forwarder::start(&client, &["-L", &spec(to)]);
    let at = forwarder.at(ForwardKind::Local);
    let mut open = Vec::new();
    for n in 0..MAX {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"!").await.unwrap();
        let mut heard = [0];
        timeout(LONG, stream.read_exact(&mut heard))
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("{n}: {error}"));
        open.push(stream);
    }
    let mut one = TcpStream::connect(at).await.unwrap();
    assert_eq!(timeout(LONG, one.read(&mut [0])).await.unwrap().unwrap_or(0), 0, "one more is closed");
    forwarder.says("256 forwarded connections are open");
    // A closed connection frees capacity for another.
    drop(open.pop());
    timeout(LONG, async {
        loop {
            let mut stream = TcpStream::connect(at).await.unwrap();
            let mut heard = [0];
            if stream.write_all(b"!").await.is_ok() && stream.read_exact(&mut heard).await.is_ok() {
                return;
            }
        }
    })
    .await
    .unwrap();
    drop(open);
    forwarder.ends(&client);
}
