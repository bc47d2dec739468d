//! A process on an instance, with the connection that it runs on.

use std::fmt;

use bytes::Bytes;

use super::Error;
use crate::connect::SshHost;
use crate::model::{Exit, Host as _, HostIds, Signal, Size, Terminal, TerminalEvent};

/// The most bytes that [`RemoteProcess::output`] keeps, stdout and stderr together: 64 MiB.
pub const MAX_OUTPUT: usize = 64 << 20;

/// A process or shell on an instance.
///
/// Dropping it hangs the process up and closes its connection; [`Self::close`] waits for both.
pub struct RemoteProcess {
    // Before the host: the terminal ends first.
    terminal: Terminal,
    host: SshHost,
}

impl fmt::Debug for RemoteProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteProcess").field("host", &self.host).finish_non_exhaustive()
    }
}

/// What a process wrote, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessOutput {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output; on a PTY, everything.
    pub stdout: Vec<u8>,
    /// Its standard error; on a PTY, nothing.
    pub stderr: Vec<u8>,
}

impl RemoteProcess {
    pub(super) fn new(host: SshHost, terminal: Terminal) -> Self {
        Self { terminal, host }
    }

    /// Writes `data` to the process, waiting for room at the instance.
    ///
    /// # Errors
    /// The process or the connection is gone.
    pub async fn write(&mut self, data: impl Into<Bytes>) -> Result<(), Error> {
        self.terminal.input.write(data.into()).await.map_err(Error::Connection)
    }

    /// Ends the process's input. Without effect on a PTY.
    ///
    /// # Errors
    /// The process or the connection is gone.
    pub async fn end_input(&mut self) -> Result<(), Error> {
        self.terminal.input.end().await.map_err(Error::Connection)
    }

    /// Returns the next event; `None` after the exit. Cancel safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> Result<Option<TerminalEvent>, Error> {
        self.terminal.output.next().await.transpose().map_err(Error::Connection)
    }

    /// Ends the input, reads to the exit, closes the connection and returns what the process wrote.
    ///
    /// # Errors
    /// The connection broke, or there was more than [`MAX_OUTPUT`].
    pub async fn output(mut self) -> Result<ProcessOutput, Error> {
        // A process that has exited already takes no end of input; its output is still there.
        let _ = self.terminal.input.end().await;
        let mut output = ProcessOutput { exit: Exit::Unknown, stdout: Vec::new(), stderr: Vec::new() };
        while let Some(event) = self.next().await? {
            match event {
                TerminalEvent::Output(data) => output.stdout.extend_from_slice(&data),
                TerminalEvent::Stderr(data) => output.stderr.extend_from_slice(&data),
                TerminalEvent::Exit(exit) => output.exit = exit,
            }
            if output.stdout.len() + output.stderr.len() > MAX_OUTPUT {
                return Err(Error::OutputTooLong(MAX_OUTPUT));
            }
        }
        self.close().await;
        Ok(output)
    }

    /// Changes the size of the PTY.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn resize(&self, size: Size) -> Result<(), Error> {
        self.terminal.control.resize(size).await.map_err(Error::Connection)
    }

    /// Sends `signal` to the process, where the server passes signals on.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.terminal.control.signal(signal).await.map_err(Error::Connection)
    }

    /// Returns the request ids of the connection, for AWS support and CloudTrail.
    #[must_use]
    pub fn ids(&self) -> HostIds {
        self.host.ids()
    }

    /// Returns the terminal's parts, to use them concurrently. The process ends when this value is dropped.
    #[must_use]
    pub fn terminal(&mut self) -> &mut Terminal {
        &mut self.terminal
    }

    /// Ends the process and closes the connection, and waits for both within a bound.
    pub async fn close(self) {
        self.terminal.control.close().await;
        self.host.close().await;
    }
}
