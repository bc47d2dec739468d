//! A program on its own pseudoterminal, as a user runs it.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};

use pty_process::blocking::{Command, Pty};
use rustix::termios::{self, Termios};

use super::process::Process;
use super::program::EICE;
use super::reaper;
use super::signals::restore_default_signals;
use super::wait::{WAIT_TIMEOUT, eventually, poll};

/// A program in the foreground of a terminal. Its stderr goes to a file, to distinguish it, or to the terminal as well.
pub(crate) struct Tty {
    pty: Arc<Pty>,
    child: std::process::Child,
    pub(crate) process: Process,
    before: Termios,
    said: Arc<Mutex<Vec<u8>>>,
    read_to: usize,
}

impl Tty {
    /// Starts `eice ARGS` in a terminal of 100x30; the environment has only `env` and `home`.
    #[track_caller]
    pub(crate) fn start(args: &[&str], env: &[(&str, String)], home: &Path, stderr: Option<&Path>) -> Self {
        Self::of(Path::new(EICE), args, env, home, stderr)
    }

    /// The same with another program than `eice`.
    #[track_caller]
    pub(crate) fn of(
        program: &Path,
        args: &[&str],
        env: &[(&str, String)],
        home: &Path,
        stderr: Option<&Path>,
    ) -> Self {
        restore_default_signals();
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(30, 100)).unwrap();
        let before = termios::tcgetattr(&pty).unwrap();
        let mut command = Command::new(program).args(args).env_clear().env("HOME", home).env("TERM", "xterm");
        command = command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for (name, value) in env {
            command = command.env(name, value);
        }
        if let Some(file) = stderr {
            command = command.stderr(fs::File::create(file).unwrap());
        }
        let child = command.spawn(pts).unwrap();
        let process = Process::find(child.id()).expect("it runs");
        reaper::ends(&process);
        let (pty, said) = (Arc::new(pty), Arc::new(Mutex::new(Vec::new())));
        let (reader, heard) = (Arc::clone(&pty), Arc::clone(&said));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An error is the end: no process has the terminal open any more.
            while let Ok(read @ 1..) = (&*reader).read(&mut buffer) {
                heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
            }
        });
        Self { pty, child, process, before, said, read_to: 0 }
    }

    /// Types `text` verbatim.
    pub(crate) fn types(&self, text: &str) {
        (&*self.pty).write_all(text.as_bytes()).unwrap();
    }

    /// Resizes the window; the kernel notifies the program.
    pub(crate) fn resize(&self, rows: u16, cols: u16) {
        self.pty.resize(pty_process::Size::new(rows, cols)).unwrap();
    }

    /// Returns the whole output so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until `text` is printed after the text that was waited for before.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) {
        let (said, from) = (Arc::clone(&self.said), self.read_to);
        let found = poll(WAIT_TIMEOUT, || {
            let said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said[from..].windows(text.len()).position(|window| window == text.as_bytes())
        });
        let at = found.unwrap_or_else(|| panic!("no {text:?} in {:?}", self.said()));
        self.read_to = from + at + text.len();
    }

    /// Returns whether the terminal has the mode that it had before the program started.
    pub(crate) fn is_restored(&self) -> bool {
        let now = termios::tcgetattr(&*self.pty).unwrap();
        (now.local_modes, now.input_modes, now.output_modes, now.control_modes)
            == (
                self.before.local_modes,
                self.before.input_modes,
                self.before.output_modes,
                self.before.control_modes,
            )
    }

    /// Waits for the end of the program and asserts that it has restored the terminal's mode.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> ExitStatus {
        let (said, child) = (Arc::clone(&self.said), &mut self.child);
        let status = eventually("the program ends", || child.try_wait().unwrap());
        let text = String::from_utf8_lossy(&said.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
        assert!(self.is_restored(), "the terminal is left in another mode: {status}: {text}");
        status
    }

    /// Returns whether the program is stopped, as by Ctrl-Z.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.pid)).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
