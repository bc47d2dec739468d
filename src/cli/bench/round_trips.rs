//! Converts milliseconds to round trips: the time that a delay adds to a stage, divided by the time that it adds to a
//! round trip, is the number of round trips of the stage, on any machine.

use serde::Serialize;

use super::stages::Runs;

/// TCP's handshake. The emulator delays bytes, but the kernel completes the handshake before there are any. It takes
/// one round trip by definition (RFC 9293, section 3.5).
const TCP_ROUND_TRIPS: u32 = 1;

/// Round trips to the first byte of the prompt.
#[derive(Debug, Serialize)]
pub(super) struct RoundTrips {
    /// The delay added to each round trip.
    pub(super) rtt_ms: f64,
    pub(super) cold: Option<Count>,
    pub(super) warm: Option<Count>,
}

/// One kind of run, in round trips.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Count {
    /// The measured value, without TCP's handshake.
    pub(super) measured: f64,
    /// The measured value rounded, plus TCP's handshake, which is not delayed.
    pub(super) total: u32,
    pub(super) stages: Vec<StageCount>,
}

/// One stage, in round trips. Those of the key push overlap the others.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct StageCount {
    pub(super) name: &'static str,
    pub(super) measured: f64,
}

impl RoundTrips {
    /// Returns `None` before both kinds are measured. Uses the fastest run of each, since disturbances only add time.
    pub(super) fn of(rtt_ms: f64, cold: [&Runs; 2], warm: [&Runs; 2]) -> Option<Self> {
        let (cold, warm) = (Count::of(rtt_ms, cold), Count::of(rtt_ms, warm));
        (cold.is_some() || warm.is_some()).then_some(Self { rtt_ms, cold, warm })
    }
}

impl Count {
    fn of(rtt_ms: f64, [undelayed, delayed]: [&Runs; 2]) -> Option<Self> {
        let trips = |slow: f64, quick: f64| ((slow - quick) / rtt_ms * 100.0).round() / 100.0;
        let measured = trips(delayed.total_ms.as_ref()?.min, undelayed.total_ms.as_ref()?.min);
        let stages = delayed.stages.iter().filter_map(|slow| {
            let quick = undelayed.stage(slow.name)?;
            Some(StageCount { name: slow.name, measured: trips(slow.ms.min, quick.ms.min) })
        });
        // Negative and excessive values saturate.
        let total = measured.round() as u32 + TCP_ROUND_TRIPS;
        Some(Self { measured, total, stages: stages.collect() })
    }

    pub(super) fn stage(&self, name: &str) -> Option<f64> {
        self.stages.iter().find(|stage| stage.name == name).map(|stage| stage.measured)
    }
}

#[cfg(test)]
mod tests {
    use super::super::stages::{Run, Step};
    use super::*;

    fn runs(times: &[(f64, f64)]) -> Runs {
        let mut runs = Runs::default();
        for (tls, total_ms) in times {
            let stages = vec![Step { name: "tls", start_ms: 0.0, ms: *tls, waited_ms: 0.0 }];
            runs.push(Run { total_ms: *total_ms, stages });
        }
        runs
    }

    #[test]
    fn round_trips_use_fastest_runs() {
        let (quick, slow) = (runs(&[(5.0, 80.0), (3.0, 50.0)]), runs(&[(105.0, 990.0), (104.0, 953.0)]));
        let trips = RoundTrips::of(100.0, [&quick, &slow], [&quick, &Runs::default()]).unwrap();
        let cold = trips.cold.unwrap();
        assert_eq!((cold.measured, cold.total), (9.03, 10));
        assert_eq!(cold.stage("tls"), Some(1.01));
        assert_eq!(trips.warm, None);
        assert!(RoundTrips::of(100.0, [&quick, &Runs::default()], [&quick, &Runs::default()]).is_none());
    }
}
