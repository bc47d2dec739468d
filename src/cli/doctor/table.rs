//! The report as a table.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cli::exit;
use crate::model::{CheckOutcome, CheckResult, Fix, Report, Subject, escape_control};

/// The layout of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// Available columns; `None` is unlimited.
    pub(super) width: Option<usize>,
    /// Whether marks are colored.
    pub(super) colour: bool,
}

/// The width of the marks.
const MARK: usize = 4;
/// The width of the checks' names.
const NAME: usize = 15;
/// The width of a time.
const TIME: usize = 8;
/// The width of a request id.
const REQUEST_ID: usize = 36;
/// The gap between two columns.
const GAP: &str = "  ";
/// The width from which on request ids have a column.
const MIN_FOR_REQUEST_IDS: usize = 140;
/// The minimum width of a message; narrower terminals show it on separate lines.
const MIN_MESSAGE: usize = 24;
/// Indentation of lines below a row.
const INDENT: usize = 4;

/// Renders the table and, below it, what is missing.
pub(super) fn render(report: &Report, style: Style) -> String {
    let mut text = heading(report.subject());
    let with_ids = style.width.is_none_or(|width| width >= MIN_FOR_REQUEST_IDS)
        && report.steps().iter().any(|step| step.request_id.is_some());
    for step in report.steps() {
        row(&mut text, step, style, with_ids);
    }
    for step in report.steps() {
        if matches!(step.outcome, CheckOutcome::Failed | CheckOutcome::Warned) {
            remedy(&mut text, step, style, with_ids);
        }
    }
    let took = time(report.took());
    let verdict = match report.first_failure() {
        Some(step) => {
            let code = step.fault.map_or(exit::INTERNAL, exit::code);
            format!("The first failure is {} (exit code {code}), found in {took}.", step.name.name())
        }
        None if report.is_ok() => format!("A terminal opens; found in {took}."),
        None => format!("Not everything was reached; {took}."),
    };
    let _ = writeln!(text, "\n{verdict}");
    text
}

fn heading(subject: &Subject) -> String {
    let part = |before: &str, text: &Option<String>| match text {
        Some(text) => format!("{before}{}", escape_control(text)),
        None => String::new(),
    };
    let heading = [
        part("", &subject.instance),
        part(" as ", &subject.os_user),
        part(", container ", &subject.container),
        part(" in ", &subject.region),
        part(", by ", &subject.endpoint),
    ]
    .concat();
    if heading.is_empty() { heading } else { format!("{}\n\n", heading.trim_start()) }
}

fn row(text: &mut String, step: &CheckResult, style: Style, with_ids: bool) {
    let took = step.took.map(time).unwrap_or_default();
    let mark = mark(step.outcome, style.colour);
    let mut line = format!("{mark}{GAP}{:<NAME$}{GAP}{took:>TIME$}", step.name.name());
    let mut indent = MARK + NAME + TIME + 2 * GAP.len();
    if with_ids {
        let id = step.request_id.as_deref().map(escape_control).unwrap_or_default();
        let _ = write!(line, "{GAP}{id:<REQUEST_ID$}");
        indent += GAP.len() + REQUEST_ID;
    }
    indent += GAP.len();
    match style.width {
        None => {
            let _ = write!(line, "{GAP}{}", step.message);
        }
        Some(width) if width >= indent + MIN_MESSAGE => {
            let lines = wrap(&step.message, width - indent);
            for (n, part) in lines.iter().enumerate() {
                if n == 0 {
                    let _ = write!(line, "{GAP}{part}");
                } else {
                    let _ = write!(line, "\n{:indent$}{part}", "");
                }
            }
        }
        // A narrow one: the message has the lines below to itself.
        Some(width) => {
            for part in wrap(&step.message, width.saturating_sub(INDENT)) {
                let _ = write!(line, "\n{:INDENT$}{part}", "");
            }
        }
    }
    // A name may be followed by nothing at all.
    for part in line.lines() {
        text.push_str(part.trim_end());
        text.push('\n');
    }
}

/// Returns the mark of an outcome, [`MARK`] wide. Letters, so that every terminal shows it.
fn mark(outcome: CheckOutcome, colour: bool) -> String {
    let (mark, sgr) = match outcome {
        CheckOutcome::Passed => ("ok", "32"),
        CheckOutcome::Failed => ("FAIL", "1;31"),
        CheckOutcome::Warned => ("warn", "33"),
        CheckOutcome::NotReached => ("-", "2"),
        CheckOutcome::Skipped => ("skip", "2"),
    };
    if colour { format!("\x1b[{sgr}m{mark:<MARK$}\x1b[0m") } else { format!("{mark:<MARK$}") }
}

