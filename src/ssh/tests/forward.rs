//! Forwarded connections through OpenSSH's server.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::real::open;
use super::sshd::Sshd;
use super::*;
use crate::ssh::{ForwardAddress, ForwardError, ForwardStream};

const LONG: Duration = Duration::from_secs(60);

fn to(port: u16) -> ForwardAddress {
    ForwardAddress::Tcp { host: "localhost".into(), port }
}

fn bytes(seed: u32, len: usize) -> Vec<u8> {
    (0..len).map(|n| (n as u32).wrapping_mul(seed).to_be_bytes()[1]).collect()
}

async fn listener() -> (TcpListener, ForwardAddress) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, to(port))
}

/// Reads a request to its end, then sends `answer`, then closes.
async fn answers(mut stream: TcpStream, answer: Vec<u8>) -> Vec<u8> {
    let mut question = Vec::new();
    stream.read_to_end(&mut question).await.unwrap();
    stream.write_all(&answer).await.unwrap();
    question
}

/// Sends a request and its end, and reads the answer to its end.
async fn asks(stream: &mut ForwardStream, question: &[u8]) -> Vec<u8> {
    stream.write_all(question).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn half_close_works_in_both_directions() {
    let server = Sshd::new(&["ed25519"], "");
    let (connection, _child) = open(&server, &Config::forwards()).await;
    let (listener, at) = listener().await;
    let (question, answer) = (bytes(3, 3_000_000), bytes(7, 5_000_000));
    let expected = answer.clone();
    let answering = tokio::spawn(async move { answers(listener.accept().await.unwrap().0, answer).await });
    let mut stream = connection.forward(&at, None).await.unwrap();
    let heard = timeout(LONG, asks(&mut stream, &question)).await.unwrap();
    assert!(heard == expected, "{} bytes", heard.len());
    assert!(answering.await.unwrap() == question);
    timeout(LONG, stream.closed()).await.expect("both ends make a close");
    assert!(stream.write_all(b"x").await.is_err(), "it is closed");
}

#[tokio::test]
async fn remote_may_end_first_and_still_receive() {
    let server = Sshd::new(&["ed25519"], "");
    let (connection, _child) = open(&server, &Config::forwards()).await;
    let (listener, at) = listener().await;
    let hearing = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"first").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        heard
    });
    let mut stream = connection.forward(&at, None).await.unwrap();
    let mut first = Vec::new();
    timeout(LONG, stream.read_to_end(&mut first)).await.unwrap().unwrap();
    assert_eq!(first, b"first");
    stream.write_all(b"and then").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(timeout(LONG, hearing).await.unwrap().unwrap(), b"and then");
}

#[tokio::test]
async fn forward_errors_are_distinguished() {
    let server = Sshd::new(&["ed25519"], "");
    let (connection, _child) = open(&server, &Config::forwards()).await;
    let (taken, at) = listener().await;
    // sshd accepts one of the loopback's two addresses.
    let also = TcpListener::bind(("::1", taken.local_addr().unwrap().port())).await;
    assert!(matches!(connection.listen(&at).await, Err(ForwardError::NotListening)), "the port is taken");
    drop((taken, also));
    assert!(matches!(connection.forward(&at, None).await, Err(ForwardError::Unreachable)));
    let socket = ForwardAddress::Socket("/nonexistent/socket".into());
    assert!(connection.forward(&socket, None).await.is_err());

    let strict = Sshd::new(&["ed25519"], "AllowTcpForwarding no");
    let (connection, mut child) = open(&strict, &Config::forwards()).await;
    assert!(matches!(connection.forward(&at, None).await, Err(ForwardError::Prohibited)));
    assert!(matches!(connection.listen(&to(0)).await, Err(ForwardError::NotListening)));
    child.kill().await.unwrap();
    timeout(LONG, connection.closed()).await.unwrap();
    assert!(matches!(connection.forward(&at, None).await, Err(ForwardError::Closed { .. })));
    assert!(matches!(connection.listen(&at).await, Err(ForwardError::Closed { .. })));
}

