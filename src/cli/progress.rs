//! Prints the stages of connecting on stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use crate::model::{Stage, StageEvent, StageObserver, StageState};

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing.
    Quiet,
    /// One line that is rewritten and erased at the end.
    Line,
    /// A line for each stage, kept.
    Lines,
}

impl Mode {
    /// Chooses by the flags and the terminal: a rewritten line only if stderr is a terminal.
    pub(crate) fn choose(quiet: bool, verbose: bool) -> Self {
        match (quiet, verbose) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Lines,
            (false, false) if io::stderr().is_terminal() => Self::Line,
            (false, false) => Self::Quiet,
        }
    }
}

/// Prints stages. Never fails and never blocks for long: output that stderr does not accept is dropped.
pub(crate) struct Progress {
    mode: Mode,
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    running: Vec<Stage>,
    shown: bool,
}

impl Progress {
    /// Prints in `mode` on stderr.
    pub(crate) fn new(mode: Mode) -> Self {
        Self::to(mode, Box::new(io::stderr()))
    }

    fn to(mode: Mode, out: Box<dyn Write + Send>) -> Self {
        Self { mode, state: Mutex::new(State { out, running: Vec::new(), shown: false }) }
    }

    /// Erases the rewritten line, so that what follows starts on an empty one.
    pub(crate) fn clear(&self) {
        if let Ok(mut state) = self.state.lock()
            && state.shown
        {
            state.shown = false;
            let _ = state.out.write_all(b"\r\x1b[2K");
            let _ = state.out.flush();
        }
    }
}

impl StageObserver for Progress {
    fn on_stage(&self, event: StageEvent) {
        if self.mode == Mode::Quiet {
            return;
        }
        let Ok(mut state) = self.state.lock() else { return };
        let stage = event.stage;
        let ended = match event.state {
            StageState::Started => {
                state.running.push(stage);
                None
            }
            StageState::Passed(took) => Some(("", took)),
            StageState::Failed(took) => Some((" failed", took)),
        };
        if ended.is_some() {
            state.running.retain(|running| *running != stage);
        }
        let line = match (self.mode, ended) {
            (Mode::Lines, Some((how, took))) => format!("eice: {stage}{how} {}\n", millis(took)),
            (Mode::Line, _) if !state.running.is_empty() => {
                let running: Vec<_> = state.running.iter().map(|stage| stage.name()).collect();
                state.shown = true;
                format!("\r\x1b[2Keice: {} …", running.join(", "))
            }
            _ => return,
        };
        let _ = state.out.write_all(line.as_bytes());
        let _ = state.out.flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Formats milliseconds, with tenths below ten.
fn millis(took: Duration) -> String {
    let ms = took.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(data);
            Ok(data.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printed(mode: Mode, events: &[StageEvent]) -> String {
        let out = Shared::default();
        let progress = Progress::to(mode, Box::new(out.clone()));
        for event in events {
            progress.on_stage(*event);
        }
        drop(progress);
        let bytes = out.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn modes_print_their_lines() {
        let events = [
            StageEvent::new(Stage::KeyPush, StageState::Started),
            StageEvent::new(Stage::Tcp, StageState::Started),
            StageEvent::new(Stage::Tcp, StageState::Passed(Duration::from_micros(1234))),
            StageEvent::new(Stage::KeyPush, StageState::Failed(Duration::from_millis(40))),
        ];
        assert_eq!(printed(Mode::Quiet, &events), "");
        assert_eq!(printed(Mode::Lines, &events), "eice: tcp 1.2 ms\neice: key-push failed 40 ms\n");
        let line = printed(Mode::Line, &events);
        assert!(line.contains("eice: key-push, tcp …"), "{line:?}");
        assert!(line.ends_with("\r\x1b[2K"), "the line is erased: {line:?}");
    }
}
