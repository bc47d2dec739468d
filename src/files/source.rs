//! Local data to send: a file, memory or a pipe.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::TransferError;

/// The size of one piece that is read and sent, in bytes.
const PIECE: usize = 128 * 1024;

/// The number of pieces queued between disk and network: 1 MiB.
const PIECES: usize = 8;

/// Pieces of data that are read elsewhere, in order.
pub type Chunks = mpsc::Receiver<io::Result<Bytes>>;

/// Data of known size to send.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Memory(Bytes),
    File(PathBuf),
}

/// The size and SHA-256 (in hexadecimal) of some data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) size: u64,
    pub(super) sum: String,
}

impl Source {
    /// Measures it, or its first `length` bytes.
    pub(super) async fn measure(&self, length: Option<u64>) -> Result<Measure, TransferError> {
        match self {
            Self::Memory(bytes) => {
                let end = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(bytes.len());
                Ok(Measure::of(bytes.get(..end).unwrap_or(bytes)))
            }
            Self::File(path) => {
                let file = path.clone();
                blocking(move || measure(File::open(file)?.take(length.unwrap_or(u64::MAX))))
                    .await
                    .map_err(|error| self.failed(error))
            }
        }
    }

    /// Returns an error of reading it.
    pub(super) fn failed(&self, source: io::Error) -> TransferError {
        let path = match self {
            Self::Memory(_) => PathBuf::from("-"),
            Self::File(path) => path.clone(),
        };
        TransferError::Local { path, source }
    }

    /// Returns its bytes from `from` to `to`.
    pub(super) fn chunks(&self, from: u64, to: u64) -> Chunks {
        match self {
            Self::Memory(bytes) => {
                let bytes = bytes.clone();
                read_chunks(move || {
                    let mut cursor = io::Cursor::new(bytes);
                    cursor.set_position(from);
                    Ok(cursor.take(to - from))
                })
            }
            Self::File(path) => {
                let path = path.clone();
                read_chunks(move || {
                    let mut file = File::open(path)?;
                    file.seek(SeekFrom::Start(from))?;
                    Ok(file.take(to - from))
                })
            }
        }
    }
}

impl Measure {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sum: hex(&Sha256::digest(bytes)) }
    }
}

/// Measures `reader` to its end.
pub(super) fn measure(mut reader: impl Read) -> io::Result<Measure> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; PIECE];
    let mut size = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(Measure { size, sum: hex(&digest.finalize()) }),
            Ok(read) => {
                digest.update(&buffer[..read]);
                size += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads the result of `open` on a blocking thread.
fn read_chunks<R: Read>(open: impl FnOnce() -> io::Result<R> + Send + 'static) -> Chunks {
    let (send, chunks) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let mut reader = match open() {
            Ok(reader) => reader,
            Err(error) => return drop(send.blocking_send(Err(error))),
        };
        loop {
            let mut piece = BytesMut::zeroed(PIECE);
            let read = match reader.read(&mut piece) {
                Ok(0) => return,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return drop(send.blocking_send(Err(error))),
            };
            piece.truncate(read);
            if send.blocking_send(Ok(piece.freeze())).is_err() {
                return;
            }
        }
    });
    chunks
}

/// Runs `work` on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}

pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn file_and_memory_sources_agree() {
        let data: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &data).unwrap();
        for source in [Source::Memory(data.clone().into()), Source::File(file.path().to_owned())] {
            assert_eq!(source.measure(None).await.unwrap(), Measure::of(&data));
            assert_eq!(source.measure(Some(1000)).await.unwrap(), Measure::of(&data[..1000]));
            let mut chunks = source.chunks(1000, 200_000);
            let mut read = Vec::new();
            while let Some(chunk) = chunks.recv().await {
                read.extend_from_slice(&chunk.unwrap());
            }
            assert!(read == data[1000..200_000]);
        }
        let sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Measure::of(b""), Measure { size: 0, sum: sum.into() });
        let missing = Source::File("/does/not/exist".into());
        assert!(matches!(missing.measure(None).await, Err(TransferError::Local { .. })));
        assert!(missing.chunks(0, 1).recv().await.unwrap().is_err());
    }
}
