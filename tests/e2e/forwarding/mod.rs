//! `-L`, `-R`, `-D` and `-A` of `eice ssh`, through a real sshd.

mod agent;
mod lifetime;
mod refused;
mod transfers;

use std::net::SocketAddr;
use std::time::Duration;

use eice::cli::ready::ForwardKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::lab::{ClientMachine, Program, eventually};

/// Longer than any of this takes on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// A running `eice ssh -N` with forwards.
struct Forwarder(Program);

impl Forwarder {
    #[track_caller]
    fn start(client: &ClientMachine, options: &[&str]) -> Self {
        let args = [&["ssh", "-N", "--json"], options, &[client.destination.as_str()]].concat();
        Self(Program::start(&args, &client.env()))
    }

    /// Returns the listening address of the first forward of `kind`.
    #[track_caller]
    fn at(&self, kind: ForwardKind) -> SocketAddr {
        let forward = self.0.ready.forwards.iter().find(|forward| forward.kind == kind).unwrap();
        forward.listen.replace("localhost", "127.0.0.1").parse().unwrap()
    }

    /// Waits until `text` appears on stderr.
    #[track_caller]
    fn says(&self, text: &str) {
        eventually(&format!("it says {text:?}"), || self.0.stderr().contains(text).then_some(()));
    }

    /// Ends it and asserts that nothing is left.
    #[track_caller]
    fn ends(mut self, client: &ClientMachine) {
        assert_eq!(tokio::task::block_in_place(|| self.0.part.terminate()).code(), Some(143));
        client.is_idle();
    }
}

/// Starts a server on a local port; `serve` handles each connection.
async fn server<F, W>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    at
}

/// Echoes until the input ends.
async fn echo(mut stream: TcpStream) {
    let (mut from, mut to) = stream.split();
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// Sends `data` and EOF while reading to the end; returns what was read.
async fn talks(stream: TcpStream, data: &[u8]) -> Vec<u8> {
    let (mut from, mut to) = stream.into_split();
    let mut heard = Vec::new();
    let sending = async {
        to.write_all(data).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let (_, read) =
        timeout(LONG, async { tokio::join!(sending, from.read_to_end(&mut heard)) }).await.unwrap();
    read.unwrap();
    heard
}

/// Connects to `name`:`port` by the SOCKS 5 server at `at`; an error is the server's reply code.
async fn by_socks(at: SocketAddr, name: &str, port: u16) -> Result<TcpStream, u8> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let mut ask = vec![5, 1, 0, 5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
    ask.extend_from_slice(name.as_bytes());
    ask.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&ask).await.unwrap();
    let mut reply = [0; 12];
    timeout(LONG, stream.read_exact(&mut reply)).await.unwrap().unwrap();
    assert_eq!(reply[..3], [5, 0, 5]);
    if reply[3] == 0 { Ok(stream) } else { Err(reply[3]) }
}

fn spec(to: SocketAddr) -> String {
    format!("0:localhost:{}", to.port())
}
