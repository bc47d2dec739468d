//! Messages of the gateway: one JSON object per TEXT message, its type in `t`.

use serde::Serialize;
use uuid::Uuid;

use super::{INPUT_WINDOW, MAX_FRAME, VERSION, WINDOW};
use crate::model::{Exit, StageError, StageEvent, StageState, escape_control};
use crate::session::Limit;

/// The longest text of an error, in bytes; it may quote the instance.
const MAX_TEXT: usize = 4096;

/// A message of the gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "t", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Message {
    /// The answer to `attach`.
    Hello {
        /// The protocol's version.
        v: u32,
        /// The session's id.
        session: Uuid,
        /// The token of a later `attach`; null if sessions cannot be resumed.
        resume_token: Option<String>,
        /// The position of the next byte of output.
        out_off: u64,
        /// The position that the next byte of input has.
        in_off: u64,
        /// The client's limits.
        limits: Limits,
        /// The gateway's capabilities.
        caps: Caps,
    },
    /// A stage of connecting.
    Stage {
        /// Its name.
        name: &'static str,
        /// Its duration; absent when it has just started.
        #[serde(skip_serializing_if = "Option::is_none")]
        ms: Option<f64>,
    },
    /// The terminal took the input up to this position.
    Ack {
        /// The position.
        r#in: u64,
    },
    /// The answer to a ping.
    Pong {
        /// The ping's number.
        t0: u64,
        /// Time spent in the gateway, in microseconds.
        gateway_us: u64,
        /// The last round-trip time between gateway and instance, in microseconds; null if not yet known.
        ssh_us: Option<u64>,
    },
    /// The session will end.
    Warn {
        /// The limit.
        what: &'static str,
        /// The time left, in seconds.
        secs: u64,
    },
    /// The process in the terminal ended; the socket is closed with 1000 next. At most one member is present, none if
    /// the instance reported neither.
    Exit {
        /// Its status.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u32>,
        /// The signal that ended it, without `SIG`.
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<String>,
    },
    /// An error; the socket is closed next.
    Error {
        /// The failed stage, if any.
        #[serde(skip_serializing_if = "Option::is_none")]
        stage: Option<&'static str>,
        /// A code for programs.
        code: &'static str,
        /// A message for people.
        message: String,
        /// The hint.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        /// AWS's request id.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    },
}

/// The client's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// The most bytes of a message after its opcode.
    pub max_frame: usize,
    /// The most bytes of output sent beyond the last `ack`.
    pub window: u64,
    /// The most bytes of input beyond the last `ack`.
    pub in_window: u64,
}

/// The gateway's capabilities. An absent one is not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Caps {
    /// A session outlives its socket and can be resumed.
    pub resume: bool,
    /// A viewer that falls behind gets a snapshot of the screen.
    pub snapshot: bool,
    /// A session outlives its tunnel.
    pub rotate: bool,
    /// Several sockets may attach to one session.
    pub watch: bool,
}

impl Message {
    /// Returns the answer to an `attach` that started the session `session`.
    #[must_use]
    pub fn hello(session: Uuid) -> Self {
        Self::Hello {
            v: VERSION,
            session,
            resume_token: None,
            out_off: 0,
            in_off: 0,
            limits: Limits { max_frame: MAX_FRAME, window: WINDOW, in_window: INPUT_WINDOW },
            caps: Caps { resume: false, snapshot: false, rotate: false, watch: false },
        }
    }

    /// Returns the message for a stage; a failed one is reported by the error.
    #[must_use]
    pub fn stage(event: StageEvent) -> Option<Self> {
        let ms = match event.state {
            StageState::Started => None,
            // Rounded to microseconds for readability.
            StageState::Passed(took) => Some(took.as_micros() as f64 / 1000.0),
            _ => return None,
        };
        Some(Self::Stage { name: event.stage.name(), ms })
    }

    /// Returns the warning of a limit.
    #[must_use]
    pub fn warn(limit: Limit, left: std::time::Duration) -> Self {
        let what = match limit {
            Limit::Idle => "idle",
            _ => "max",
        };
        Self::Warn { what, secs: left.as_secs().max(1) }
    }

    /// Returns the exit of the terminal's process.
    #[must_use]
    pub fn exit(exit: &Exit) -> Self {
        match exit {
            Exit::Code(code) => Self::Exit { code: Some(*code), signal: None },
            Exit::Signal { name, .. } => Self::Exit { code: None, signal: Some(escape_control(name)) },
            Exit::Unknown => Self::Exit { code: None, signal: None },
        }
    }

    /// Returns the error of a failed stage.
    #[must_use]
    pub fn failed(error: &StageError) -> Self {
        Self::Error {
            stage: Some(error.stage().name()),
            code: error.fault().name(),
            message: bounded(error.chain()),
            hint: error.hint().map(|hint| bounded(escape_control(hint))),
            request_id: error.request_id().map(|id| bounded(escape_control(id))),
        }
    }

    /// Returns any other error: a code and a message.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::Error { stage: None, code, message: bounded(message.into()), hint: None, request_id: None }
    }

    /// Returns the message in wire format.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, numbers and flags cannot fail to serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Fault, Stage};

    #[test]
    fn messages_match_the_specification() {
        let hello = Message::hello(Uuid::nil()).to_json();
        assert_eq!(
            hello,
            "{\"t\":\"hello\",\"v\":1,\"session\":\"00000000-0000-0000-0000-000000000000\",\"resume_token\":null,\
             \"out_off\":0,\"in_off\":0,\"limits\":{\"max_frame\":65536,\"window\":524288,\"in_window\":1048576},\
             \"caps\":{\"resume\":false,\"snapshot\":false,\"rotate\":false,\"watch\":false}}"
        );
        let stage = |state| Message::stage(StageEvent::new(Stage::Tls, state)).map(|m| m.to_json());
        assert_eq!(stage(StageState::Started).unwrap(), "{\"t\":\"stage\",\"name\":\"tls\"}");
        let passed = StageState::Passed(Duration::from_micros(12_300));
        assert_eq!(stage(passed).unwrap(), "{\"t\":\"stage\",\"name\":\"tls\",\"ms\":12.3}");
        assert_eq!(stage(StageState::Failed(Duration::ZERO)), None);
        assert_eq!(Message::Ack { r#in: 7 }.to_json(), "{\"t\":\"ack\",\"in\":7}");
        assert_eq!(Message::exit(&Exit::Code(0)).to_json(), "{\"t\":\"exit\",\"code\":0}");
        let killed = Exit::Signal { name: "KI\u{1b}LL".into(), core_dumped: false };
        assert_eq!(Message::exit(&killed).to_json(), "{\"t\":\"exit\",\"signal\":\"KI\\\\u{1b}LL\"}");
        let warn = Message::warn(Limit::Idle, Duration::from_secs(60)).to_json();
        assert_eq!(warn, "{\"t\":\"warn\",\"what\":\"idle\",\"secs\":60}");
    }

    #[test]
    fn error_has_stage_message_and_hint() {
        let error = StageError::new(Stage::KeyPush, Fault::Denied, "AWS refuses the key")
            .with_hint("allow it")
            .with_request_id(Some("1-2".into()));
        assert_eq!(
            Message::failed(&error).to_json(),
            "{\"t\":\"error\",\"stage\":\"key-push\",\"code\":\"denied\",\"message\":\"AWS refuses the key\",\
             \"hint\":\"allow it\",\"request_id\":\"1-2\"}"
        );
        let long = Message::error("x", "\u{20ac}".repeat(MAX_TEXT)).to_json();
        assert!(long.len() < MAX_TEXT + 100);
    }
}
