//! Medians and spreads.

use std::time::Duration;

use serde::Serialize;

/// A summary of samples, in their unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) count: usize,
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// The quartiles: half of the samples lie between them.
    pub(super) q1: f64,
    pub(super) q3: f64,
    /// All samples, in measured order.
    pub(super) samples: Vec<f64>,
}

impl Summary {
    /// Returns `None` without samples.
    pub(super) fn of(samples: Vec<f64>) -> Option<Self> {
        let mut sorted = samples.clone();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        Some(Self {
            count: samples.len(),
            median: quantile(&sorted, 0.5),
            min,
            max,
            q1: quantile(&sorted, 0.25),
            q3: quantile(&sorted, 0.75),
            samples,
        })
    }
}

/// Returns the quantile `q` (0 to 1) of sorted values, linearly interpolated.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * sorted.len().saturating_sub(1) as f64;
    let at = |index: f64| sorted.get(index as usize).copied().unwrap_or(f64::NAN);
    let (below, above) = (at(position.floor()), at(position.ceil()));
    below + (above - below) * position.fract()
}

/// Converts to milliseconds, rounded to microseconds.
pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_is_ordered_with_samples() {
        assert_eq!(Summary::of(Vec::new()), None);
        let one = Summary::of(vec![3.0]).unwrap();
        assert_eq!((one.min, one.q1, one.median, one.q3, one.max), (3.0, 3.0, 3.0, 3.0, 3.0));
        let four = Summary::of(vec![4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((four.min, four.q1, four.median, four.q3, four.max), (1.0, 1.75, 2.5, 3.25, 4.0));
        assert_eq!(four.samples, [4.0, 1.0, 3.0, 2.0]);
        assert_eq!(four.count, 4);
    }

    #[test]
    fn millis_keep_microseconds() {
        assert!((millis(Duration::from_nanos(1_234_567)) - 1.235).abs() < 1e-9);
    }
}
