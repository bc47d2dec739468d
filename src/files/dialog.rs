//! Runs one script on the remote and reads its answers.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::channels::ChannelPermit;
use super::script::Script;
use super::{Files, TransferError};
use crate::model::{Exit, Shell, Terminal, TerminalEvent, TerminalRequest, escape_control};

/// The most bytes of error output that are kept, from its end.
const MAX_ERROR_OUTPUT: usize = 2048;

/// The time limit for a script to clean up after an abandoned transfer.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest line, in bytes.
const MAX_LINE: usize = 16 * 1024;

/// A running script.
pub(super) struct Dialog<'a> {
    /// Present until the dialog is dropped.
    terminal: Option<Terminal>,
    _permit: ChannelPermit<'a>,
    nonce: String,
    /// Bytes of stdout that are not consumed yet.
    said: BytesMut,
    /// The end of stderr's output.
    stderr: Vec<u8>,
    exit: Option<Exit>,
}

/// An answer: the words of its line, and the output before it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) words: Vec<String>,
    pub(super) before: String,
}

impl<'a> Dialog<'a> {
    /// Runs `script` in a channel of its own, as soon as one is available.
    pub(super) async fn start(files: &'a Files<'_>, script: &Script) -> Result<Self, TransferError> {
        let nonce = uuid::Uuid::new_v4().to_string();
        let text = script.text(&nonce);
        let mut request = TerminalRequest::without_pty();
        request.shell = Some(match &files.container {
            None => Shell::Command(format!("sh -c {}", crate::docker::quote(&text).unwrap_or_default())),
            Some(container) => Shell::Container(container.running(["sh", "-c", text.as_str()])),
        });
        let (terminal, permit) = files.channels.open(files.host, &request).await?;
        Ok(Self {
            terminal: Some(terminal),
            _permit: permit,
            nonce,
            said: BytesMut::new(),
            stderr: Vec::new(),
            exit: None,
        })
    }

    /// Returns the word that begins every answer.
    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Sends `data` and returns whether the script still reads. A script that has ended has reported why.
    pub(super) async fn send(&mut self, data: Bytes) -> Result<bool, TransferError> {
        let Some(terminal) = &mut self.terminal else { return Ok(false) };
        match terminal.input.write(data).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(TransferError::Connection(error)),
        }
    }

    /// Ends the input.
    pub(super) async fn end_input(&mut self) -> Result<(), TransferError> {
        let Some(terminal) = &mut self.terminal else { return Ok(()) };
        match terminal.input.end().await {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(TransferError::Connection(error)),
            _ => Ok(()),
        }
    }

    /// Returns the next bytes of stdout; `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, TransferError> {
        if !self.said.is_empty() {
            return Ok(Some(self.said.split().freeze()));
        }
        while self.exit.is_none() {
            let Some(terminal) = &mut self.terminal else { return Ok(None) };
            match terminal.output.next().await {
                Some(Ok(TerminalEvent::Output(bytes))) => return Ok(Some(bytes)),
                Some(Ok(TerminalEvent::Stderr(bytes))) => keep(&mut self.stderr, &bytes),
                Some(Ok(TerminalEvent::Exit(exit))) => self.exit = Some(exit),
                Some(Err(error)) => return Err(TransferError::Connection(error)),
                None => self.exit = Some(Exit::Unknown),
            }
        }
        Ok(None)
    }

    /// Returns the next line of stdout without its newline, `None` at the end.
    async fn line(&mut self) -> Result<Option<Bytes>, TransferError> {
        let mut line = BytesMut::new();
        loop {
            let Some(chunk) = self.chunk().await? else {
                return Ok((!line.is_empty()).then(|| line.freeze()));
            };
            if let Some(end) = chunk.iter().position(|&byte| byte == b'\n') {
                line.extend_from_slice(&chunk[..end]);
                self.said.extend_from_slice(&chunk[end + 1..]);
                return Ok(Some(line.freeze()));
            }
            line.extend_from_slice(&chunk);
            let surplus = line.len().saturating_sub(MAX_LINE);
            line.advance(surplus);
        }
    }

    /// Returns the next answer.
    ///
    /// # Errors
    /// [`TransferError::NoTool`]; [`TransferError::Shell`] when the script ends without an answer; a broken connection.
    pub(super) async fn answer(&mut self) -> Result<Answer, TransferError> {
        let mut before = Vec::new();
        while let Some(line) = self.line().await? {
            if let Some(words) = answer_in(&line, &self.nonce) {
                if let [what, tool] = words.as_slice()
                    && what == "tool"
                {
                    return Err(TransferError::NoTool { tool: tool.clone() });
                }
                return Ok(Answer { words, before: self.words_with(before) });
            }
            keep(&mut before, &line);
            keep(&mut before, b"\n");
        }
        let exit = self.exit.clone().unwrap_or(Exit::Unknown);
        let said = self.words_with(before);
        Err(TransferError::Shell { said: if said.is_empty() { format!("it {exit}") } else { said } })
    }

    /// Returns `before` and stderr's output so far as readable text. An answer on stderr is left for
    /// [`Dialog::finish`].
    fn words_with(&self, mut before: Vec<u8>) -> String {
        before.extend(self.error_output().0);
        readable(&before)
    }

    /// Splits stderr's output into the part without the answer, and the answer.
    fn error_output(&self) -> (Vec<u8>, Option<Vec<String>>) {
        let (mut error_output, mut answer) = (Vec::new(), None);
        for line in self.stderr.split_inclusive(|&byte| byte == b'\n') {
            match answer_in(line, &self.nonce) {
                Some(words) => answer = Some(words),
                None => error_output.extend_from_slice(line),
            }
        }
        (error_output, answer)
    }

    /// Waits for the end and returns the answer in stderr's output, if there is one, and the rest of that
    /// output.
    pub(super) async fn finish(mut self) -> Result<Answer, TransferError> {
        while self.chunk().await?.is_some() {}
        if let Some(terminal) = &self.terminal {
            // In a container, the watcher ends slightly later.
            terminal.control.close().await;
        }
        let (error_output, answer) = self.error_output();
        Ok(Answer { words: answer.unwrap_or_default(), before: readable(&error_output) })
    }
}

