//! How a copy goes, for a person: one bar for all of it.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::files::CopyEvent;
use crate::model::escape_control;

/// How often the bar is drawn at the most, a second: what is drawn may go over a slow line itself.
const DRAWS_A_SECOND: u8 = 10;

/// A bar with bytes, rate and the time that is left; files are counted beside it.
const BAR: &str = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}";

/// The same where nobody knows how much there is.
const SPINNER: &str = "{spinner} {bytes} {bytes_per_sec} {elapsed}";

/// Tells of a copy on stderr: a bar where that is a terminal, and a line for what is not copied.
#[derive(Debug)]
pub(crate) struct CopyProgress {
    is_shown: bool,
    is_quiet: bool,
    bar: OnceLock<ProgressBar>,
}

impl CopyProgress {
    /// Nothing at all when `quiet`, save for what fails.
    pub(crate) fn new(quiet: bool) -> Self {
        Self { is_shown: !quiet && io::stderr().is_terminal(), is_quiet: quiet, bar: OnceLock::new() }
    }

    /// Shows a bar for `bytes`, or for nobody knows how many.
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

    /// So many bytes more.
    pub(crate) fn moved(&self, bytes: u64) {
        if let Some(bar) = self.bar.get() {
            bar.inc(bytes);
        }
    }

    /// Tells of an event.
    pub(crate) fn on_event(&self, event: CopyEvent<'_>) {
        match event {
            CopyEvent::Planned { files, bytes } => self.start(Some(bytes), files),
            CopyEvent::Moved(bytes) => self.moved(bytes),
            CopyEvent::Skipped { path, what } if !self.is_quiet => {
                self.line(&format!("eice: skipped {}: {what}\n", escape_control(path)));
            }
            // Told at the end, with what to do about it.
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
