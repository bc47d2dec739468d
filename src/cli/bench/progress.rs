//! A progress bar on stderr, if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The redraw interval of the bar.
const TICK: Duration = Duration::from_millis(200);

/// A progress bar, hidden unless stderr is a terminal.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Creates a bar of `steps`, hidden when `quiet`.
    pub(super) fn new(steps: u64, quiet: bool) -> Self {
        // Indicatif hides its stderr target when that is no terminal.
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(steps), target);
        if let Ok(style) = ProgressStyle::with_template("eice: {msg:<24} {wide_bar} {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Shows what is being measured.
    pub(super) fn doing(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }

    /// Advances by one step.
    pub(super) fn step(&self) {
        self.0.inc(1);
    }

    /// Prints a line on stderr without breaking the bar.
    pub(super) fn say(&self, line: &str) {
        self.0.suspend(|| crate::cli::say(line));
    }

    /// Erases the bar.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
