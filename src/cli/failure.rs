//! How a verb fails: in plain words on stderr, with an exit code.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::exit;
use crate::model::{StageError, error_chain, escape_control};

/// Why a verb ended without success.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
    details: Vec<String>,
    hint: Option<String>,
    request_id: Option<String>,
}

impl Failure {
    /// Ends with `code`, saying `message`: one sentence without a full stop.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), hint: None, request_id: None }
    }

    /// Ends with `code`, saying `message` and the chain of `cause`.
    pub fn because(code: u8, message: impl Into<String>, cause: &(dyn Error + 'static)) -> Self {
        let message: String = message.into();
        Self::new(code, format!("{message}: {}", error_chain(cause)))
    }

    /// Ends with `code`, saying the chain of `error`.
    #[cfg(feature = "client")]
    pub fn chain(code: u8, error: &(dyn Error + 'static)) -> Self {
        Self::new(code, error_chain(error))
    }

    /// The same with `code` in place of its own.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The same without what to do about it, where that is said once for several.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn without_hint(mut self) -> Self {
        self.hint = None;
        self
    }

    /// Adds lines of detail between the message and the hint.
    #[must_use]
    pub fn with_details<L: Into<String>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.details.extend(lines.into_iter().map(Into::into));
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What went wrong, in one sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The lines of detail.
    #[cfg(feature = "gateway")]
    #[must_use]
    pub fn details(&self) -> &[String] {
        &self.details
    }

    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }

    /// What to do about it.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The same for a program: what is not there is null.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "code": self.code,
            "message": self.message,
            "details": self.details,
            "hint": self.hint,
            "request_id": self.request_id,
        })
    }

    /// The lines as a person reads them, without control characters, the last one ended.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("eice: {}\n", escape_control(&self.message));
        for line in &self.details {
            let _ = writeln!(text, "  {}", escape_control(line));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "  hint: {}", escape_control(hint));
        }
        if let Some(id) = &self.request_id {
            let _ = writeln!(text, "  request id: {}", escape_control(id));
        }
        text
    }

    /// Writes the lines to stderr. A stderr that is gone is no reason to fail in another way.
    pub fn report(&self) {
        let _ = io::stderr().lock().write_all(self.render().as_bytes());
    }
}

impl From<StageError> for Failure {
    fn from(error: StageError) -> Self {
        Self {
            code: exit::code(error.fault()),
            message: format!("{}: {}", error.stage(), error.chain()),
            details: Vec::new(),
            hint: error.hint().map(str::to_owned),
            request_id: error.request_id().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fault, Stage};

    #[test]
    fn stage_error_has_every_part() {
        let error = StageError::new(Stage::KeyPush, Fault::Denied, "AWS refuses SendSSHPublicKey")
            .with_source(io::Error::other("AccessDenied\u{1b}[2J"))
            .with_hint("allow ec2-instance-connect:SendSSHPublicKey")
            .with_request_id(Some("1234-5678".into()));
        let failure = Failure::from(error);
        assert_eq!(failure.code(), 77);
        assert_eq!(
            failure.render(),
            "eice: key-push: AWS refuses SendSSHPublicKey: AccessDenied\\u{1b}[2J\n  \
             hint: allow ec2-instance-connect:SendSSHPublicKey\n  request id: 1234-5678\n"
        );
    }

    #[test]
    fn failure_prints_the_error_chain() {
        let inner = io::Error::other("in use");
        let failure = Failure::because(exit::UNAVAILABLE, "cannot listen on 127.0.0.1:1", &inner);
        assert_eq!(failure.render(), "eice: cannot listen on 127.0.0.1:1: in use\n");
    }
}
