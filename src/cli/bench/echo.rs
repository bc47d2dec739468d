//! Latency of keystroke echoes.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::timeout;

use super::stats::{Summary, millis};
use crate::model::{Terminal, TerminalEvent};

/// Echoes each key by a process behind a PTY in raw mode, as a shell's line editor or a full-screen program does. It
/// prints [`READY`] first, which the command line does not contain.
pub(super) const COMMAND: &str = "stty raw -echo; printf 'eice-''ready'; exec cat";

const READY: &[u8] = b"eice-ready";

/// How long the instance may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes read before it is ready: prompts, banners, an echoed command line.
const MAX_BEFORE_READY: usize = 256 * 1024;
/// The most characters of the output in an error.
const MAX_TAIL: usize = 300;
/// How long an echo may take.
const KEY_TIMEOUT: Duration = Duration::from_secs(10);
/// Keystrokes before those that are counted.
const WARM_UP_KEYS: u32 = 5;

/// The histogram's upper bound, in microseconds: longer than any echo takes.
const MAX_MICROS: u64 = 60_000_000;
/// Significant decimal digits of each time in the histogram.
const SIGNIFICANT_FIGURES: u8 = 3;

/// How keys are typed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Typing {
    pub(super) keys: u32,
    /// The mean pause before a key, uniformly distributed between half and one and a half times it. Varying pauses
    /// reveal a peer that polls.
    pub(super) think: Duration,
}

/// Waits until the instance is ready to echo; `first` is the output so far.
///
/// # Errors
/// When the terminal ends first, which is reported with its output, or prints too much or too little.
pub(super) async fn ready(terminal: &mut Terminal, first: &[u8]) -> io::Result<()> {
    let mut seen = first.to_vec();
    let reading = async {
        while !seen.windows(READY.len()).any(|window| window == READY) {
            if seen.len() > MAX_BEFORE_READY {
                return Err(io::Error::other("the instance prints too much"));
            }
            match output(terminal).await {
                Ok(bytes) => seen.extend_from_slice(&bytes),
                Err(error) => return Err(io::Error::other(format!("{error}{}", tail(&seen)))),
            }
        }
        Ok(())
    };
    timeout(READY_TIMEOUT, reading).await.unwrap_or_else(|_| {
        Err(io::Error::other(format!("the instance is not ready after {} s", READY_TIMEOUT.as_secs())))
    })
}

/// Returns the end of the output, for an error.
fn tail(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let text = text.trim();
    match text.char_indices().rev().nth(MAX_TAIL) {
        _ if text.is_empty() => String::new(),
        Some((start, _)) => format!(": …{}", text.get(start..).unwrap_or_default()),
        None => format!(": {text}"),
    }
}

/// Types into an echoing terminal and passes the time of each echo to `on_key`.
///
/// # Errors
/// When the terminal ends, or echoes another byte than was sent.
pub(super) async fn keystrokes(
    terminal: &mut Terminal,
    typing: Typing,
    mut on_key: impl FnMut(Duration),
) -> io::Result<()> {
    for key in 0..WARM_UP_KEYS + typing.keys {
        if !typing.think.is_zero() {
            tokio::time::sleep(typing.think.mul_f64(rand::random_range(0.5..1.5))).await;
        }
        // A letter is neither a control byte nor the start of an escape sequence.
        let byte = b'a' + u8::try_from(key % 26).unwrap_or_default();
        let start = Instant::now();
        let echoed = async {
            terminal.input.write(Bytes::copy_from_slice(&[byte])).await?;
            output(terminal).await
        };
        let echoed = timeout(KEY_TIMEOUT, echoed).await.unwrap_or_else(|_| {
            Err(io::Error::other(format!("a key did not come back within {} s", KEY_TIMEOUT.as_secs())))
        })?;
        let took = start.elapsed();
        if echoed[..] != [byte] {
            let text = String::from_utf8_lossy(&echoed).into_owned();
            return Err(io::Error::other(format!("{text:?} came back for {:?}", char::from(byte))));
        }
        if key >= WARM_UP_KEYS {
            on_key(took);
        }
    }
    Ok(())
}

