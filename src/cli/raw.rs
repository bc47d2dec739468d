//! Puts the local terminal in raw mode and restores it on every exit path.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{self, OptionalActions, Termios};

use crate::model::Size;

/// The mode to restore on a panic: the process has one controlling terminal.
static SAVED: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// Sets the panic hook once.
static HOOK: Once = Once::new();

/// The local terminal in raw mode, restored on drop.
///
/// Restored by `Drop` when the verb returns (signals make it return), and by a panic hook before the panic's message is
/// printed. Only SIGKILL leaves the terminal raw. A background job does not change the mode: it is the shell's then,
/// and changing it would stop the job (SIGTTOU).
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

    /// Restores the previous mode, for a stop (SIGTSTP) or the end.
    pub(crate) fn suspend(&self) {
        let _ = set(&self.fd, OptionalActions::Drain, &self.saved);
    }

    /// Enters raw mode again.
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

/// Sets the mode, unless another job is in the foreground.
fn set(fd: &OwnedFd, when: OptionalActions, mode: &Termios) -> io::Result<()> {
    if is_ours(fd) { Ok(termios::tcsetattr(fd, when, mode)?) } else { Ok(()) }
}

/// Returns whether this process is in the foreground of the terminal `fd`. True if it is not the controlling terminal.
pub(crate) fn is_ours(fd: impl AsFd) -> bool {
    termios::tcgetpgrp(fd).map_or(true, |foreground| foreground == rustix::process::getpgrp())
}

/// Returns the line ending for the terminal's current mode.
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

/// Returns the size of the terminal `fd`, within the bounds of [`Size`]; `None` if it is no terminal or reports 0x0.
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
    async fn mode_is_raw_until_drop() {
        let (pty, pts) = pty_process::open().unwrap();
        pty.resize(pty_process::Size::new(30, 100)).unwrap();
        // Both sides of a PTY share their attributes.
        let _keep = &pts;
        let before = termios::tcgetattr(&pty).unwrap();
        let raw = RawTerminal::enter(&pty).unwrap();
        let during = termios::tcgetattr(&pty).unwrap();
        assert_ne!(before.local_modes, during.local_modes);
        assert_eq!(size(&pty), Size::new(100, 30).ok());
        drop(raw);
        assert_eq!(termios::tcgetattr(&pty).unwrap().local_modes, before.local_modes);
        assert!(lock().is_none());

        // A panic restores the mode before its message is printed, even if the guard is leaked.
        let raw = std::mem::ManuallyDrop::new(RawTerminal::enter(&pty).unwrap());
        assert_ne!(termios::tcgetattr(&pty).unwrap().local_modes, before.local_modes);
        std::panic::catch_unwind(|| panic!("on purpose")).unwrap_err();
        assert_eq!(termios::tcgetattr(&pty).unwrap().local_modes, before.local_modes);
        drop(std::mem::ManuallyDrop::into_inner(raw));
    }

    #[test]
    fn non_terminal_is_refused() {
        let file = tempfile::tempfile().unwrap();
        assert!(RawTerminal::enter(&file).is_err());
        assert_eq!(size(&file), None);
    }
}
