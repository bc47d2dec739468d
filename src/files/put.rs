//! Writes remote files.

use bytes::Bytes;

use super::dialog::{Answer, Dialog};
use super::script::{PUT, PUT_MANY, PUT_STREAM, Script};
use super::source::{Chunks, Measure, Source, hex};
use super::{Attributes, FileMode, Files, ProgressFn, RemotePath, Transfer, TransferError};
use sha2::{Digest, Sha256};

/// The largest file, in bytes, that is sent in a batch.
pub(super) const MAX_SMALL: u64 = 128 * 1024;

/// The most bytes of file contents in one batch.
pub(super) const MAX_BATCH_BYTES: u64 = 1024 * 1024;

/// The most bytes of arguments that name the files of a batch. Quoted again, and once more for a container,
/// they still fit in the 128 KiB that Linux allows for one argument.
pub(super) const MAX_BATCH_WORDS: usize = 24 * 1024;

/// A small file to write.
#[derive(Clone, Debug)]
pub(super) struct Small {
    pub(super) target: RemotePath,
    pub(super) content: Bytes,
    pub(super) attributes: Attributes,
}

/// Appends [`Attributes`] to a script: mode, `keep` or nothing, time or nothing.
fn attributes(script: Script, attributes: Attributes) -> Script {
    let (mode, keep) = match attributes.mode {
        FileMode::Exactly(mode) => (mode, ""),
        FileMode::Keep(mode) => (mode, "keep"),
    };
    let modified = attributes.modified.map(|secs| secs.to_string()).unwrap_or_default();
    script.word(&format!("{:o}", mode & 0o7777)).word(keep).word(&modified)
}

fn put(body: &'static str, target: &RemotePath, with: Attributes) -> Script {
    let script = Script::new(body).path(target).path(&target.folder());
    attributes(script.path(&target.partial()).path(&target.temporary()), with)
}

impl Small {
    fn add_to(&self, script: Script) -> Script {
        let Measure { size, sum } = Measure::of(&self.content);
        let script = script.path(&self.target).path(&self.target.folder()).path(&self.target.temporary());
        attributes(script.word(&size.to_string()).word(&sum), self.attributes)
    }

    /// Returns the approximate number of bytes of its arguments.
    pub(super) fn words(target: &RemotePath) -> usize {
        3 * target.word().len() + 180
    }
}

