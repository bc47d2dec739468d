//! How far it is: a bar on stderr, where that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the bar moves by itself.
const TICK: Duration = Duration::from_millis(200);

/// A bar that is seen on a terminal only.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar of `steps`, unseen when `quiet`.
    pub(super) fn new(steps: u64, quiet: bool) -> Self {
        // Indicatif's own target is hidden where stderr is no terminal.
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(steps), target);
        if let Ok(style) = ProgressStyle::with_template("eice: {msg:<24} {wide_bar} {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Says what is being measured.
    pub(super) fn doing(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }

    /// One step is done.
    pub(super) fn step(&self) {
        self.0.inc(1);
    }

    /// Says a line on stderr without breaking the bar.
    pub(super) fn say(&self, line: &str) {
        self.0.suspend(|| crate::cli::say(line));
    }

    /// Erases it.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
