//! `eice host-keys list`.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use eice_proto::Timestamp;
use serde::Serialize;

use super::{FileHostKeys, Name, place, print, unusable};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::ssh::host_keys::{HostKeyScope, Pin};

/// Shows what is pinned: whose key, its fingerprint, how it came here and when it was seen.
#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// Only these, by instance id or full scope
    #[arg(value_name = "INSTANCE")]
    names: Vec<Name>,

    /// One array of JSON, for a script
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    scope: String,
    partition: String,
    account: String,
    region: String,
    instance: String,
    algorithm: String,
    fingerprint: String,
    key: String,
    origin: &'static str,
    first_seen: String,
    last_seen: Option<String>,
}

impl Row {
    fn new(scope: &HostKeyScope, pin: &Pin) -> Self {
        let fingerprint = pin.key.fingerprint();
        Self {
            scope: scope.to_string(),
            partition: scope.partition().to_owned(),
            account: scope.account().to_owned(),
            region: scope.region().to_owned(),
            instance: scope.instance().to_string(),
            algorithm: fingerprint.algorithm().to_owned(),
            fingerprint: fingerprint.sha256().to_owned(),
            key: pin.key.to_openssh(),
            origin: pin.origin.name(),
            first_seen: moment(pin.first_seen),
            last_seen: pin.last_seen.map(moment),
        }
    }
}

pub(super) fn run(args: &ListArgs, store: &FileHostKeys) -> Result<u8, Failure> {
    let pins = store.read().map_err(unusable)?;
    let is_meant =
        |scope: &HostKeyScope| args.names.is_empty() || args.names.iter().any(|name| name.means(scope));
    let rows: Vec<Row> =
        pins.iter().filter(|(scope, _)| is_meant(scope)).map(|(scope, pin)| Row::new(scope, pin)).collect();
    if args.json {
        let text = serde_json::to_string_pretty(&rows)
            .map_err(|error| Failure::because(exit::INTERNAL, "cannot write JSON", &error))?;
        return print(&format!("{text}\n"));
    }
    if rows.is_empty() {
        crate::cli::say(&format!("eice: no host key is pinned in {}\n", place(store)));
        return Ok(exit::OK);
    }
    print(&table(&rows))
}

/// Renders the rows as a table.
fn table(rows: &[Row]) -> String {
    let head = ["SCOPE", "ALGORITHM", "FINGERPRINT", "ORIGIN", "FIRST SEEN", "LAST SEEN"].map(str::to_owned);
    let cells = |row: &Row| {
        // To the minute; seconds are not useful here.
        let short = |moment: &str| moment.get(..16).unwrap_or(moment).replace('T', " ");
        [
            row.scope.clone(),
            row.algorithm.clone(),
            row.fingerprint.clone(),
            row.origin.to_owned(),
            short(&row.first_seen),
            row.last_seen.as_deref().map_or("-".to_owned(), short),
        ]
    };
    let lines: Vec<_> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    let mut widths = [0; 6];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.len());
        }
    }
    let mut text = String::new();
    for line in lines {
        let padded: Vec<_> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", padded.join("  ").trim_end());
    }
    text
}

/// Formats seconds since the epoch as RFC 3339, in UTC.
fn moment(seconds: u64) -> String {
    let Some(at) = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) else { return "-".to_owned() };
    // 20261124T081500Z
    let plain = Timestamp::from(at).to_string();
    let part = |range: std::ops::Range<usize>| plain.get(range).unwrap_or_default();
    format!("{}-{}-{}T{}:{}:{}Z", part(0..4), part(4..6), part(6..8), part(9..11), part(11..13), part(13..15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_is_rfc_3339() {
        assert_eq!(moment(0), "1970-01-01T00:00:00Z");
        assert_eq!(moment(1_795_508_100), "2026-11-24T08:15:00Z");
    }
}
