//! Stdin as a bounded stream of chunks.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::mpsc;

use super::raw;

/// The largest chunk, in bytes.
const CHUNK: usize = 64 * 1024;

/// The chunks queued between the reading thread and the task: at most 256 KiB.
const QUEUE: usize = 4;

/// Chunks of stdin, read by a dedicated thread.
///
/// Not the runtime's blocking pool, because a read of stdin cannot be interrupted and the runtime would wait for it at
/// the end. Not a non-blocking descriptor, because that flag belongs to the open file and would affect the parent
/// shell.
#[derive(Debug)]
pub(crate) struct Stdin {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
}

impl Stdin {
    /// Starts reading. Unused chunks are lost, so start only when the input will be used.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start() -> io::Result<Self> {
        if io::stdin().is_terminal() { Self::from_reader(Keyboard) } else { Self::from_reader(io::stdin()) }
    }

    /// Returns an empty stdin; the process's stdin is not read.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn nothing() -> io::Result<Self> {
        Self::from_reader(io::empty())
    }

    /// Reads from `reader`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn from_reader(mut reader: impl Read + Send + 'static) -> io::Result<Self> {
        let (send, chunks) = mpsc::channel(QUEUE);
        std::thread::Builder::new().name("stdin".into()).spawn(move || {
            let mut buffer = vec![0; CHUNK];
            loop {
                let chunk = match reader.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(read) => Ok(Bytes::copy_from_slice(&buffer[..read])),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = chunk.is_err();
                if send.blocking_send(chunk).is_err() || failed {
                    return;
                }
            }
        })?;
        Ok(Self { chunks })
    }

    /// Returns the remaining chunks as a channel.
    pub(crate) fn into_chunks(self) -> mpsc::Receiver<io::Result<Bytes>> {
        self.chunks
    }

    /// Returns the next chunk; `None` at the end. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Bytes>> {
        self.chunks.recv().await
    }
}

/// How often a background job checks whether it is in the foreground.
const BACKGROUND_PAUSE: Duration = Duration::from_millis(50);

/// Stdin as a terminal, read only in the foreground: a read in the background stops the process (SIGTTIN), which then
/// could not handle signals to end.
struct Keyboard;

impl Read for Keyboard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = io::stdin();
        loop {
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None) {
                Ok(_) if raw::is_ours(&stdin) => return Ok(rustix::io::read(&stdin, &mut *buffer)?),
                Ok(_) => std::thread::sleep(BACKGROUND_PAUSE),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn chunks_are_ordered_with_one_end() {
        let data: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut stdin = Stdin::from_reader(io::Cursor::new(data.clone())).unwrap();
        let mut got = Vec::new();
        while let Some(chunk) = stdin.next().await {
            got.extend_from_slice(&chunk.unwrap());
        }
        assert!(got == data);
        assert!(stdin.next().await.is_none());
    }
}
