//! Bulk transfer rates in both directions, with verification.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use tokio::time::timeout;

use super::cksum::Cksum;
use super::stats::Summary;
use crate::model::{Terminal, TerminalEvent};

/// Chunk size of an upload, in bytes.
const PIECE: usize = 64 * 1024;
/// The longest time without progress.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The remote command's start marker: the clock starts here.
const BEGIN: u8 = b'>';
/// The longest response to an upload, in bytes: a checksum and a length.
const MAX_ANSWER: usize = 128;

/// Returns the remote command that sends `bytes` bytes.
pub(super) fn down_command(bytes: u64) -> String {
    format!("printf '>'; exec head -c {bytes} /dev/zero")
}

/// The remote command that reads an upload and prints its checksum and length.
pub(super) const UP_COMMAND: &str = "printf '>'; exec cksum";

/// An upload, generated once: a chunk that is sent repeatedly, and the expected response.
#[derive(Debug)]
pub(super) struct Load {
    bytes: u64,
    piece: Bytes,
    answer: String,
}

impl Load {
    pub(super) fn new(bytes: u64) -> Self {
        let piece: Vec<u8> = (0..PIECE).map(|_| rand::random()).collect();
        let mut cksum = Cksum::default();
        let mut left = bytes;
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            cksum.update(piece.get(..count).unwrap_or_default());
            left -= count as u64;
        }
        Self { bytes, piece: piece.into(), answer: format!("{} {bytes}", cksum.finish()) }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Reads and verifies the output of [`down_command`]; returns the time from the start marker to the last byte.
///
/// # Errors
/// When the data is wrong or incomplete.
pub(super) async fn down(terminal: &mut Terminal, bytes: u64) -> io::Result<Duration> {
    let first = begun(terminal).await?;
    let start = Instant::now();
    let mut seen = checked(&first)?;
    while seen < bytes {
        let piece = next(terminal).await?.ok_or_else(|| cut(seen, bytes))?;
        seen += checked(&piece)?;
    }
    let took = start.elapsed();
    match next(terminal).await? {
        None if seen == bytes => Ok(took),
        _ => Err(io::Error::other(format!("more than the {bytes} bytes that were asked for came"))),
    }
}

/// Sends `load` to [`UP_COMMAND`]; returns the time from the start marker to the expected response.
///
/// # Errors
/// When the response is wrong, or the connection breaks.
pub(super) async fn up(terminal: &mut Terminal, load: &Load) -> io::Result<Duration> {
    let mut answer = begun(terminal).await?.to_vec();
    let start = Instant::now();
    let mut left = load.bytes;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        moving(terminal.input.write(load.piece.slice(..count))).await?;
        left -= count as u64;
    }
    moving(terminal.input.end()).await?;
    while !answer.contains(&b'\n') && answer.len() < MAX_ANSWER {
        let Some(piece) = next(terminal).await? else { break };
        answer.extend_from_slice(&piece);
    }
    let took = start.elapsed();
    let answer = String::from_utf8_lossy(&answer);
    if answer.trim() != load.answer {
        let (received, sent) = (answer.trim(), &load.answer);
        return Err(io::Error::other(format!(
            "the instance received {received:?} instead of {sent:?} (checksum and bytes)"
        )));
    }
    // The command ends on its own.
    while next(terminal).await?.is_some() {}
    Ok(took)
}

/// Waits for [`BEGIN`] and returns the data after it.
async fn begun(terminal: &mut Terminal) -> io::Result<Bytes> {
    loop {
        let piece = next(terminal).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        match piece.first() {
            None => {}
            Some(&BEGIN) => return Ok(piece.slice(1..)),
            Some(_) => {
                let text = String::from_utf8_lossy(&piece).chars().take(200).collect::<String>();
                return Err(io::Error::other(format!("the instance prints {text:?}")));
            }
        }
    }
}

fn cut(seen: u64, bytes: u64) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("{seen} of {bytes} bytes came"))
}