/// Returns the next output, at least one byte.
async fn output(terminal: &mut Terminal) -> io::Result<Bytes> {
    loop {
        match terminal.output.next().await {
            Some(Ok(TerminalEvent::Output(bytes))) if bytes.is_empty() => {}
            Some(Ok(TerminalEvent::Output(bytes) | TerminalEvent::Stderr(bytes))) => return Ok(bytes),
            Some(Ok(TerminalEvent::Exit(exit))) => {
                return Err(io::Error::other(format!("the instance {exit}")));
            }
            Some(Err(error)) => return Err(error),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The echoes of one subject.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Echo {
    pub(super) count: u64,
    /// Percentiles in milliseconds, from a histogram with three significant figures.
    pub(super) p50_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    /// The buckets of the histogram, each with its upper bound in milliseconds.
    pub(super) histogram: Vec<Bucket>,
    /// The time of each echo in milliseconds, in order.
    pub(super) samples: Vec<f64>,
}

/// A bucket of the histogram.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Bucket {
    /// Upper bound; the lower bound is that of the previous bucket.
    pub(super) up_to_ms: f64,
    pub(super) count: u64,
}

impl Echo {
    /// Returns `None` without keystrokes.
    pub(super) fn of(times: &[Duration]) -> Option<Self> {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, MAX_MICROS, SIGNIFICANT_FIGURES).ok()?;
        for time in times {
            histogram.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
        if histogram.is_empty() {
            return None;
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        // Buckets double from 1/16 ms: coarse enough to read, fine enough to show two peaks.
        let buckets = histogram.iter_log(62, 2.0).filter(|step| step.count_since_last_iteration() > 0);
        let buckets = buckets.map(|step| Bucket {
            up_to_ms: step.value_iterated_to() as f64 / 1e3,
            count: step.count_since_last_iteration(),
        });
        Some(Self {
            count: histogram.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: histogram.max() as f64 / 1e3,
            histogram: buckets.collect(),
            samples: times.iter().copied().map(millis).collect(),
        })
    }
}

/// Returns the median in milliseconds, which is a round's figure in a comparison.
pub(super) fn median_ms(times: &[Duration]) -> Option<f64> {
    Some(Summary::of(times.iter().copied().map(millis).collect())?.median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Size, local};

    #[test]
    fn percentiles_and_buckets_cover_keys() {
        let times: Vec<_> = (1..=1000).map(|n| Duration::from_micros(n * 100)).collect();
        let echo = Echo::of(&times).unwrap();
        assert_eq!(echo.count, 1000);
        assert!((echo.p50_ms - 50.0).abs() < 0.1 && (echo.p99_ms - 99.0).abs() < 0.2, "{echo:?}");
        assert!(echo.p50_ms <= echo.p90_ms && echo.p90_ms <= echo.p99_ms && echo.p99_ms <= echo.max_ms);
        assert_eq!(echo.histogram.iter().map(|bucket| bucket.count).sum::<u64>(), 1000);
        assert!(echo.histogram.windows(2).all(|pair| pair[0].up_to_ms < pair[1].up_to_ms));
        assert_eq!(echo.samples.len(), 1000);
        assert!(Echo::of(&[]).is_none());
    }

    #[tokio::test]
    async fn keys_echo_from_real_pty() {
        let shell = local::Command::new("/bin/sh").args(["-c", COMMAND]).env([("PATH", "/usr/bin:/bin")]);
        let mut terminal = local::spawn(shell, Size::default()).unwrap();
        ready(&mut terminal, b"").await.unwrap();
        let mut times = Vec::new();
        let typing = Typing { keys: 30, think: Duration::ZERO };
        keystrokes(&mut terminal, typing, |took| times.push(took)).await.unwrap();
        assert_eq!(times.len(), 30);
        terminal.control.close().await;
    }

    #[tokio::test]
    async fn wrong_echo_is_an_error() {
        let shell = local::Command::new("/bin/sh")
            .args(["-c", "stty raw -echo; printf eice-ready; exec tr a-z b-za"])
            .env([("PATH", "/usr/bin:/bin")]);
        let mut terminal = local::spawn(shell, Size::default()).unwrap();
        ready(&mut terminal, b"").await.unwrap();
        terminal.input.write(Bytes::from(vec![b'x'; 3000])).await.unwrap();
        let typing = Typing { keys: 1, think: Duration::ZERO };
        let error = keystrokes(&mut terminal, typing, |_| {}).await.unwrap_err();
        assert!(error.to_string().contains("came back for 'a'"), "{error}");
        terminal.control.close().await;

        let silent = local::Command::new("/bin/sh").args(["-c", "echo no such host; exit 3"]);
        let mut terminal = local::spawn(silent, Size::default()).unwrap();
        let error = ready(&mut terminal, b"").await.unwrap_err();
        assert!(error.to_string().contains("exited 3: no such host"), "{error}");
        assert!(tail(&[b'x'; 1000]).starts_with(": …xxx"));
    }
}
