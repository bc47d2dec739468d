//! The local terminal in raw mode, and back again on every way out.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{self, OptionalActions, Termios};

use crate::model::Size;

/// What a panic has to restore: the process has one controlling terminal.
static SAVED: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// Sets the panic hook once.
static HOOK: Once = Once::new();

/// The local terminal, in raw mode until this is dropped.
///
/// Restored by `Drop` when the verb returns (signals make it return), and by a panic hook before the panic's
/// message is printed. Only SIGKILL leaves a raw terminal behind. A job in the background leaves the terminal alone:
/// its mode is then that of the shell, and touching it would stop the job (SIGTTOU).
pub(crate) struct RawTerminal {
    fd: OwnedFd,
    saved: Termios,
}

impl RawTerminal {
    /// Puts the terminal `fd` in raw mode.
    ///
    /// # Errors
    /// When `fd` is not a terminal.
    pub(crate) fn enter(fd: impl AsFd) -> io::Result<Self> {
        let fd = fd.as_fd().try_clone_to_owned()?;
        let saved = termios::tcgetattr(&fd)?;
        let terminal = Self { fd, saved };
        *lock() = Some((terminal.fd.try_clone()?, terminal.saved.clone()));
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                if let Some((fd, saved)) = lock().as_ref() {
                    let _ = set(fd, OptionalActions::Now, saved);
                }
                previous(info);
            }));
        });
        terminal.resume()?;
        Ok(terminal)
    }

    /// Goes back to the mode from before, for a stop (SIGTSTP) or the end.
    pub(crate) fn suspend(&self) {
        let _ = set(&self.fd, OptionalActions::Drain, &self.saved);
    }

    /// Goes raw again.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn resume(&self) -> io::Result<()> {
        let mut raw = self.saved.clone();
        raw.make_raw();
        set(&self.fd, OptionalActions::Now, &raw)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        self.suspend();
        lock().take();
    }
}

/// Sets the mode, unless another job has the terminal.
fn set(fd: &OwnedFd, when: OptionalActions, mode: &Termios) -> io::Result<()> {
    if is_ours(fd) { Ok(termios::tcsetattr(fd, when, mode)?) } else { Ok(()) }
}

/// Whether we are the job that has the terminal `fd`. One that is not the controlling terminal has no jobs.
pub(crate) fn is_ours(fd: impl AsFd) -> bool {
    termios::tcgetpgrp(fd).map_or(true, |foreground| foreground == rustix::process::getpgrp())
}

/// What ends a line on the local terminal in the mode that it is in.
pub(crate) fn line_end() -> &'static str {
    if lock().is_some() { "\r\n" } else { "\n" }
}

impl fmt::Debug for RawTerminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawTerminal").finish_non_exhaustive()
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<(OwnedFd, Termios)>> {
    SAVED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The size of the terminal `fd`, within the bounds of [`Size`]; `None` when it is no terminal or says 0x0.
#[must_use]
pub(crate) fn size(fd: impl AsFd) -> Option<Size> {
    let size = termios::tcgetwinsize(fd).ok()?;
    if size.ws_col == 0 || size.ws_row == 0 {
        return None;
    }
    Size::new(size.ws_col.min(Size::MAX), size.ws_row.min(Size::MAX)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_terminal_is_raw_while_the_guard_lives_and_as_before_afterwards() {
        let (pty, pts) = pty_process::open().unwrap();
        pty.resize(pty_process::Size::new(30, 100)).unwrap();
        // The master and the slave share their attributes.
        let _keep = &pts;
        let before = termios::tcgetattr(&pty).unwrap();
        let raw = RawTerminal::enter(&pty).unwrap();
        let during = termios::tcgetattr(&pty).unwrap();
        assert_ne!(before.local_modes, during.local_modes);
        assert_eq!(size(&pty), Size::new(100, 30).ok());
        drop(raw);
        assert_eq!(termios::tcgetattr(&pty).unwrap().local_modes, before.local_modes);
        assert!(lock().is_none());

        // A panic puts it back before its message is printed, whatever becomes of the guard.
        let raw = std::mem::ManuallyDrop::new(RawTerminal::enter(&pty).unwrap());
        assert_ne!(termios::tcgetattr(&pty).unwrap().local_modes, before.local_modes);
        std::panic::catch_unwind(|| panic!("on purpose")).unwrap_err();
        assert_eq!(termios::tcgetattr(&pty).unwrap().local_modes, before.local_modes);
        drop(std::mem::ManuallyDrop::into_inner(raw));
    }

    #[test]
    fn what_is_no_terminal_is_refused_and_has_no_size() {
        let file = tempfile::tempfile().unwrap();
        assert!(RawTerminal::enter(&file).is_err());
        assert_eq!(size(&file), None);
    }
}
