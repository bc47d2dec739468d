//! `-L`, `-R`, `-D` and `-A` of `eice ssh`, through a real sshd: whole, held up, refused, bounded.

mod agent;
mod lasting;
mod refused;
mod whole;

use std::net::SocketAddr;
use std::time::Duration;

use eice::cli::ready::ForwardKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::lab::{Program, Station, eventually};

/// Longer than any of this takes, on a machine with other things to do.
const LONG: Duration = Duration::from_secs(120);

/// `eice ssh -N` with something forwarded.
struct Forwarder(Program);

impl Forwarder {
    #[track_caller]
    fn start(station: &Station, options: &[&str]) -> Self {
        let args = [&["ssh", "-N", "--json"], options, &[station.destination.as_str()]].concat();
        Self(Program::start(&args, &station.env()))
    }

    /// Where the first of `kind` listens.
    #[track_caller]
    fn at(&self, kind: ForwardKind) -> SocketAddr {
        let forward = self.0.ready.forwards.iter().find(|forward| forward.kind == kind).unwrap();
        forward.listen.replace("localhost", "127.0.0.1").parse().unwrap()
    }

    /// Waits until it said `text` on stderr.
    #[track_caller]
    fn says(&self, text: &str) {
        eventually(&format!("it says {text:?}"), || self.0.stderr().contains(text).then_some(()));
    }

    /// Ends it, and sees that nothing is left.
    #[track_caller]
    fn ends(mut self, station: &Station) {
        assert_eq!(tokio::task::block_in_place(|| self.0.part.terminate()).code(), Some(143));
        station.is_idle();
    }
}

/// A server on a port of this machine that `serve` answers.
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

/// Sends back what it hears, up to its end, and then ends.
async fn echo(mut stream: TcpStream) {
    let (mut from, mut to) = stream.split();
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// Sends `data` and its end, and reads to the end meanwhile.
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

/// Goes to `to` by the SOCKS 5 server at `at`; the server's answer where it is a refusal.
async fn by_socks(at: SocketAddr, name: &str, port: u16) -> Result<TcpStream, u8> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let mut ask = vec![5, 1, 0, 5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
    ask.extend_from_slice(name.as_bytes());
    ask.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&ask).await.unwrap();
    let mut told = [0; 12];
    timeout(LONG, stream.read_exact(&mut told)).await.unwrap().unwrap();
    assert_eq!(told[..3], [5, 0, 5]);
    if told[3] == 0 { Ok(stream) } else { Err(told[3]) }
}

fn spec(to: SocketAddr) -> String {
    format!("0:localhost:{}", to.port())
}
