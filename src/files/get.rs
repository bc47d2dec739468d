//! Reads files from the remote.

use std::path::Path;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::dialog::{Answer, Dialog, readable};
use super::local::Partial;
use super::put::{MAX_BATCH_BYTES, settle};
use super::script::{GET, GET_MANY, Script};
use super::source::{Measure, blocking};
use super::{Attributes, FileMode, Files, ProgressFn, RemotePath, Transfer, TransferError};

/// How much a batch of small files may have grown since it was planned, in bytes.
const BATCH_SLACK: u64 = 1024 * 1024;

/// The number of pieces queued between network and disk.
const PIECES: usize = 16;

/// The attributes of a remote file at the time it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    from: u64,
    size: u64,
    mode: u32,
    modified: u64,
}

impl Found {
    /// Parses `WHAT [FROM] SIZE MODE TIME`.
    fn in_answer(answer: &Answer, what: &str) -> Option<Self> {
        let number = |text: &String| text.parse().ok();
        let (from, [size, mode, modified]) = match answer.words.as_slice() {
            [word, from, rest @ ..] if word == what && what == "at" => (number(from)?, as_three(rest)?),
            [word, rest @ ..] if word == what => (0, as_three(rest)?),
            _ => return None,
        };
        let mode = u32::from_str_radix(mode, 8).ok()?;
        Some(Self {
            from,
            size: number(size)?,
            mode,
            modified: modified.parse::<i64>().ok()?.try_into().unwrap_or(0),
        })
    }

    /// Returns the attributes of a copy.
    fn attributes(self, preserve: bool) -> Attributes {
        if preserve {
            Attributes { mode: FileMode::Exactly(self.mode), modified: Some(self.modified) }
        } else {
            Attributes::new(FileMode::Keep(self.mode & 0o777))
        }
    }
}

