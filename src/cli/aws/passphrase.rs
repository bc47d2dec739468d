//! Prompts on the terminal without echo.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// The maximum length of a line, in bytes.
const MAX_LEN: u64 = 1024;

/// Prompts on the controlling terminal, whatever stdin is. Dropping the future restores the terminal.
///
/// # Errors
/// There is no terminal, or its input ended.
pub(in crate::cli) async fn ask(prompt: &str) -> io::Result<Zeroizing<String>> {
    let tty = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let reader = tty.try_clone()?;
    let mut silent = EchoOff::start(tty)?;
    silent.tty.write_all(prompt.as_bytes())?;
    // Use a thread: a read of a terminal cannot be interrupted, and the runtime would wait for it at shutdown.
    let (send, line) = oneshot::channel();
    std::thread::Builder::new().name("passphrase".into()).spawn(move || {
        let mut line = Zeroizing::new(String::new());
        let read = BufReader::new(io::Read::take(reader, MAX_LEN)).read_line(&mut line);
        let _ = send.send(read.map(|read| (read, line)));
    })?;
    let (read, mut line) = line.await.map_err(io::Error::other)??;
    silent.tty.write_all(b"\n")?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let kept = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(kept);
    Ok(line)
}

/// Disables echo on the terminal until it is dropped.
struct EchoOff {
    tty: File,
    before: Termios,
}

impl EchoOff {
    fn start(tty: File) -> io::Result<Self> {
        let before = tcgetattr(&tty)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&tty, OptionalActions::Flush, &silent)?;
        Ok(Self { tty, before })
    }
}

impl Drop for EchoOff {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.tty, OptionalActions::Now, &self.before);
    }
}
