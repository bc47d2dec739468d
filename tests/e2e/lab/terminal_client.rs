//! Types into a terminal and reads its output.

use std::time::Duration;

use bytes::Bytes;
use eice::model::{Control, Exit, Terminal, TerminalEvent};
use tokio::time::timeout;

use super::transcript::{Source, Transcript};

/// How long one read or write may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long [`TerminalClient::until`] waits, however much other output comes meanwhile.
const UNTIL_TIMEOUT: Duration = Duration::from_secs(60);

/// A terminal and its output so far.
pub(crate) struct TerminalClient {
    terminal: Terminal,
    transcript: Transcript,
    stderr: Vec<u8>,
    exit: Option<Exit>,
}

impl TerminalClient {
    pub(crate) fn new(terminal: Terminal) -> Self {
        Self { terminal, transcript: Transcript::default(), stderr: Vec::new(), exit: None }
    }

    pub(crate) fn control(&self) -> &dyn Control {
        &*self.terminal.control
    }

    /// Types `text` and Enter.
    pub(crate) async fn line(&mut self, text: &str) {
        self.bytes(format!("{text}\r")).await;
    }

    /// Sends `bytes` verbatim.
    pub(crate) async fn bytes(&mut self, bytes: impl Into<Bytes>) {
        let sent = timeout(ANSWER_TIMEOUT, self.terminal.input.write(bytes.into())).await;
        sent.expect("input is accepted in time").expect("input is accepted");
    }

    /// Ends the input.
    pub(crate) async fn end_input(&mut self) {
        self.terminal.input.end().await.unwrap();
    }

    /// Reads until `text` has come, and returns the output up to its end.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> impl Future<Output = String> {
        self.read_until(text, UNTIL_TIMEOUT)
    }

    /// Reads to the end; returns the remaining stdout, stderr, and the exit.
    pub(crate) async fn finish(mut self) -> (Vec<u8>, Vec<u8>, Exit) {
        loop {
            match timeout(ANSWER_TIMEOUT, self.terminal.output.next()).await.expect("it ends in time") {
                Some(Ok(TerminalEvent::Output(data))) => self.transcript.push(&data),
                Some(Ok(TerminalEvent::Stderr(data))) => self.stderr.extend_from_slice(&data),
                Some(Ok(TerminalEvent::Exit(exit))) => self.exit = Some(exit),
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("the terminal broke: {error}"),
                None => {
                    let exit = self.exit.expect("an exit comes before the end");
                    return (self.transcript.into_bytes(), self.stderr, exit);
                }
            }
        }
    }

    /// Reads to the end without keeping the output: `look` gets every piece of stdout.
    pub(crate) async fn drain(mut self, mut look: impl FnMut(&[u8])) -> Exit {
        loop {
            match timeout(ANSWER_TIMEOUT, self.terminal.output.next()).await.expect("it goes on in time") {
                Some(Ok(TerminalEvent::Output(data))) => look(&data),
                Some(Ok(TerminalEvent::Exit(exit))) => self.exit = Some(exit),
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("the terminal broke: {error}"),
                None => return self.exit.expect("an exit comes before the end"),
            }
        }
    }

    /// Closes the terminal and waits until the remote side has cleaned up.
    pub(crate) async fn close(self) {
        self.terminal.control.close().await;
    }
}

impl Source for TerminalClient {
    fn transcript(&mut self) -> &mut Transcript {
        &mut self.transcript
    }

    async fn read_more(&mut self) -> Result<(), String> {
        match self.terminal.output.next().await {
            Some(Ok(TerminalEvent::Output(data))) => self.transcript.push(&data),
            Some(Ok(TerminalEvent::Stderr(data))) => self.stderr.extend_from_slice(&data),
            Some(Ok(event)) => return Err(format!("{event:?}")),
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("the end".to_owned()),
        }
        Ok(())
    }
}