/// A dialog that is dropped early is not ended at once: its script sees the end of its input and cleans up.
impl Drop for Dialog<'_> {
    fn drop(&mut self) {
        let (Some(mut terminal), None) = (self.terminal.take(), &self.exit) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let cleanup = async {
                terminal.input.end().await.ok()?;
                while let Some(Ok(event)) = terminal.output.next().await {
                    if matches!(event, TerminalEvent::Exit(_)) {
                        break;
                    }
                }
                Some(())
            };
            let _ = tokio::time::timeout(CLEANUP_TIMEOUT, cleanup).await;
        });
    }
}

/// Returns the words of an answer, if `line` is one.
fn answer_in(line: &[u8], nonce: &str) -> Option<Vec<String>> {
    // Output without a final newline precedes it on the same line.
    let at = line.windows(nonce.len()).position(|window| window == nonce.as_bytes())?;
    let rest = String::from_utf8_lossy(&line[at + nonce.len()..]);
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Appends `more` and drops what exceeds the limit from the front.
fn keep(kept: &mut Vec<u8>, more: &[u8]) {
    kept.extend_from_slice(more);
    let surplus = kept.len().saturating_sub(MAX_ERROR_OUTPUT);
    kept.drain(..surplus);
}

/// Returns output as one line without control characters.
pub(super) fn readable(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    escape_control(&lines.join("; "))
}

impl Answer {
    /// Converts the answer about `path` to a result.
    pub(super) fn verdict(&self, path: &super::RemotePath) -> Result<(), TransferError> {
        let path = path.to_string();
        Err(match self.words.first().map(String::as_str) {
            Some("ok" | "done") => return Ok(()),
            Some("folder") => TransferError::Folder { path },
            Some("special") => TransferError::Special { path },
            Some("differs" | "short") if self.before.is_empty() => TransferError::Differs { path },
            _ => {
                let words = if self.before.is_empty() { "no reason given" } else { &self.before };
                TransferError::Remote { path, words: words.to_owned() }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_a_line_with_the_nonce() {
        assert_eq!(answer_in(b"4711 at 5 ab", "4711").unwrap(), ["at", "5", "ab"]);
        assert_eq!(answer_in(b"no newline4711 ok", "4711").unwrap(), ["ok"]);
        assert!(answer_in(b"ok", "4711").is_none());
    }

    #[test]
    fn error_output_is_bounded_and_readable() {
        let mut kept = Vec::new();
        for _ in 0..1000 {
            keep(&mut kept, b"tee: x: No space left on device\n");
        }
        assert!(kept.len() <= MAX_ERROR_OUTPUT);
        assert_eq!(readable(b"a\n\n  b\x1b\n"), "a; b\\u{1b}");
    }
}
