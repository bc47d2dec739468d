//! Somebody who types into a terminal and reads what it says.

use std::time::Duration;

use bytes::Bytes;
use eice::model::{Control, Exit, Terminal, TerminalEvent};
use tokio::time::timeout;

/// How long a terminal may take to say what is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// A terminal and what it said so far.
pub(crate) struct Console {
    terminal: Terminal,
    /// What was said and not yet waited for.
    unread: Vec<u8>,
    stderr: Vec<u8>,
    exit: Option<Exit>,
}

impl Console {
    pub(crate) fn new(terminal: Terminal) -> Self {
        Self { terminal, unread: Vec::new(), stderr: Vec::new(), exit: None }
    }

    pub(crate) fn control(&self) -> &dyn Control {
        &*self.terminal.control
    }

    /// Types `text` and Enter.
    pub(crate) async fn line(&mut self, text: &str) {
        self.bytes(format!("{text}\r")).await;
    }

    /// Sends `bytes` as they are.
    pub(crate) async fn bytes(&mut self, bytes: impl Into<Bytes>) {
        let sent = timeout(ANSWER_TIMEOUT, self.terminal.input.write(bytes.into())).await;
        sent.expect("input is taken in time").expect("input is taken");
    }

    /// Says that no more input follows.
    pub(crate) async fn end_input(&mut self) {
        self.terminal.input.end().await.unwrap();
    }

    /// Reads until `text` came, and returns all up to its end.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                let found = self.unread.windows(text.len()).position(|window| window == text.as_bytes());
                if let Some(at) = found {
                    let said: Vec<u8> = self.unread.drain(..at + text.len()).collect();
                    return String::from_utf8_lossy(&said).into_owned();
                }
                let so_far = || String::from_utf8_lossy(&self.unread).into_owned();
                match timeout(ANSWER_TIMEOUT, self.terminal.output.next()).await {
                    Ok(Some(Ok(TerminalEvent::Output(data)))) => self.unread.extend_from_slice(&data),
                    Ok(Some(Ok(TerminalEvent::Stderr(data)))) => self.stderr.extend_from_slice(&data),
                    Ok(Some(Ok(event))) => {
                        panic!("{caller}: {event:?} before {text:?}, after {:?}", so_far())
                    }
                    Ok(Some(Err(error))) => panic!("{caller}: {error} before {text:?}, after {:?}", so_far()),
                    Ok(None) => panic!("{caller}: the end before {text:?}, after {:?}", so_far()),
                    Err(_) => panic!("{caller}: no {text:?} in {ANSWER_TIMEOUT:?}, but {:?}", so_far()),
                }
            }
        }
    }

    /// Reads to the end: what was still said on stdout and on stderr, and the exit.
    pub(crate) async fn finish(mut self) -> (Vec<u8>, Vec<u8>, Exit) {
        loop {
            match timeout(ANSWER_TIMEOUT, self.terminal.output.next()).await.expect("it ends in time") {
                Some(Ok(TerminalEvent::Output(data))) => self.unread.extend_from_slice(&data),
                Some(Ok(TerminalEvent::Stderr(data))) => self.stderr.extend_from_slice(&data),
                Some(Ok(TerminalEvent::Exit(exit))) => self.exit = Some(exit),
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("the terminal broke: {error}"),
                None => {
                    let exit = self.exit.expect("an exit comes before the end");
                    return (self.unread, self.stderr, exit);
                }
            }
        }
    }

    /// Reads on, counting and hashing nothing: `look` sees every piece of stdout.
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

    /// Ends it and waits until nothing of it is left at the far side.
    pub(crate) async fn close(self) {
        self.terminal.control.close().await;
    }
}
