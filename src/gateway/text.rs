//! The last line of text that a legacy viewer reads.

use crate::model::{Fault, Stage, StageError, escape_control};
use crate::session::{End, Kill, Limit};

/// The end of a session for its viewer: a last line, a close code and a short reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EndMessage {
    pub(super) line: Option<String>,
    pub(super) code: u16,
    pub(super) reason: String,
}

/// A normal end.
const NORMAL: u16 = 1000;
/// The gateway is shutting down: reconnect.
const GOING_AWAY: u16 = 1001;
/// A fault of the gateway.
const INTERNAL: u16 = 1011;
/// The viewer may no longer open the workspace.
const DENIED: u16 = 4403;
/// The session was ended.
const GONE: u16 = 4404;
/// Idle for too long.
const IDLE: u16 = 4408;
/// Maximum duration reached.
const MAX_DURATION: u16 = 4410;
/// A quota is exhausted, such as the endpoint's tunnels.
const QUOTA: u16 = 4429;
/// The target failed.
const UPSTREAM: u16 = 4500;

/// The longest line, in bytes: it quotes texts of the instance.
const MAX_LINE: usize = 4096;

/// The longest reason of a close frame, in bytes (RFC 6455, section 5.5: 125 less the code).
const MAX_REASON: usize = 123;

impl EndMessage {
    /// Returns the message for `end`; `None` if the session ended without one.
    pub(super) fn new(end: Option<&End>) -> Self {
        match end {
            Some(End::Exit(_)) => Self { line: None, code: NORMAL, reason: String::new() },
            Some(End::Drained) => Self::with(
                "The gateway is restarting. Reconnect to go on.".into(),
                GOING_AWAY,
                "gateway restarting".into(),
            ),
            Some(End::Limit(Limit::Idle)) => {
                Self::with("The terminal was idle for too long.".into(), IDLE, "idle".into())
            }
            Some(End::Limit(_)) => Self::with(
                "The terminal has been open for as long as one may be.".into(),
                MAX_DURATION,
                "maximum duration".into(),
            ),
            Some(End::Killed(Kill::Revoked)) => Self::with(
                "You may not open this workspace any more.".into(),
                DENIED,
                "access revoked".into(),
            ),
            Some(End::Killed(_)) => {
                Self::with("The terminal was ended by an operator.".into(), GONE, "ended".into())
            }
            Some(End::Failed(error)) if error.fault() == Fault::Quota => {
                Self::with(failure(error), QUOTA, "quota".into())
            }
            Some(End::Failed(error)) => {
                Self::with(failure(error), UPSTREAM, format!("{} failed", error.stage()))
            }
            Some(End::Broken(error)) => Self::with(
                format!(
                    "Error: the connection to the workspace broke: {}",
                    escape_control(&error.to_string())
                ),
                UPSTREAM,
                "connection broken".into(),
            ),
            None => Self::with("Error: internal error".into(), INTERNAL, "internal error".into()),
        }
    }

    fn with(line: String, code: u16, reason: String) -> Self {
        let line = Some(truncated(line, MAX_LINE - 2) + "\r\n");
        Self { line, code, reason: truncated(reason, MAX_REASON) }
    }
}

/// Returns the line that warns of a limit; a full-screen program overwrites it.
pub(super) fn warning(limit: Limit, left: std::time::Duration) -> String {
    let seconds = left.as_secs().max(1);
    match limit {
        Limit::Idle => format!("\r\nThis terminal is idle and will be closed in {seconds} s.\r\n"),
        _ => format!("\r\nThis terminal will be closed in {seconds} s: it has been open for long.\r\n"),
    }
}

/// Returns the line for a failed stage: `EIC wiring incomplete: stage: chain. hint` if the setup on AWS is at fault,
/// `Error: stage: chain. hint` otherwise.
fn failure(error: &StageError) -> String {
    let prefix = if is_wiring(error) { "EIC wiring incomplete" } else { "Error" };
    let mut line = format!("{prefix}: {}: {}", error.stage(), error.chain());
    if let Some(hint) = error.hint() {
        line.push_str(". ");
        line.push_str(&escape_control(hint));
    }
    if let Some(request_id) = error.request_id() {
        line.push_str(" (AWS request id ");
        line.push_str(&escape_control(request_id));
        line.push(')');
    }
    line
}

