//! A passphrase, asked for on the terminal without showing what is typed.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// The longest line that is read, in bytes.
const MAX_LEN: u64 = 1024;

/// Asks with `prompt` on the process's terminal, whatever stdin is. Dropping the future restores the terminal.
///
/// # Errors
/// There is no terminal, or it ended.
pub(in crate::cli) async fn ask(prompt: &str) -> io::Result<Zeroizing<String>> {
    let tty = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let reader = tty.try_clone()?;
    let mut silent = Silent::start(tty)?;
    silent.tty.write_all(prompt.as_bytes())?;
    // A thread of its own: a read of a terminal cannot be interrupted, and the runtime would wait for it.
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

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Silent {
    tty: File,
    before: Termios,
}

impl Silent {
    fn start(tty: File) -> io::Result<Self> {
        let before = tcgetattr(&tty)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&tty, OptionalActions::Flush, &silent)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.tty, OptionalActions::Now, &self.before);
    }
}
