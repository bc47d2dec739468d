//! Errors of the shim: aws-cli's exit codes, and its texts where they are correct (`awscli/errorhandler.py`).

use std::fmt::Write as _;

use super::output::{self, Output};
use super::value::Value;
use crate::aws::{Action, AwsError, ErrorResponse};
use crate::connect;
use crate::model::{StageError, error_chain, escape_control};

/// The command line or a parameter is wrong.
pub(super) const PARAM_VALIDATION: u8 = 252;
/// No credentials or region, or something else is missing on this machine.
pub(super) const CONFIGURATION: u8 = 253;
/// AWS rejected the call.
pub(super) const CLIENT_ERROR: u8 = 254;
/// Everything else.
pub(super) const GENERAL: u8 = 255;

/// The suffix of all argparse errors.
pub(super) const USAGE: &str = "usage: aws [options] <command> <subcommand> [<subcommand> ...] [parameters]
To see help text, you can run:

  aws help
  aws <command> help
  aws <command> <subcommand> help
";

/// An error with its exit status.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShimError {
    pub(super) status: u8,
    text: Box<ErrorText>,
}

/// The texts of an error.
#[derive(Debug, Default, PartialEq, Eq)]
struct ErrorText {
    /// The code and the bare message, for errors that have a code in aws-cli.
    coded: Option<(String, String)>,
    /// The message in the `enhanced` format.
    message: String,
    /// Whether the message precedes the code in structured output, as in the API's JSON.
    message_first: bool,
    /// Text before the message.
    preface: String,
    /// Hint and request id, which aws-cli does not print.
    more: Vec<String>,
}

/// The error formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ErrorFormat {
    /// Message and code.
    #[default]
    Enhanced,
    /// The message alone.
    Legacy,
    /// Code and message as structured output.
    Data(Output),
}

impl ErrorFormat {
    /// Returns the format called `name`; unknown names select the default, as in aws-cli.
    pub(super) fn named(name: &str) -> Self {
        match name.to_lowercase().as_str() {
            "legacy" => Self::Legacy,
            "json" => Self::Data(Output::Json),
            "yaml" => Self::Data(Output::Yaml),
            "text" => Self::Data(Output::Text),
            "table" => Self::Data(Output::Table),
            _ => Self::Enhanced,
        }
    }
}

impl ShimError {
    fn new(status: u8, coded: Option<(String, String)>, message: String) -> Self {
        Self { status, text: Box::new(ErrorText { coded, message, ..ErrorText::default() }) }
    }

    fn coded(status: u8, code: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let enhanced = format!("An error occurred ({code}): {message}");
        Self::new(status, Some((code.to_owned(), message)), enhanced)
    }

    /// Returns the error for an invalid parameter.
    pub(super) fn param(message: impl Into<String>) -> Self {
        Self::coded(PARAM_VALIDATION, "ParamValidation", message)
    }

    /// Returns the error for an option value that cannot be parsed.
    pub(super) fn parameter(name: &str, why: &str) -> Self {
        Self::param(format!("Error parsing parameter '{name}': {why}"))
    }

    /// Returns an argparse error: `message`, followed by the usage.
    pub(super) fn usage(message: &str, usage: &str) -> Self {
        Self::param(format!("{message}\n\n{usage}"))
    }

    /// Returns the error for arguments that an API call does not have.
    pub(super) fn unknown(options: &[String]) -> Self {
        let message = format!("Unknown options: {}", options.join(", "));
        let mut error = Self::new(PARAM_VALIDATION, None, message);
        error.text.preface = format!("\n{USAGE}\n");
        error
    }

    /// Returns the error for missing configuration on this machine.
    pub(super) fn configuration(message: impl Into<String>) -> Self {
        Self::coded(CONFIGURATION, "Configuration", message)
    }

    /// Returns an error without a code.
    pub(super) fn general(message: impl Into<String>) -> Self {
        Self::new(GENERAL, None, message.into())
    }

    /// Returns the error that AWS would return for a value that is rejected locally.
    pub(super) fn refused(operation: &str, code: &str, message: &str) -> Self {
        Self::called(&format!("{operation} operation"), code, message)
    }

    fn called(operation: &str, code: &str, message: &str) -> Self {
        let enhanced = format!("An error occurred ({code}) when calling the {operation}: {message}");
        Self::new(CLIENT_ERROR, Some((code.to_owned(), message.to_owned())), enhanced)
    }

    /// Converts AWS's error response; `retries` is the number of retries, if there were any.
    fn from_response(response: &ErrorResponse, retries: Option<u32>) -> Self {
        let mut operation = format!("{} operation", response.action);
        if let Some(retries) = retries {
            // Writing to a String cannot fail.
            let _ = write!(operation, " (reached max retries: {retries})");
        }
        let mut error = Self::called(&operation, &response.code, &response.message);
        error.text.message_first = response.action == Action::SendSshPublicKey;
        error
    }

    /// Adds a hint.
    pub(super) fn with_hint(mut self, hint: Option<&str>) -> Self {
        self.text.more.extend(hint.map(|hint| format!("hint: {hint}")));
        self
    }

    fn with_request_id(mut self, id: Option<&str>) -> Self {
        self.text.more.extend(id.map(|id| format!("request id: {id}")));
        self
    }

