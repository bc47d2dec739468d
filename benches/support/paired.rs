//! Two ways of doing one thing, timed in turns.
//!
//! Criterion measures one subject after the other, so that a machine whose speed drifts favours one of them.
//! Here the two alternate within one run and what is compared is pairs, so the ratio holds where an absolute
//! time would not.

use std::time::Duration;

/// The two subjects' figures, pair by pair, in whatever unit both share.
#[derive(Debug, Default)]
pub struct Pairs {
    ours: Vec<f64>,
    peer: Vec<f64>,
}

impl Pairs {
    /// Adds one pair.
    pub fn push(&mut self, ours: f64, peer: f64) {
        self.ours.push(ours);
        self.peer.push(peer);
    }

    /// Adds one pair of times, in milliseconds.
    pub fn push_times(&mut self, ours: Duration, peer: Duration) {
        self.push(millis(ours), millis(peer));
    }

    /// Prints one line: both medians with their spread, and the median of the ratios.
    pub fn report(&self, what: &str, unit: &str, peer: &str) {
        let ratios: Vec<f64> = self.ours.iter().zip(&self.peer).map(|(a, b)| a / b).collect();
        println!(
            "{what:<34} eice {} {unit} | {peer} {} {unit} | ratio {:.3} ({} pairs)",
            spread(&self.ours),
            spread(&self.peer),
            quantile(&ratios, 0.5),
            ratios.len(),
        );
    }
}

/// Milliseconds, with their fraction.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The value below which the share `q` of `values` lies.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * q).round() as usize).copied().unwrap_or(f64::NAN)
}

fn spread(values: &[f64]) -> String {
    format!("{:.2} [{:.2} .. {:.2}]", quantile(values, 0.5), quantile(values, 0.0), quantile(values, 1.0))
}
