//! Default signal actions for the processes that this one starts.

use std::fs;
use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// The signals by which a terminal ends or stops its jobs.
const TERMINAL_SIGNALS: [Signal; 5] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM, Signal::TSTP];

/// Makes programs that are started from now on begin with the default action for the signals of a terminal.
///
/// A shell without job control starts `program &` with SIGINT and SIGQUIT ignored, and `nohup` ignores SIGHUP. An ignored
/// signal stays ignored across `exec`, so Ctrl-C would do nothing in any shell that this process starts. A signal that has
/// a handler is reset by `exec`. Therefore each ignored signal gets a handler that does nothing; for this process the
/// effect is the same. Other signals are left alone. Does nothing on systems without Linux's `/proc`.
///
/// Needs a Tokio runtime with I/O.
///
/// # Errors
/// When the runtime cannot register a handler.
pub fn restore_default_signals() -> io::Result<()> {
    let ignored = ignored_signals();
    for number in TERMINAL_SIGNALS.map(Signal::as_raw) {
        if ignored & (1 << (number - 1)) != 0 {
            // The handler outlives the returned stream.
            drop(signal(SignalKind::from_raw(number))?);
        }
    }
    Ok(())
}

/// The signals that this process ignores: bit n - 1 is signal n.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read() {
        // Rust's start-up code ignores SIGPIPE and nothing else depends on how the tests are started.
        assert_ne!(ignored_signals() & (1 << (Signal::PIPE.as_raw() - 1)), 0);
        assert_eq!(ignored_signals() & (1 << (Signal::KILL.as_raw() - 1)), 0);
    }
}
