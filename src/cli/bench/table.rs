//! The report as text.

use std::fmt::Write as _;

use super::compare;
use super::echo::Echo;
use super::report::{Ended, Report};
use super::round_trips::Count;
use super::stages::Runs;
use super::stats::Summary;
use super::throughput::Throughput;

/// Width of a waterfall, in columns.
const WATERFALL: usize = 32;
/// Width of a histogram, in columns.
const HISTOGRAM: usize = 40;

/// Renders the report as text.
pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    let (target, machine) = (&report.target, &report.machine);
    let _ = writeln!(
        out,
        "eice {}{} to {} {}, {} cores, {}{}",
        report.eice.version,
        if report.eice.optimised { "" } else { " (not an optimised build)" },
        target.kind,
        target.instance,
        machine.cores,
        machine.kernel.as_deref().unwrap_or("unknown kernel"),
        report.plan.delay_ms.map_or_else(String::new, |ms| format!(", delayed by {ms} ms each way")),
    );
    let trips = report.round_trips.as_ref();
    prompt(&mut out, "nothing cached", &report.time_to_prompt.cold, trips.and_then(|t| t.cold.as_ref()));
    prompt(&mut out, "lookups cached", &report.time_to_prompt.warm, trips.and_then(|t| t.warm.as_ref()));
    if trips.is_some() {
        out.push_str(
            "\nround trips: what the delay added, divided by twice the delay. TCP's own is answered before the\n\
             delay begins and is added to the total.\n",
        );
    }
    if let Some(found) = &report.echo {
        echo(&mut out, found, report.plan.think_ms);
    }
    if let Some(found) = &report.throughput {
        throughput(&mut out, found);
    }
    if let Some(found) = &report.comparison {
        comparison(&mut out, found);
    }
    match report.ended {
        Ended::Complete => {}
        Ended::Interrupted => out.push_str("\nInterrupted: these are the figures so far.\n"),
        Ended::TimedOut => out.push_str("\nOut of time: these are the figures so far.\n"),
        Ended::Failed => out.push_str("\nIt failed: these are the figures so far.\n"),
    }
    out
}

fn prompt(out: &mut String, what: &str, runs: &Runs, trips: Option<&Count>) {
    let Some(total) = &runs.total_ms else { return };
    let _ = writeln!(out, "\nTime to prompt, {what}: {} runs, ms", total.count);
    let head = if trips.is_some() { "  trips" } else { "" };
    let _ = writeln!(out, "  {:<15}{:>8}{:>9}{:>9}{:>9}{head}", "stage", "start", "median", "min", "max");
    for stage in &runs.stages {
        let (start, ms) = (stage.start_ms.median, &stage.ms);
        let _ = write!(out, "  {:<15}{start:>8.1}{}", stage.name, times(ms));
        if let Some(trips) = trips {
            let _ = match trips.stage(stage.name) {
                // Adding zero removes the sign of a negative zero.
                Some(count) if stage.name != "tcp" => {
                    write!(out, "{:>7.1}", (count * 10.0).round() / 10.0 + 0.0)
                }
                _ => write!(out, "{:>7}", if stage.name == "tcp" { "1" } else { "" }),
            };
        }
        let _ = writeln!(out, "  {}", bar(start, ms.median, total.median));
    }
    let _ = write!(out, "  {:<15}{:>8}{}", "total", "", times(total));
    if let Some(trips) = trips {
        let _ = write!(out, "{:>7}", trips.total);
    }
    out.push('\n');
}

fn times(summary: &Summary) -> String {
    format!("{:>9.1}{:>9.1}{:>9.1}", summary.median, summary.min, summary.max)
}

/// Draws a stage on the time line of the run.
fn bar(start: f64, ms: f64, total: f64) -> String {
    let column = |at: f64| ((at / total.max(1e-9) * WATERFALL as f64).round() as usize).min(WATERFALL);
    let first = column(start).min(WATERFALL - 1);
    let last = column(start + ms).max(first + 1);
    format!("|{}{}{}|", " ".repeat(first), "#".repeat(last - first), " ".repeat(WATERFALL - last))
}