impl Files<'_> {
    /// Writes `content` to `target`. Missing folders are created.
    ///
    /// # Errors
    /// [`TransferError`]; the target is then unchanged.
    pub async fn write(
        &self,
        target: &RemotePath,
        content: Bytes,
        with: Attributes,
    ) -> Result<Transfer, TransferError> {
        self.put_source(&Source::Memory(content), target, with, &|_| {}).await
    }

    /// Writes the content of `source` to `target` and resumes where an earlier attempt stopped.
    pub(super) async fn put_source(
        &self,
        source: &Source,
        target: &RemotePath,
        with: Attributes,
        moved: ProgressFn<'_>,
    ) -> Result<Transfer, TransferError> {
        let script = put(PUT, target, with);
        let (dialog, measure) = tokio::join!(Dialog::start(self, &script), source.measure(None));
        let mut dialog = dialog?;
        let sent = async {
            let whole = measure?;
            let from = agree(&mut dialog, source, &whole, target).await?;
            let line = format!("{from} {} {}\n", whole.size, whole.sum);
            moved(from);
            let mut takes = dialog.send(line.into()).await?;
            let mut chunks = source.chunks(from, whole.size);
            while takes && let Some(chunk) = chunks.recv().await {
                let chunk = chunk.map_err(|error| source.failed(error))?;
                let length = chunk.len() as u64;
                takes = dialog.send(chunk).await?;
                moved(length);
            }
            dialog.end_input().await?;
            dialog.answer().await?.verdict(target)?;
            Ok(Transfer { size: whole.size, resumed_at: from })
        }
        .await;
        settle(dialog, sent).await
    }

    /// Writes all of `chunks` to `target`. It cannot be resumed.
    ///
    /// # Errors
    /// [`TransferError`]; the target is then unchanged. An error in `chunks` is a local one.
    pub async fn write_stream(
        &self,
        mut chunks: Chunks,
        target: &RemotePath,
        with: Attributes,
        moved: ProgressFn<'_>,
    ) -> Result<Transfer, TransferError> {
        let mut dialog = Dialog::start(self, &put(PUT_STREAM, target, with)).await?;
        let sent = async {
            let answer = dialog.answer().await?;
            if !answer.is_at() {
                answer.verdict(target)?;
            }
            let (mut digest, mut size, mut takes) = (Sha256::new(), 0, true);
            while takes && let Some(chunk) = chunks.recv().await {
                let chunk = chunk.map_err(|source| TransferError::Local { path: "-".into(), source })?;
                digest.update(&chunk);
                let length = chunk.len() as u64;
                takes = dialog.send(chunk).await?;
                size += length;
                moved(length);
            }
            let trailer = format!("{} {}", hex(&digest.finalize()), dialog.nonce());
            dialog.send(trailer.into()).await?;
            dialog.end_input().await?;
            dialog.answer().await?.verdict(target)?;
            Ok(Transfer { size, resumed_at: 0 })
        }
        .await;
        settle(dialog, sent).await
    }

    /// Writes small files over one channel, and returns the result of each in order.
    pub(super) async fn put_small(
        &self,
        files: &[Small],
        moved: ProgressFn<'_>,
    ) -> Vec<Result<(), TransferError>> {
        let mut results = Vec::with_capacity(files.len());
        if let Err(error) = self.put_batch(files, &mut results, moved).await {
            results.push(Err(error));
        }
        // Files without an answer get the error that ended the batch.
        while results.len() < files.len() {
            let again = match results.last() {
                Some(Err(error)) => error.repeat(),
                _ => TransferError::Shell { said: "answers are missing".into() },
            };
            results.push(Err(again));
        }
        results
    }

    async fn put_batch(
        &self,
        files: &[Small],
        results: &mut Vec<Result<(), TransferError>>,
        moved: ProgressFn<'_>,
    ) -> Result<(), TransferError> {
        let script = files.iter().fold(Script::new(PUT_MANY), |script, file| file.add_to(script));
        let mut dialog = Dialog::start(self, &script).await?;
        let sent = async {
            for file in files.iter().filter(|file| !file.content.is_empty()) {
                if !dialog.send(file.content.clone()).await? {
                    break;
                }
                moved(file.content.len() as u64);
            }
            dialog.end_input().await?;
            for file in files {
                results.push(dialog.answer().await?.verdict(&file.target));
            }
            Ok(())
        }
        .await;
        settle(dialog, sent).await
    }
}

/// Returns the offset to send from: the remote may have a part of the file, or of another one.
async fn agree(
    dialog: &mut Dialog<'_>,
    source: &Source,
    whole: &Measure,
    target: &RemotePath,
) -> Result<u64, TransferError> {
    let answer = dialog.answer().await?;
    let Some((there, sum)) = answer.at() else {
        answer.verdict(target)?;
        return Err(TransferError::Shell { said: answer.words.join(" ") });
    };
    if there == 0 || there > whole.size {
        return Ok(0);
    }
    let same = source.measure(Some(there)).await?.sum == sum;
    tracing::debug!(%target, there, same, "the remote has a part of the file");
    Ok(if same { there } else { 0 })
}

/// Ends `dialog` with the result of the transfer; after a failure its script cleans up on its own.
pub(super) async fn settle<T>(
    dialog: Dialog<'_>,
    sent: Result<T, TransferError>,
) -> Result<T, TransferError> {
    let value = sent?;
    dialog.finish().await.map(|_| value)
}

impl Answer {
    fn is_at(&self) -> bool {
        self.words.first().is_some_and(|word| word == "at")
    }

    /// Parses `at SIZE SUM`.
    fn at(&self) -> Option<(u64, &str)> {
        match self.words.as_slice() {
            [at, size, sum] if at == "at" => Some((size.parse().ok()?, sum)),
            _ => None,
        }
    }
}
