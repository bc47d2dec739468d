//! The traits of a terminal: bytes in, bytes out, resize, exit.

use std::fmt;
use std::io;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::Size;

/// One open terminal, in three parts that are used concurrently.
///
/// The parts are separate because they wait for different things: input waits for the remote's window, output
/// for the remote's bytes, and a resize must wait for neither. Dropping all three ends the remote terminal
/// (hang-up, then kill) without blocking; [`Control::close`] does the same and waits.
pub struct Terminal {
    /// Bytes to the remote.
    pub input: Box<dyn Input>,
    /// Bytes and the exit from the remote.
    pub output: Box<dyn Output>,
    /// Resize, signal, close.
    pub control: Box<dyn Control>,
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").finish_non_exhaustive()
    }
}

/// The input half of a terminal.
pub trait Input: Send {
    /// Sends `data`, waiting until the remote can take it. Either all of it is taken or an error is returned.
    ///
    /// If the future is dropped, a part may have been sent.
    fn write(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>>;

    /// Signals the end of input. A PTY has no end of input: there it does nothing.
    fn end(&mut self) -> BoxFuture<'_, io::Result<()>>;
}

/// An event from a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TerminalEvent {
    /// Bytes from the remote; with a PTY, stdout and stderr are one stream.
    Output(Bytes),
    /// Bytes from stderr, where there is no PTY to merge them.
    Stderr(Bytes),
    /// The process ended. The last event, except that [`Output::next`] then returns `None`.
    Exit(Exit),
}

/// The output half of a terminal.
pub trait Output: Send {
    /// Returns the next event; `None` after the exit.
    ///
    /// Cancel safe: dropping the future loses nothing. A broken connection is an error, never a normal end.
    fn next(&mut self) -> BoxFuture<'_, Option<io::Result<TerminalEvent>>>;
}

/// The control handle of a terminal, usable while its input and output are busy.
pub trait Control: Send + Sync {
    /// Sets the size of the remote terminal.
    fn resize(&self, size: Size) -> BoxFuture<'_, io::Result<()>>;

    /// Sends a signal to the remote process, if the remote supports it.
    fn signal(&self, signal: Signal) -> BoxFuture<'_, io::Result<()>>;

    /// Ends the terminal and waits, within a bound, until the remote has cleaned up.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A signal, by its name without `SIG` (RFC 4254, section 6.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Hang-up.
    Hup,
    /// Interrupt.
    Int,
    /// Quit.
    Quit,
    /// Terminate.
    Term,
    /// Kill.
    Kill,
}

impl Signal {
    /// Returns the name that SSH uses: `HUP`, `INT` and so on.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Term => "TERM",
            Self::Kill => "KILL",
        }
    }
}

/// How a process exited.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// With a status.
    Code(u32),
    /// By a signal (RFC 4254, section 6.10).
    Signal {
        /// The signal's name without `SIG`.
        name: String,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
    /// The channel closed without a status or a signal.
    Unknown,
}

impl Exit {
    /// Returns the status as a shell shows it: the code, 128 plus the signal's number, or 255 when unknown.
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::Code(code) => *code,
            Self::Signal { name, .. } => 128 + signal_number(name),
            Self::Unknown => 255,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited {code}"),
            Self::Signal { name, core_dumped: false } => write!(f, "killed by SIG{}", name.escape_default()),
            Self::Signal { name, core_dumped: true } => {
                write!(f, "killed by SIG{} (core dumped)", name.escape_default())
            }
            Self::Unknown => f.write_str("ended without a status"),
        }
    }
}

/// Returns Linux's number for an SSH signal name; 127 for an unknown name, so that the status stays below 256.
fn signal_number(name: &str) -> u32 {
    match name {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ILL" => 4,
        "ABRT" => 6,
        "FPE" => 8,
        "KILL" => 9,
        "USR1" => 10,
        "SEGV" => 11,
        "USR2" => 12,
        "PIPE" => 13,
        "ALRM" => 14,
        "TERM" => 15,
        _ => 127,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_match_the_shell() {
        assert_eq!(Exit::Code(7).code(), 7);
        assert_eq!(Exit::Code(7).to_string(), "exited 7");
        let killed = Exit::Signal { name: "KILL".into(), core_dumped: false };
        assert_eq!(killed.code(), 137);
        assert_eq!(killed.to_string(), "killed by SIGKILL");
        assert_eq!(Exit::Unknown.code(), 255);
        let odd = Exit::Signal { name: "\u{1b}[2J".into(), core_dumped: true };
        assert_eq!(odd.code(), 255);
        assert!(!odd.to_string().contains('\u{1b}'), "a name from the remote stays printable");
    }
}
