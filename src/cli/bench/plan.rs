//! The plan of a run: announced beforehand, and limits that need confirmation.

use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use super::BenchArgs;
use crate::cli::exit;
use crate::cli::failure::Failure;

/// More bytes than this through an endpoint need `--yes`.
const MAX_UNASKED_BYTES: u64 = 256 << 20;
/// More tunnels than this need `--yes`.
const MAX_UNASKED_TUNNELS: u64 = 200;
/// The most bytes of one transfer.
const MAX_BYTES: u64 = 1 << 30;
/// The fewest bytes of one transfer: below, only the first packets are measured.
const MIN_BYTES: u64 = 256 << 10;
/// Approximate traffic of opening and closing one connection: TLS, the upgrade, keys.
const BYTES_PER_TUNNEL: u64 = 16 << 10;
/// Approximate traffic of one keystroke: an SSH packet in a WebSocket frame in a TLS record, each way.
const BYTES_PER_KEY: u64 = 256;

/// A number of bytes: `1048576`, `512KiB`, `4MiB`, `1GiB`; `K`, `M` and `G` mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit {
            "" => 0,
            "K" | "KiB" => 10,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            _ => return Err("it must be a number of bytes, or of KiB, MiB or GiB".into()),
        };
        let number: u64 = number.parse().map_err(|_| "it must begin with a number".to_owned())?;
        match number.checked_mul(1 << shift) {
            Some(0) => Ok(Self(0)),
            Some(bytes) if (MIN_BYTES..=MAX_BYTES).contains(&bytes) => Ok(Self(bytes)),
            _ => Err(format!(
                "it must be 0 (not measured) or {} KiB to {} MiB",
                MIN_BYTES >> 10,
                MAX_BYTES >> 20
            )),
        }
    }
}

/// The plan of a run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Plan {
    pub(super) runs: u32,
    pub(super) warmup: u32,
    pub(super) keystrokes: u32,
    pub(super) think_ms: u32,
    pub(super) bytes: u64,
    pub(super) delay_ms: Option<u32>,
    /// Tunnels to open, at most two at a time.
    pub(super) tunnels: u64,
    /// Approximate bytes through the endpoint.
    pub(super) traffic_bytes: u64,
    /// Steps of the progress bar.
    #[serde(skip)]
    pub(super) steps: u64,
}

impl Plan {
    /// Returns the plan of `args` with these peers: for each, whether it uses the endpoint and whether it can run a
    /// command without a terminal.
    pub(super) fn new(args: &BenchArgs, peers: &[(bool, bool)]) -> Self {
        let (runs, warmup) = (u64::from(args.runs), u64::from(args.warmup));
        let (keys, bytes) = (u64::from(args.keystrokes), args.bytes.0);
        let delay_ms = args.delay_ms();
        let rounds = runs + warmup;
        let transfers = if bytes > 0 { 2 * runs } else { 0 };
        let prompts = rounds * if delay_ms.is_some() { 4 } else { 2 };
        let (mut tunnels, mut steps) =
            (prompts + u64::from(keys > 0) + transfers, prompts + keys + transfers);
        let (mut typed, mut moved) = (keys, transfers * bytes);
        for (through_endpoint, takes_commands) in peers {
            let transfers = if *takes_commands { transfers } else { 0 };
            let keys = u64::from(args.keys_per_round()) * runs;
            steps += rounds + transfers;
            if *through_endpoint {
                tunnels += rounds + transfers;
                typed += keys;
                moved += transfers * bytes;
            }
        }
        let traffic_bytes = moved + tunnels * BYTES_PER_TUNNEL + typed * BYTES_PER_KEY;
        Self {
            runs: args.runs,
            warmup: args.warmup,
            keystrokes: args.keystrokes,
            think_ms: args.think_ms,
            bytes,
            delay_ms,
            tunnels,
            traffic_bytes,
            steps,
        }
    }

    /// Returns the announcement.
    pub(super) fn announcement(&self) -> String {
        format!(
            "eice: this will open {} tunnels one after the other and move about {} through the endpoint\n  \
             EICE is for management traffic; bulk transfer is throttled\n",
            self.tunnels,
            size(self.traffic_bytes)
        )
    }

    /// Refuses a plan above the limits without `--yes`.
    pub(super) fn allowed(&self, yes: bool) -> Result<(), Failure> {
        if yes || (self.traffic_bytes <= MAX_UNASKED_BYTES && self.tunnels <= MAX_UNASKED_TUNNELS) {
            return Ok(());
        }
        let (tunnels, moved) = (self.tunnels, size(self.traffic_bytes));
        let message =
            format!("this would open {tunnels} tunnels and move about {moved} through the endpoint");
        let hint = format!(
            "--yes does it all the same; --bytes, --runs and --compare make it less: {MAX_UNASKED_TUNNELS} tunnels \
             and {} pass unasked",
            size(MAX_UNASKED_BYTES)
        );
        Err(Failure::new(exit::USAGE, message).with_hint(hint))
    }

    pub(super) fn think(&self) -> Duration {
        Duration::from_millis(self.think_ms.into())
    }
}

/// Formats a size in MiB, with tenths below ten.
fn size(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 10.0 { format!("{mib:.1} MiB") } else { format!("{mib:.0} MiB") }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn args(more: &[&str]) -> BenchArgs {
        Command::try_parse_from(["bench", "i-1"].iter().chain(more)).unwrap().args
    }

    #[test]
    fn byte_counts_have_units_and_limits() {
        for (text, bytes) in
            [("0", 0), ("4MiB", 4 << 20), ("512K", 512 << 10), ("1G", 1 << 30), ("262144", 262_144)]
        {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for bad in ["", "MiB", "4MB", "-1", "1K", "2GiB", "99999999999999999999", "18014398509481985K"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
    }

    #[test]
    fn large_plan_needs_yes() {
        let small = args(&["--runs", "3", "--warmup", "1", "--bytes", "1MiB", "--keystrokes", "10"]);
        let plan = Plan::new(&small, &[]);
        // Cold and warm in each of four rounds, one for the keystrokes, two for each of three transfers.
        assert_eq!(plan.tunnels, 8 + 1 + 6);
        assert!(plan.traffic_bytes > 6 << 20 && plan.traffic_bytes < 7 << 20);
        assert!(plan.announcement().contains("15 tunnels"), "{}", plan.announcement());
        assert!(plan.announcement().contains("6.2 MiB"), "{}", plan.announcement());
        plan.allowed(false).unwrap();
        // Direct ssh does not use the endpoint, and aws-cli's ssh cannot run a command.
        let compared = Plan::new(&small, &[(true, true), (false, true), (true, false)]);
        assert_eq!(compared.tunnels, plan.tunnels + (4 + 6) + 4);
        assert!(compared.steps > plan.steps);

        let big = Plan::new(&args(&["--runs", "5", "--bytes", "64MiB"]), &[]);
        assert_eq!(big.allowed(false).unwrap_err().code(), exit::USAGE);
        big.allowed(true).unwrap();
        let many = Plan::new(&args(&["--runs", "100", "--bytes", "0", "--keystrokes", "0"]), &[]);
        assert_eq!(many.traffic_bytes, many.tunnels * BYTES_PER_TUNNEL);
        assert!(many.allowed(false).is_err());
    }
}