/// Returns whether the setup on AWS is at fault (credentials, IAM, endpoint, key push, tunnel, security group, the
/// instance's EC2 Instance Connect), and not the workspace, a quota or this program.
fn is_wiring(error: &StageError) -> bool {
    match (error.stage(), error.fault()) {
        (_, Fault::Quota | Fault::Internal | Fault::Usage) => false,
        // A stopped or terminated instance is not a wiring fault.
        (Stage::Instance, Fault::State | Fault::NotFound) => false,
        (Stage::Authentication, fault) => fault == Fault::Authentication,
        (stage, _) => (Stage::Credentials..=Stage::Banner).contains(&stage),
    }
}

fn truncated(mut text: String, max: usize) -> String {
    if text.len() > max {
        let end = (0..=max.saturating_sub('…'.len_utf8())).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Exit;

    fn line(error: StageError) -> String {
        EndMessage::new(Some(&End::Failed(error))).line.unwrap()
    }

    #[test]
    fn wiring_fault_has_stage_and_hint() {
        let error = StageError::new(Stage::KeyPush, Fault::Denied, "AWS refused the key")
            .with_source(std::io::Error::other("AccessDeniedException"))
            .with_hint("Allow ec2-instance-connect:SendSSHPublicKey")
            .with_request_id(Some("r-1".into()));
        assert_eq!(
            line(error),
            "EIC wiring incomplete: key-push: AWS refused the key: AccessDeniedException. \
             Allow ec2-instance-connect:SendSSHPublicKey (AWS request id r-1)\r\n"
        );
    }

    #[test]
    fn other_faults_are_plain_text() {
        for (stage, fault) in [
            (Stage::Instance, Fault::State),
            (Stage::Instance, Fault::NotFound),
            (Stage::Upgrade, Fault::Quota),
            (Stage::Shell, Fault::Remote),
            (Stage::KeyExchange, Fault::HostKey),
            (Stage::Workspace, Fault::Internal),
        ] {
            let line = line(StageError::new(stage, fault, "x"));
            assert_eq!(line, format!("Error: {stage}: x\r\n"));
        }
        for (stage, fault) in [
            (Stage::Credentials, Fault::Credentials),
            (Stage::Instance, Fault::Denied),
            (Stage::Endpoint, Fault::NotFound),
            (Stage::Endpoint, Fault::State),
            (Stage::Tls, Fault::Tls),
            (Stage::Upgrade, Fault::Network),
            (Stage::Banner, Fault::Timeout),
            (Stage::Authentication, Fault::Authentication),
        ] {
            assert!(line(StageError::new(stage, fault, "x")).starts_with("EIC wiring incomplete: "));
        }
    }

    #[test]
    fn texts_are_escaped_and_bounded() {
        let hostile = "\u{1b}]52;c;AAAA\u{7}\r\n\u{9b}31m".repeat(1000);
        let error = StageError::new(Stage::Upgrade, Fault::Protocol, hostile.clone())
            .with_hint(hostile.clone())
            .with_request_id(Some(hostile.clone()))
            .with_source(std::io::Error::other(hostile.clone()));
        for end in [End::Failed(error), End::Broken(std::io::Error::other(hostile))] {
            let message = EndMessage::new(Some(&end));
            let line = message.line.unwrap();
            let line = line.strip_suffix("\r\n").unwrap();
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert!(line.len() <= MAX_LINE && message.reason.len() <= MAX_REASON);
        }
        assert_eq!(truncated("\u{20ac}".repeat(9), 10), "\u{20ac}\u{20ac}\u{2026}");
    }

    #[test]
    fn exit_closes_with_1000() {
        let message = EndMessage::new(Some(&End::Exit(Exit::Code(3))));
        assert_eq!(message, EndMessage { line: None, code: 1000, reason: String::new() });
        assert_eq!(EndMessage::new(Some(&End::Drained)).code, 1001);
        assert_eq!(EndMessage::new(None).code, 1011);
    }
}
