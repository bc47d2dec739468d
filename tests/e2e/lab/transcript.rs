//! The output of a terminal, searched for expected text within a bounded time.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// Output that was received and not yet waited for.
#[derive(Default)]
pub(crate) struct Transcript {
    unread: Vec<u8>,
    /// The length of the prefix that has been searched already: a flood is searched once.
    searched: usize,
}

impl Transcript {
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.unread.extend_from_slice(data);
    }

    /// Removes and returns the output up to the end of `text`, once `text` has come.
    fn take_through(&mut self, text: &str) -> Option<String> {
        let mut windows = self.unread[self.searched..].windows(text.len());
        let Some(at) = windows.position(|window| window == text.as_bytes()) else {
            self.searched = (self.unread.len() + 1).saturating_sub(text.len());
            return None;
        };
        let end = self.searched + at + text.len();
        self.searched = 0;
        Some(String::from_utf8_lossy(&self.unread.drain(..end).collect::<Vec<_>>()).into_owned())
    }

    /// Returns the output that is left.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.unread
    }

    pub(crate) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.unread).into_owned()
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.unread))
    }
}

/// A source of terminal output.
pub(crate) trait Source {
    fn transcript(&mut self) -> &mut Transcript;

    /// Reads the next piece into the transcript. An error says why no more output will come.
    async fn read_more(&mut self) -> Result<(), String>;

    /// Reads until `text` has come, and returns all up to its end. `timeout` bounds the whole wait, so that endless
    /// output without `text` in it fails as well.
    #[track_caller]
    fn read_until(&mut self, text: &str, timeout: Duration) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            let deadline = Instant::now() + timeout;
            loop {
                if let Some(found) = self.transcript().take_through(text) {
                    return found;
                }
                match timeout_at(deadline, self.read_more()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(end)) => panic!("{caller}: {end} before {text:?}, after {}", self.transcript()),
                    Err(_) => panic!("{caller}: no {text:?} in {timeout:?}, but {}", self.transcript()),
                }
            }
        }
    }
}