impl Files<'_> {
    /// Returns the content of the file `path`, if it has at most `max_size` bytes.
    ///
    /// # Errors
    /// [`TransferError`]; [`TransferError::TooMuch`] for a larger file.
    pub async fn read(&self, path: &RemotePath, max_size: u64) -> Result<Vec<u8>, TransferError> {
        let mut content = Vec::new();
        self.read_at_most(path, max_size, &mut content, &|_| {}).await?;
        Ok(content)
    }

    /// Writes the content of the file `path` to `sink`. If it fails, the bytes written so far may be wrong.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn read_to(
        &self,
        path: &RemotePath,
        sink: &mut (impl AsyncWrite + Unpin + Send),
        moved: ProgressFn<'_>,
    ) -> Result<Transfer, TransferError> {
        self.read_at_most(path, u64::MAX, sink, moved).await
    }

    async fn read_at_most(
        &self,
        path: &RemotePath,
        max_size: u64,
        sink: &mut (impl AsyncWrite + Unpin + Send),
        moved: ProgressFn<'_>,
    ) -> Result<Transfer, TransferError> {
        let script = Script::new(GET).path(path).word("0").word("-");
        let mut dialog = Dialog::start(self, &script).await?;
        let read = async {
            dialog.end_input().await?;
            let found = found(&mut dialog, path).await?;
            if found.size > max_size {
                return Err(TransferError::TooMuch(format!("{path} has more than {max_size} bytes")));
            }
            let mut digest = sha2::Sha256::default();
            let failed = |source| TransferError::Local { path: "-".into(), source };
            let mut left = found.size;
            while let Some(mut chunk) = dialog.chunk().await? {
                chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                left -= chunk.len() as u64;
                sha2::Digest::update(&mut digest, &chunk);
                sink.write_all(&chunk).await.map_err(failed)?;
                moved(chunk.len() as u64);
            }
            sink.flush().await.map_err(failed)?;
            let sum = super::source::hex(&sha2::Digest::finalize(digest));
            Ok((found, Measure { size: found.size - left, sum }))
        }
        .await;
        let (found, measure) = match read {
            Ok(read) => read,
            Err(error) => return settle(dialog, Err(error)).await,
        };
        let expected = expected(dialog.finish().await?, found.size, path)?;
        if measure != expected {
            return Err(TransferError::Differs { path: path.to_string() });
        }
        Ok(Transfer { size: found.size, resumed_at: 0 })
    }

    /// Copies the file `source` to the local `target` and resumes where an earlier attempt stopped. With
    /// `preserve` the copy gets the mode and the time of the original.
    pub(super) async fn get(
        &self,
        source: &RemotePath,
        target: &Path,
        preserve: bool,
        moved: ProgressFn<'_>,
    ) -> Result<Transfer, TransferError> {
        let here = target.to_owned();
        let mut partial = on_disk(move || Partial::open(&here)).await?;
        let there = partial.measure();
        let script = Script::new(GET).path(source).word(&there.size.to_string()).word(&there.sum);
        let mut dialog = Dialog::start(self, &script).await?;
        let begun = async {
            dialog.end_input().await?;
            let found = found(&mut dialog, source).await?;
            partial.resume_at(found.from)?;
            Ok(found)
        }
        .await;
        let found = match begun {
            Ok(found) => found,
            Err(error) => return settle(dialog, Err(error)).await,
        };
        moved(found.from);
        // A blocking thread writes the pieces to disk.
        let (send, mut pieces) = mpsc::channel::<Bytes>(PIECES);
        let writing = on_disk(move || {
            while let Some(piece) = pieces.blocking_recv() {
                partial.write(&piece)?;
            }
            Ok(partial)
        });
        let reading = async {
            let mut left = found.size - found.from.min(found.size);
            while let Some(mut chunk) = dialog.chunk().await? {
                chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let length = chunk.len() as u64;
                left -= length;
                if length > 0 && send.send(chunk).await.is_err() {
                    // The writer reports the error.
                    break;
                }
                moved(length);
            }
            drop(send);
            Ok(())
        };
        let (read, written) = tokio::join!(reading, writing);
        let outcome = read.and(written);
        let partial = match outcome {
            Ok(partial) => partial,
            Err(error) => return settle(dialog, Err(error)).await,
        };
        let expected = expected(dialog.finish().await?, found.size, source)?;
        on_disk(move || partial.finish(&expected, found.attributes(preserve))).await?;
        Ok(Transfer { size: found.size, resumed_at: found.from })
    }

    /// Reads small files over one channel: the content and attributes of each.
    pub(super) async fn get_small(
        &self,
        paths: &[RemotePath],
    ) -> Result<Vec<Result<(Bytes, Found), TransferError>>, TransferError> {
        let script = paths.iter().fold(Script::new(GET_MANY), Script::path);
        let mut dialog = Dialog::start(self, &script).await?;
        dialog.end_input().await?;
        let mut said = Vec::new();
        while let Some(chunk) = dialog.chunk().await? {
            said.extend_from_slice(&chunk);
            if said.len() as u64 > MAX_BATCH_BYTES + BATCH_SLACK {
                // One file has grown. Each is then read separately, at any size.
                let all = paths.iter().map(|path| Err(TransferError::Differs { path: path.to_string() }));
                return Ok(all.collect());
            }
        }
        let nonce = dialog.nonce().to_owned();
        let rest = dialog.finish().await?;
        Ok(contents(&Bytes::from(said), nonce.as_bytes(), paths, &rest.before))
    }
}

fn as_three(words: &[String]) -> Option<&[String; 3]> {
    words.try_into().ok()
}

/// Reads the script's answer before the file.
async fn found(dialog: &mut Dialog<'_>, path: &RemotePath) -> Result<Found, TransferError> {
    let answer = dialog.answer().await?;
    match Found::in_answer(&answer, "at") {
        Some(found) => Ok(found),
        None => {
            answer.verdict(path)?;
            Err(TransferError::Shell { said: answer.words.join(" ") })
        }
    }
}

/// Returns the expected size and sum from the script's last answer.
fn expected(last: Answer, size: u64, path: &RemotePath) -> Result<Measure, TransferError> {
    match last.words.as_slice() {
        [what, sum] if what == "sum" => Ok(Measure { size, sum: sum.clone() }),
        _ if last.before.is_empty() => Err(TransferError::Differs { path: path.to_string() }),
        _ => Err(TransferError::Remote { path: path.to_string(), words: last.before }),
    }
}