/// Appends the advice for a step, below the table.
fn remedy(text: &mut String, step: &CheckResult, style: Style, with_ids: bool) {
    if step.hint.is_none() && step.fixes.is_empty() {
        return;
    }
    let name = step.name.name();
    let width = style.width.map(|width| width.saturating_sub(INDENT));
    let _ = writeln!(text, "\n{name}:");
    if let Some(hint) = &step.hint {
        say(text, hint, width);
    }
    if let (Some(id), false) = (&step.request_id, with_ids) {
        say(text, &format!("request id: {}", escape_control(id)), width);
    }
    for fix in &step.fixes {
        match fix {
            Fix::IamStatement { statement } => {
                say(text, "Add this statement to an IAM policy of the caller:", width);
                // Verbatim, to be pasted.
                let json = serde_json::to_string_pretty(statement).unwrap_or_default();
                for line in json.lines() {
                    let _ = writeln!(text, "{:1$}{line}", "", INDENT + 2);
                }
            }
            Fix::SecurityGroupRule { group, direction, port, peer } => {
                let towards = if *direction == "inbound" { "from" } else { "to" };
                say(
                    text,
                    &format!("Add to {group} the {direction} rule: TCP {port} {towards} {peer}"),
                    width,
                );
            }
            Fix::Tag { resource, key, value } => {
                say(text, &format!("If the policy asks for it, tag {resource} with {key}={value}"), width);
            }
        }
    }
}

/// Appends a paragraph below the name of a check.
fn say(text: &mut String, what: &str, width: Option<usize>) {
    for line in wrap(what, width.unwrap_or(usize::MAX)) {
        let _ = writeln!(text, "{:INDENT$}{line}", "");
    }
}

fn time(took: Duration) -> String {
    let ms = took.as_secs_f64() * 1e3;
    if ms < 1000.0 { format!("{ms:.1} ms") } else { format!("{:.2} s", ms / 1e3) }
}

/// Wraps `text` between words to lines of at most `width` characters; a longer word gets its own line.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut room = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if length < room => {
                line.push(' ');
                line.push_str(word);
                room -= length + 1;
            }
            _ => {
                lines.push(word.to_owned());
                room = width.saturating_sub(length);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Check, Fault, Stage, StageError, Statement};

    fn report() -> Report {
        let denied = StageError::new(Stage::Upgrade, Fault::Denied, "the service refuses the tunnel")
            .with_hint(
                "allow ec2-instance-connect:OpenTunnel on the endpoint in the IAM policy of the caller",
            )
            .with_request_id(Some("8f7724cf-496f-496e-8fe3-0123456789ab".into()));
        let statement = Statement::allow("Tunnel", "ec2-instance-connect:OpenTunnel", "*");
        let steps = [
            CheckResult::new(
                Check::Credentials,
                CheckOutcome::Passed,
                "arn:aws:iam::123456789012:user/developer in eu-west-1",
            )
            .after(Some(Duration::from_micros(12_340)))
            .with_request_id(Some("0f7724cf-496f-496e-8fe3-0123456789ab".into())),
            CheckResult::failed(Check::Upgrade, &denied)
                .after(Some(Duration::from_millis(1234)))
                .with_fix(Fix::IamStatement { statement }),
        ];
        let steps = steps.into_iter().map(|step| (step.name, step)).collect();
        Report::new(Subject::default(), steps, Duration::from_secs(2))
    }

    #[test]
    fn narrow_terminal_wraps_words() {
        for width in [20, 40, 80, 120] {
            let text = render(&report(), Style { width: Some(width), colour: false });
            let statement = |line: &str| line.starts_with("      ") && line.contains('"');
            let is_word = |line: &str| !line.trim().contains(' ');
            for line in text.lines().filter(|line| !statement(line) && !is_word(line)) {
                // Mark, name and time always have their columns.
                let least = MARK + NAME + TIME + 2 * GAP.len();
                let is_verdict = line.starts_with("The first failure");
                assert!(line.chars().count() <= width.max(least) || is_verdict, "{width}: {line:?}");
            }
            assert!(
                text.contains("      \"Action\": \"ec2-instance-connect:OpenTunnel\""),
                "{width}: {text}"
            );
            assert!(text.contains("request id:"), "{width}: {text}");
        }
    }

    #[test]
    fn wide_output_has_request_ids() {
        for width in [None, Some(MIN_FOR_REQUEST_IDS)] {
            let text = render(&report(), Style { width, colour: false });
            let id = "0f7724cf-496f-496e-8fe3-0123456789ab";
            assert!(text.contains(&format!("ok    credentials       12.3 ms  {id}  arn:aws:iam")), "{text}");
            assert!(!text.contains("request id:"), "{text}");
            assert!(text.is_ascii(), "{text}");
        }
    }

    #[test]
    fn only_marks_are_colored() {
        let plain = render(&report(), Style { width: None, colour: false });
        let coloured = render(&report(), Style { width: None, colour: true });
        assert!(!plain.contains('\x1b'));
        assert!(coloured.contains("\x1b[1;31mFAIL\x1b[0m  upgrade"), "{coloured}");
        let mut stripped = coloured;
        for sgr in ["\x1b[32m", "\x1b[1;31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"] {
            stripped = stripped.replace(sgr, "");
        }
        assert_eq!(stripped, plain);
    }
}
