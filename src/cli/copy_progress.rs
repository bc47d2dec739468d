//! The progress bar of a copy.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::files::CopyEvent;
use crate::model::escape_control;

/// The most redraws per second: the terminal itself may be on a slow line.
const DRAWS_A_SECOND: u8 = 10;

/// A bar with bytes, rate and remaining time, followed by the file count.
const BAR: &str = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}";

/// The same for an unknown total.
const SPINNER: &str = "{spinner} {bytes} {bytes_per_sec} {elapsed}";

/// Reports a copy on stderr: a bar if that is a terminal, and a line for each file that is not copied.
#[derive(Debug)]
pub(crate) struct CopyProgress {
    is_shown: bool,
    is_quiet: bool,
    bar: OnceLock<ProgressBar>,
}

impl CopyProgress {
    /// With `quiet`, reports failures only.
    pub(crate) fn new(quiet: bool) -> Self {
        Self { is_shown: !quiet && io::stderr().is_terminal(), is_quiet: quiet, bar: OnceLock::new() }
    }

    /// Shows a bar for `bytes`, or for an unknown total.
    pub(crate) fn start(&self, bytes: Option<u64>, files: u64) {
        if !self.is_shown {
            return;
        }
        let template = if bytes.is_some() { BAR } else { SPINNER };
        let bar = bytes.map_or_else(ProgressBar::no_length, ProgressBar::new);
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS_A_SECOND));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(if files == 1 { "1 file".to_owned() } else { format!("{files} files") });
        bar.tick();
        let _ = self.bar.set(bar);
    }

    /// Advances by `bytes`.
    pub(crate) fn moved(&self, bytes: u64) {
        if let Some(bar) = self.bar.get() {
            bar.inc(bytes);
        }
    }

    /// Reports an event.
    pub(crate) fn on_event(&self, event: CopyEvent<'_>) {
        match event {
            CopyEvent::Planned { files, bytes } => self.start(Some(bytes), files),
            CopyEvent::Moved(bytes) => self.moved(bytes),
            CopyEvent::Skipped { path, what } if !self.is_quiet => {
                self.line(&format!("eice: skipped {}: {what}\n", escape_control(path)));
            }
            // Reported at the end, with a hint.
            _ => {}
        }
    }

    /// Erases the bar.
    pub(crate) fn clear(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }

    fn line(&self, line: &str) {
        match self.bar.get() {
            Some(bar) => bar.suspend(|| super::say(line)),
            None => super::say(line),
        }
    }
}

impl Drop for CopyProgress {
    fn drop(&mut self) {
        self.clear();
    }
}