    /// The message alone.
    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.text.message
    }

    /// Returns the error on one line.
    pub(super) fn on_one_line(&self) -> String {
        let more: String = self.text.more.iter().map(|line| format!(" ({line})")).collect();
        escape_control(&format!("{}{more}", self.text.message.replace('\n', " ")))
    }

    /// Returns the text for stderr.
    pub(super) fn render(&self, format: ErrorFormat, color: bool) -> String {
        let mut out = self.text.preface.clone();
        match (format, &self.text.coded) {
            (ErrorFormat::Data(form), Some((code, message))) => {
                let json_text = |value: &str| Value::Text(value.to_owned());
                let mut entries =
                    vec![("Code".to_owned(), json_text(code)), ("Message".to_owned(), json_text(message))];
                if self.text.message_first {
                    entries.reverse();
                }
                let data = Value::Map(entries);
                out.push_str(&output::render(form, "error", &data, color));
            }
            (ErrorFormat::Legacy, Some((_, message))) if self.status != CLIENT_ERROR => {
                sentence(&mut out, message);
            }
            _ => sentence(&mut out, &self.text.message),
        }
        for line in &self.text.more {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {}", escape_control(line));
        }
        out
    }
}

/// Appends a message. Line breaks are kept and other control characters escaped: parts of it come from the remote.
fn sentence(out: &mut String, message: &str) {
    out.push_str("\naws: [ERROR]:");
    for (n, line) in message.trim().split('\n').enumerate() {
        out.push(if n == 0 { ' ' } else { '\n' });
        out.push_str(&escape_control(line));
    }
    out.push('\n');
}

/// Converts an error of an AWS call with at most `attempts` attempts, or of its preparation.
pub(super) fn from_aws(error: &AwsError, attempts: u32) -> ShimError {
    use crate::aws::ChoiceError as Choice;
    if let Some(response) = error.response() {
        let is_retried = attempts > 1 && matches!(error, AwsError::Throttled(_) | AwsError::Service(_));
        return ShimError::from_response(response, is_retried.then(|| attempts - 1));
    }
    let none = "There are no available instance connect endpoints";
    match error {
        AwsError::NoRegion => ShimError::coded(
            CONFIGURATION,
            "NoRegion",
            "You must specify a region. You can also configure your region by running \"aws configure\".",
        ),
        AwsError::NoCredentials => ShimError::coded(
            CONFIGURATION,
            "NoCredentials",
            "Unable to locate credentials. You can configure credentials by running \"aws login\".",
        ),
        AwsError::NoProfile { name, .. } => {
            ShimError::general(format!("The config profile ({name}) could not be found"))
        }
        AwsError::PartialCredentials { provider, missing } => {
            ShimError::general(format!("Partial credentials found in {provider}, missing: {missing}"))
        }
        AwsError::LoginSession(_) => ShimError::general(format!(
            "Error loading login session token: {error}. Please reauthenticate using 'aws login'."
        ))
        .with_hint(error.hint().as_deref()),
        AwsError::Region(name) => ShimError::general(format!(
            "Provided region_name {} doesn't match a supported format.",
            super::python::repr(name)
        )),
        AwsError::Choice(choice) => match choice {
            Choice::NoEndpoint { .. } => ShimError::param(format!("{none}.")),
            Choice::NoSuchEndpoint { id } => ShimError::param(format!("{none} with {id}")),
            Choice::BeingCreated { .. } | Choice::EndpointState { .. } | Choice::AddressFamily { .. } => {
                ShimError::param(format!("{none}: {choice}"))
            }
            Choice::NoFipsName { .. } => ShimError::configuration("Unable to find FIPS Endpoint"),
            Choice::NoAddress { .. } => {
                ShimError::param("Unable to find any IP address on the instance to connect to.")
            }
            other => ShimError::general(other.to_string()).with_hint(error.hint().as_deref()),
        },
        AwsError::Network { host, .. } => ShimError::general(format!(
            "Could not connect to the endpoint URL: \"{host}\": {}",
            error_chain(error)
        ))
        .with_hint(error.hint().as_deref()),
        _ => ShimError::general(error_chain(error))
            .with_hint(error.hint().as_deref())
            .with_request_id(error.request_id()),
    }
}

impl From<StageError> for ShimError {
    fn from(error: StageError) -> Self {
        if let Some(response) = connect::refusal(&error) {
            return Self::from_response(response, None);
        }
        Self::general(format!("{}: {}", error.stage(), error.chain()))
            .with_hint(error.hint())
            .with_request_id(error.request_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_follows_its_format() {
        let error = ShimError::param("no");
        let rendered = |format| error.render(ErrorFormat::named(format), false);
        assert_eq!(rendered("enhanced"), "\naws: [ERROR]: An error occurred (ParamValidation): no\n");
        assert_eq!(rendered("nonsense"), rendered("enhanced"));
        assert_eq!(rendered("legacy"), "\naws: [ERROR]: no\n");
        assert_eq!(rendered("json"), "{\n    \"Code\": \"ParamValidation\",\n    \"Message\": \"no\"\n}\n");
        assert_eq!(rendered("text"), "ParamValidation\tno\n");
        assert_eq!(rendered("yaml"), "Code: ParamValidation\nMessage: no\n");
        let general = ShimError::general("broken").with_hint(Some("fix it"));
        assert_eq!(
            general.render(ErrorFormat::named("json"), false),
            "\naws: [ERROR]: broken\n  hint: fix it\n"
        );
        let refused = ShimError::refused("Op", "Code", "text");
        let sentence = "\naws: [ERROR]: An error occurred (Code) when calling the Op operation: text\n";
        assert_eq!(refused.render(ErrorFormat::Legacy, false), sentence);
    }

    #[test]
    fn control_characters_are_escaped() {
        let rendered = ShimError::general("a\u{1b}[2J\nb").render(ErrorFormat::Enhanced, false);
        assert_eq!(rendered, "\naws: [ERROR]: a\\u{1b}[2J\nb\n");
    }
}