fn echo(out: &mut String, echo: &Echo, think_ms: u32) {
    let _ = writeln!(
        out,
        "\nKeystroke echo: {} keys about {think_ms} ms apart, ms\n  p50 {:.2}   p90 {:.2}   p99 {:.2}   max {:.2}",
        echo.count, echo.p50_ms, echo.p90_ms, echo.p99_ms, echo.max_ms
    );
    let most = echo.histogram.iter().map(|bucket| bucket.count).max().unwrap_or(1).max(1);
    for bucket in &echo.histogram {
        let width = (bucket.count as f64 / most as f64 * HISTOGRAM as f64).ceil() as usize;
        let _ = writeln!(out, "  up to {:>9.2}  {} {}", bucket.up_to_ms, "#".repeat(width), bucket.count);
    }
}

fn throughput(out: &mut String, found: &Throughput) {
    let mib = found.bytes as f64 / f64::from(1 << 20);
    let _ = writeln!(out, "\nThroughput: {mib} MiB a run, every byte checked, MiB/s");
    for (way, rates) in [("down", &found.down_mib_s), ("up", &found.up_mib_s)] {
        if let Some(rates) = rates {
            let _ = writeln!(
                out,
                "  {way:<5} median {:.1}   min {:.1}   max {:.1}   ({} runs)",
                rates.median, rates.min, rates.max, rates.count
            );
        }
    }
}

fn comparison(out: &mut String, found: &compare::Report) {
    let rounds =
        found.subjects.iter().filter_map(|subject| subject.prompt_ms.as_ref()).map(|s| s.count).max();
    let _ = writeln!(
        out,
        "\nIn turns, {} rounds, each a program from its start; in brackets eice's by the peer's, median of the rounds",
        rounds.unwrap_or(0)
    );
    let _ = writeln!(
        out,
        "  {:<12}{:>20}{:>19}{:>18}{:>18}",
        "", "first byte, ms", "echo p50, ms", "down, MiB/s", "up, MiB/s"
    );
    for subject in &found.subjects {
        let ratios = found.ratios.iter().find(|ratios| ratios.peer == subject.name);
        let bulk = subject.throughput.as_ref();
        let figure = |figure: Option<f64>, ratio: Option<&Summary>| {
            let figure = figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.1}"));
            let ratio = ratio.map_or_else(String::new, |ratio| format!("({:.2})", ratio.median));
            format!("{figure} {ratio:>7}")
        };
        let median = |summary: Option<&Summary>| summary.map(|summary| summary.median);
        let _ = writeln!(
            out,
            "  {:<12}{:>20}{:>19}{:>18}{:>18}",
            subject.name,
            figure(median(subject.prompt_ms.as_ref()), ratios.and_then(|r| r.prompt.as_ref())),
            figure(subject.echo.as_ref().map(|echo| echo.p50_ms), ratios.and_then(|r| r.echo.as_ref())),
            figure(median(bulk.and_then(|b| b.down_mib_s.as_ref())), ratios.and_then(|r| r.down.as_ref())),
            figure(median(bulk.and_then(|b| b.up_mib_s.as_ref())), ratios.and_then(|r| r.up.as_ref())),
        );
    }
    for subject in &found.subjects {
        let version = subject.version.as_deref().unwrap_or("unknown version");
        let _ = writeln!(out, "  {:<12}{} ({version})", subject.name, subject.what);
    }
    for left in &found.left_out {
        let _ = writeln!(out, "  left out: {}: {}", left.name, left.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waterfall_stays_in_columns() {
        assert_eq!(bar(0.0, 50.0, 100.0), format!("|{}{}|", "#".repeat(16), " ".repeat(16)));
        assert_eq!(bar(50.0, 0.0, 100.0), format!("|{}#{}|", " ".repeat(16), " ".repeat(15)));
        // A stage that ends after the median total, and a total of zero, stay within the columns.
        for (start, ms, total) in
            [(99.9, 0.0, 100.0), (120.0, 10.0, 100.0), (0.0, 0.0, 0.0), (0.0, 500.0, 1.0)]
        {
            assert_eq!(bar(start, ms, total).len(), WATERFALL + 2);
        }
    }
}
