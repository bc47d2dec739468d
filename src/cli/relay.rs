//! Copies between a local stream and a tunnel, without losing data at the end of either.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::stdin::Stdin;

/// Buffer size of one read, in bytes.
const BUFFER: usize = 64 * 1024;

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The remote side closed; everything that it sent was delivered.
    Remote,
    /// The local side no longer reads.
    Local,
    /// The local side had half-closed, and no data arrived within the timeout.
    HalfClosedIdle,
}

/// Which side of a relay failed.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The tunnel.
    Tunnel(io::Error),
    /// The local side.
    Local(io::Error),
}

/// Copies stdin to `tunnel` and the response to `stdout`, until the remote side or stdout closes.
///
/// EOF on stdin sends nothing, because the protocol has no half-close (protocol reference, section d), and closes
/// nothing, because that would lose data still in transit.
pub(crate) async fn stdio(
    tunnel: impl AsyncRead + AsyncWrite,
    mut stdin: Stdin,
    mut stdout: impl AsyncWrite + Unpin,
    stdout_gone: impl Future<Output = ()>,
) -> Result<End, Broken> {
    let (mut from_tunnel, mut to_tunnel) = tokio::io::split(tunnel);
    let end = {
        let up = async {
            while let Some(chunk) = stdin.next().await {
                let chunk = chunk.map_err(Broken::Local)?;
                to_tunnel.write_all(&chunk).await.map_err(Broken::Tunnel)?;
                to_tunnel.flush().await.map_err(Broken::Tunnel)?;
            }
            Ok(())
        };
        let down = async {
            let mut buffer = vec![0; BUFFER];
            loop {
                let read = from_tunnel.read(&mut buffer).await.map_err(Broken::Tunnel)?;
                if read == 0 {
                    return Ok(End::Remote);
                }
                let written = async {
                    stdout.write_all(&buffer[..read]).await?;
                    stdout.flush().await
                };
                match written.await {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(End::Local),
                    Err(error) => return Err(Broken::Local(error)),
                }
            }
        };
        tokio::pin!(up, down, stdout_gone);
        let mut sending = true;
        loop {
            tokio::select! {
                end = &mut down => break end,
                // After a write error, reading the tunnel returns the reason, after the remaining data.
                sent = &mut up, if sending => match sent {
                    Ok(()) | Err(Broken::Tunnel(_)) => sending = false,
                    Err(error) => break Err(error),
                },
                // While stdin is open, its own end shows that the peer is gone.
                () = &mut stdout_gone, if !sending => break Ok(End::Local),
            }
        }
    };
    let _ = to_tunnel.shutdown().await;
    end
}

/// Copies both ways between a local connection and `tunnel`.
///
/// When the local side half-closes, the tunnel stays open for the response, as long as data arrives at least every
/// `half_close_timeout` and until `local_gone`. When the remote side closes, so does the local side.
pub(crate) async fn stream(
    tunnel: impl AsyncRead + AsyncWrite,
    local: impl AsyncRead + AsyncWrite,
    local_gone: impl Future<Output = ()>,
    half_close_timeout: Duration,
) -> Result<End, Broken> {
    let (mut from_tunnel, mut to_tunnel) = tokio::io::split(tunnel);
    let (mut from_local, mut to_local) = tokio::io::split(local);
    let end = {
        let up = async {
            let mut buffer = vec![0; BUFFER];
            loop {
                let read = from_local.read(&mut buffer).await.map_err(Broken::Local)?;
                if read == 0 {
                    return Ok(());
                }
                to_tunnel.write_all(&buffer[..read]).await.map_err(Broken::Tunnel)?;
                to_tunnel.flush().await.map_err(Broken::Tunnel)?;
            }
        };
        let heard = Heard::now();
        let down = async {
            let mut buffer = vec![0; BUFFER];
            loop {
                let read = from_tunnel.read(&mut buffer).await.map_err(Broken::Tunnel)?;
                heard.again();
                if read == 0 {
                    to_local.shutdown().await.map_err(Broken::Local)?;
                    return Ok(End::Remote);
                }
                to_local.write_all(&buffer[..read]).await.map_err(Broken::Local)?;
                to_local.flush().await.map_err(Broken::Local)?;
            }
        };
        tokio::pin!(up, down, local_gone);
        let mut sending = true;
        loop {
            let deadline = heard.last() + half_close_timeout;
            tokio::select! {
                end = &mut down => break end,
                sent = &mut up, if sending => match sent {
                    Ok(()) | Err(Broken::Tunnel(_)) => {
                        sending = false;
                        heard.again();
                    }
                    Err(error) => break Err(error),
                },
                // While it sends, reading detects the end.
                () = &mut local_gone, if !sending => break Ok(End::Local),
                () = tokio::time::sleep_until(deadline), if !sending => {
                    if heard.last() + half_close_timeout <= Instant::now() {
                        break Ok(End::HalfClosedIdle);
                    }
                }
            }
        }
    };
    let _ = to_tunnel.shutdown().await;
    end
}