#[tokio::test]
async fn listener_yields_connections() {
    let server = Sshd::new(&["ed25519"], "");
    let (connection, _child) = open(&server, &Config::forwards()).await;
    let mut offering = connection.listen(&to(0)).await.unwrap();
    let Some(ForwardAddress::Tcp { host, port }) = offering.address().cloned() else {
        panic!("it is a port")
    };
    assert!(host == "localhost" && port != 0, "the chosen port is reported");
    let (question, answer) = (bytes(5, 1_000_000), bytes(9, 2_000_000));
    let (asked, expected) = (question.clone(), answer.clone());
    let asking = tokio::spawn(async move {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(&asked).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        heard
    });
    let offer = timeout(LONG, offering.next()).await.unwrap().unwrap();
    assert!(offer.from().starts_with("127.0.0.1 port "), "{}", offer.from());
    let mut stream = offer.accept().await;
    let mut heard = Vec::new();
    timeout(LONG, stream.read_to_end(&mut heard)).await.unwrap().unwrap();
    assert!(heard == question, "{} bytes", heard.len());
    stream.write_all(&answer).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(timeout(LONG, asking).await.unwrap().unwrap() == expected);

    // A refused connection, and one without a listener.
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    timeout(LONG, offering.next()).await.unwrap().unwrap().refuse().await;
    assert_eq!(timeout(LONG, client.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
    drop(offering);
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert_eq!(timeout(LONG, client.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
}

#[tokio::test]
async fn stopped_reader_stalls_without_loss() {
    const LEN: usize = 24 << 20;
    let server = Sshd::new(&["ed25519"], "");
    let (connection, _child) = open(&server, &Config::forwards()).await;
    let (listener, at) = listener().await;
    let sending = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&bytes(11, LEN)).await
    });
    let mut stream = connection.forward(&at, None).await.unwrap();
    timeout(LONG, async {
        while !connection.is_stalled() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("what waits for a reader is bounded");
    let mut heard = Vec::new();
    timeout(LONG, stream.read_to_end(&mut heard)).await.unwrap().unwrap();
    assert!(heard == bytes(11, LEN), "{} bytes", heard.len());
    sending.await.unwrap().unwrap();
    assert!(!connection.is_stalled());
}

#[tokio::test]
async fn broken_connection_is_an_error_not_eof() {
    let server = Sshd::new(&["ed25519"], "");
    let (connection, mut child) = open(&server, &Config::forwards()).await;
    let (listener, at) = listener().await;
    let mut stream = connection.forward(&at, None).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    far.write_all(b"half of").await.unwrap();
    let mut half = [0; 7];
    timeout(LONG, stream.read_exact(&mut half)).await.unwrap().unwrap();
    child.kill().await.unwrap();
    let error = timeout(LONG, stream.read(&mut half)).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(stream.write_all(b"x").await.is_err());
}

#[tokio::test]
async fn stalled_connection_can_be_cut() {
    let server = Sshd::new(&["ed25519"], "");
    let (connection, mut child) = open(&server, &Config::forwards()).await;
    let (listener, at) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(&bytes(13, 24 << 20)).await;
    });
    let mut stream = connection.forward(&at, None).await.unwrap();
    timeout(LONG, async {
        while !connection.is_stalled() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    timeout(LONG, connection.close()).await.unwrap();
    assert!(connection.is_closed());
    timeout(LONG, child.wait()).await.expect("the server's process ends with it").unwrap();
    let mut rest = Vec::new();
    assert!(timeout(LONG, stream.read_to_end(&mut rest)).await.unwrap().is_err(), "the loss is reported");
}

#[tokio::test]
async fn agent_is_requested_only_if_offered() {
    let server = Sshd::new(&["ed25519"], "");
    let (connection, _child) = open(&server, &Config::default()).await;
    let look = command("echo ${SSH_AUTH_SOCK:-none}");
    let mut without = connection.open(&look, &ignore).await.unwrap();
    assert_eq!(&read_all(&mut *without.output).await.0[..], b"none\n");
    let mut offering = connection.offer_agent();
    let mut with = connection.open(&look, &ignore).await.unwrap();
    assert!(read_all(&mut *with.output).await.0.starts_with(b"/"), "sshd has a socket for it");

    // What connects to the socket reaches us.
    let list = command("ssh-add -l");
    let mut with = connection.open(&list, &ignore).await.unwrap();
    let serving = async {
        let mut stream = offering.next().await.unwrap().accept().await;
        let mut request = [0; 5];
        stream.read_exact(&mut request).await.unwrap();
        // SSH_AGENTC_REQUEST_IDENTITIES, answered with no identities (draft-ietf-sshm-ssh-agent, section 3.5).
        assert_eq!(request, [0, 0, 0, 1, 11]);
        stream.write_all(&[0, 0, 0, 5, 12, 0, 0, 0, 0]).await.unwrap();
        stream
    };
    let (_stream, (said, _, _)) =
        timeout(LONG, async { tokio::join!(serving, read_all(&mut *with.output)) }).await.unwrap();
    assert_eq!(&said[..], b"The agent has no identities.\n");
}