/// Returns the length of a chunk, which must contain only zeros.
fn checked(piece: &[u8]) -> io::Result<u64> {
    if piece.iter().all(|byte| *byte == 0) {
        Ok(piece.len() as u64)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "other bytes came than were sent"))
    }
}

/// Returns the next stdout; `None` at the end. Output on stderr is an error.
async fn next(terminal: &mut Terminal) -> io::Result<Option<Bytes>> {
    loop {
        match moving(async { terminal.output.next().await.transpose() }).await? {
            Some(TerminalEvent::Output(bytes)) => return Ok(Some(bytes)),
            Some(TerminalEvent::Stderr(bytes)) if bytes.trim_ascii().is_empty() => {}
            Some(TerminalEvent::Stderr(bytes)) => {
                let text = String::from_utf8_lossy(&bytes).chars().take(200).collect::<String>();
                return Err(io::Error::other(format!("the instance prints {:?}", text.trim())));
            }
            Some(TerminalEvent::Exit(exit)) if exit.code() == 0 => return Ok(None),
            Some(TerminalEvent::Exit(exit)) => return Err(io::Error::other(format!("the instance {exit}"))),
            None => return Ok(None),
        }
    }
}

/// Runs `work` with [`STALL_TIMEOUT`].
async fn moving<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(STALL_TIMEOUT, work).await.unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing moved for {} s", STALL_TIMEOUT.as_secs()),
        ))
    })
}

/// Returns the rate in MiB/s.
pub(super) fn rate(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / f64::from(1 << 20) / took.as_secs_f64().max(1e-6)
}

/// The throughput of one subject, in MiB/s.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Throughput {
    /// Bytes per run and direction.
    pub(super) bytes: u64,
    pub(super) down_mib_s: Option<Summary>,
    pub(super) up_mib_s: Option<Summary>,
    /// Verified bytes of all runs.
    pub(super) verified_bytes: u64,
}

impl Throughput {
    pub(super) fn of(bytes: u64, down: &[f64], up: &[f64]) -> Option<Self> {
        if down.is_empty() && up.is_empty() {
            return None;
        }
        Some(Self {
            bytes,
            down_mib_s: Summary::of(down.to_vec()),
            up_mib_s: Summary::of(up.to_vec()),
            verified_bytes: bytes * (down.len() + up.len()) as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;
    use crate::cli::bench::pipes;

    const BYTES: u64 = 300_000;

    fn shell(command: &str) -> Terminal {
        let mut program = tokio::process::Command::new("/bin/sh");
        program.args(["-c", command]).stdin(Stdio::null());
        pipes::spawn(program).unwrap()
    }

    #[tokio::test]
    async fn transfers_are_verified() {
        down(&mut shell(&down_command(BYTES)), BYTES).await.unwrap();
        up(&mut shell(UP_COMMAND), &Load::new(BYTES)).await.unwrap();
    }

    #[tokio::test]
    async fn wrong_bytes_are_an_error() {
        for (bytes, expected) in [(BYTES - 1, "more than"), (BYTES + 1, "300000 of 300001")] {
            let error = down(&mut shell(&down_command(BYTES)), bytes).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let error = down(&mut shell("printf '>'; head -c 1000 /dev/zero; echo x"), 1002).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let lossy = "printf '>'; tail -c +2 | cksum";
        let error = up(&mut shell(lossy), &Load::new(BYTES)).await.unwrap_err();
        assert!(error.to_string().contains("299999"), "{error}");
        let changed = "printf '>'; tr a b | cksum";
        assert!(up(&mut shell(changed), &Load::new(BYTES)).await.is_err());
    }

    #[tokio::test]
    async fn remote_stderr_is_reported() {
        let error = down(&mut shell("echo no such thing >&2; exit 3"), 1).await.unwrap_err();
        assert!(error.to_string().contains("no such thing"), "{error}");
        let error = down(&mut shell("exit 3"), 1).await.unwrap_err();
        assert!(error.to_string().contains("exited 3"), "{error}");
    }
}