/// Resolves when the peer of `local` is gone. A half-closed peer still reads; a closed one is indistinguishable until
/// data is sent to it, which it then resets.
pub(crate) fn gone(local: &TcpStream) -> impl Future<Output = ()> + use<> {
    // A duplicate, so that the connection itself can be split meanwhile.
    let watched =
        local.as_fd().try_clone_to_owned().and_then(|fd| TcpStream::from_std(std::net::TcpStream::from(fd)));
    async move {
        if let Ok(watched) = watched
            && watched.ready(Interest::ERROR).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// The time of the last data, shared by two futures of one task that must stay `Send`.
struct Heard {
    start: Instant,
    after_ms: AtomicU64,
}

impl Heard {
    fn now() -> Self {
        Self { start: Instant::now(), after_ms: AtomicU64::new(0) }
    }

    fn again(&self) {
        let ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.after_ms.store(ms, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.after_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// Reads what arrives until it pauses at `until` bytes.
    async fn read_exactly(stream: &mut DuplexStream, until: usize) -> Vec<u8> {
        let mut bytes = vec![0; until];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn stdin_eof_loses_no_output() {
        let (tunnel, mut far) = duplex(1000);
        let (stdout, mut seen) = duplex(1 << 20);
        let stdin = Stdin::from_reader(io::Cursor::new(vec![b'q'; 5000])).unwrap();
        let relay = tokio::spawn(stdio(tunnel, stdin, stdout, std::future::pending()));
        assert_eq!(read_exactly(&mut far, 5000).await, vec![b'q'; 5000]);
        // Stdin has ended by now; the response follows.
        far.write_all(&vec![b'a'; 100_000]).await.unwrap();
        drop(far);
        assert_eq!(relay.await.unwrap().unwrap(), End::Remote);
        let mut all = Vec::new();
        seen.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), 100_000);
    }

    #[tokio::test]
    async fn closed_stdout_ends_after_stdin_eof() {
        let (tunnel, _far) = duplex(1000);
        let (stdout, _seen) = duplex(1000);
        let stdin = Stdin::from_reader(io::empty()).unwrap();
        let end = stdio(tunnel, stdin, stdout, std::future::ready(())).await.unwrap();
        assert_eq!(end, End::Local);
    }

    #[tokio::test]
    async fn half_closed_connection_gets_answer() {
        let (tunnel, mut far) = duplex(1000);
        let (local, mut client) = duplex(1000);
        let relay = tokio::spawn(stream(tunnel, local, std::future::pending(), Duration::from_secs(60)));
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_exactly(&mut far, 8).await, b"question");
        far.write_all(b"answer").await.unwrap();
        drop(far);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
        assert_eq!(relay.await.unwrap().unwrap(), End::Remote);
    }

    #[tokio::test]
    async fn closed_connection_ends_on_write() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (local, _) = listener.accept().await.unwrap();
        let (tunnel, mut far) = duplex(1000);
        let local_gone = gone(&local);
        let relay = tokio::spawn(stream(tunnel, local, local_gone, Duration::from_secs(60)));
        drop(client);
        far.write_all(b"banner").await.unwrap();
        assert_eq!(relay.await.unwrap().unwrap(), End::Local);
    }

    #[tokio::test]
    async fn idle_half_closed_connection_ends() {
        let timeout = Duration::from_millis(50);
        let (tunnel, mut far) = duplex(1000);
        let (local, mut client) = duplex(1000);
        let started = Instant::now();
        let relay = tokio::spawn(stream(tunnel, local, std::future::pending(), timeout));
        client.shutdown().await.unwrap();
        far.write_all(b"x").await.unwrap();
        assert_eq!(relay.await.unwrap().unwrap(), End::HalfClosedIdle);
        assert!(started.elapsed() >= timeout);
    }
}