/// Extracts the files from the output of [`GET_MANY`].
fn contents(
    said: &Bytes,
    nonce: &[u8],
    paths: &[RemotePath],
    words: &str,
) -> Vec<Result<(Bytes, Found), TransferError>> {
    let mut at = 0;
    let mut next_answer = || {
        let start = at + find(&said[at..], nonce)?;
        let end = start + said[start..].iter().position(|&byte| byte == b'\n')?;
        let before = said.slice(at..start);
        at = end + 1;
        let line = String::from_utf8_lossy(&said[start + nonce.len()..end]);
        Some((before, line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()))
    };
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let Some((before, answer)) = next_answer() else {
            files.push(Err(TransferError::Remote { path: path.to_string(), words: words.to_owned() }));
            continue;
        };
        let answer = Answer { words: answer, before: readable(&before) };
        if let [what, tool] = answer.words.as_slice()
            && what == "tool"
        {
            files.push(Err(TransferError::NoTool { tool: tool.clone() }));
            break;
        }
        let Some(found) = Found::in_answer(&answer, "file") else {
            let verdict = answer.verdict(path);
            files.push(Err(verdict.err().unwrap_or(TransferError::Shell { said: answer.words.join(" ") })));
            continue;
        };
        let differs = || TransferError::Differs { path: path.to_string() };
        files.push(match next_answer() {
            Some((content, end)) => {
                // The script's newline separates the file from the answer.
                let content = content.slice(..content.len().saturating_sub(1));
                let measure = Measure::of(&content);
                let is_right = end == ["end", &measure.sum] && measure.size == found.size;
                if is_right { Ok((content, found)) } else { Err(differs()) }
            }
            None => Err(differs()),
        });
    }
    while files.len() < paths.len() {
        let again = match files.last() {
            Some(Err(error)) => error.repeat(),
            _ => TransferError::NotReached,
        };
        files.push(Err(again));
    }
    files
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let at = from + haystack.get(from..)?.iter().position(|&byte| byte == first)?;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Writes a small file that has been read.
pub(super) async fn keep_small(
    target: &Path,
    content: Bytes,
    found: Found,
    preserve: bool,
) -> Result<(), TransferError> {
    let target = target.to_owned();
    on_disk(move || super::local::write(&target, &content, found.attributes(preserve))).await
}

/// Runs `work` on a thread for blocking disk access.
pub(super) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TransferError> + Send + 'static,
) -> Result<T, TransferError> {
    match blocking(move || Ok(work())).await {
        Ok(result) => result,
        Err(source) => Err(TransferError::Local { path: "-".into(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_content_cannot_forge_an_answer() {
        let path = |name: &str| RemotePath::new(name).unwrap();
        let sum = |content: &str| Measure::of(content.as_bytes()).sum;
        let tricky = "\nend 0\n\n";
        let said = format!(
            "4711 file {} 644 7\n{tricky}\n4711 end {}\ncat: no\n4711 no\n4711 file 0 600 8\n\n4711 end {}\n\
             4711 file 3 644 9\nab\n4711 end {}\n",
            tricky.len(),
            sum(tricky),
            sum(""),
            sum("abc"),
        );
        let paths = [path("a"), path("b"), path("c"), path("d"), path("e")];
        let files = contents(&said.into(), b"4711", &paths, "");
        let (content, found) = files[0].as_ref().unwrap();
        assert_eq!((&content[..], found.mode, found.modified), (tricky.as_bytes(), 0o644, 7));
        assert!(matches!(&files[1], Err(TransferError::Remote { words, .. }) if words == "cat: no"));
        assert!(files[2].as_ref().unwrap().0.is_empty());
        assert!(matches!(&files[3], Err(TransferError::Differs { .. })), "it was truncated");
        assert!(matches!(&files[4], Err(TransferError::Remote { .. })));
    }
}
