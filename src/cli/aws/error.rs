//! How the shim fails: aws-cli's exit codes, and its words where they are right (`awscli/errorhandler.py`).

use std::fmt::Write as _;

use super::output::{self, Output};
use super::value::Value;
use crate::aws::{Action, AwsError, ErrorResponse};
use crate::connect;
use crate::model::{StageError, error_chain, escape_control};

/// The command line or a parameter is wrong.
pub(super) const PARAM_VALIDATION: u8 = 252;
/// No credentials, no region, or something that is missing on this machine.
pub(super) const CONFIGURATION: u8 = 253;
/// AWS said no.
pub(super) const CLIENT_ERROR: u8 = 254;
/// Everything else.
pub(super) const GENERAL: u8 = 255;

/// What every argparse error ends with.
pub(super) const USAGE: &str = "usage: aws [options] <command> <subcommand> [<subcommand> ...] [parameters]
To see help text, you can run:

  aws help
  aws <command> help
  aws <command> <subcommand> help
";

/// Why the shim ends without success.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShimError {
    pub(super) status: u8,
    told: Box<Told>,
}

/// What is told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// The code and the message alone, where aws-cli knows a code.
    coded: Option<(String, String)>,
    /// The message as the `enhanced` format tells it.
    message: String,
    /// Whether the message stands before the code in data, as the JSON of an API has them.
    message_first: bool,
    /// What stands before the message.
    preface: String,
    /// What to do about it, and the request id: where aws-cli has nothing to say.
    more: Vec<String>,
}

/// The forms of an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ErrorFormat {
    /// The message with its code.
    #[default]
    Enhanced,
    /// The message alone.
    Legacy,
    /// Code and message as data.
    Data(Output),
}

impl ErrorFormat {
    /// The format that `name` means; one that does not exist is the default, as in aws-cli.
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
        Self { status, told: Box::new(Told { coded, message, ..Told::default() }) }
    }

    fn coded(status: u8, code: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let told = format!("An error occurred ({code}): {message}");
        Self::new(status, Some((code.to_owned(), message)), told)
    }

    /// A parameter is wrong.
    pub(super) fn param(message: impl Into<String>) -> Self {
        Self::coded(PARAM_VALIDATION, "ParamValidation", message)
    }

    /// The value of the option `name` cannot be read.
    pub(super) fn parameter(name: &str, why: &str) -> Self {
        Self::param(format!("Error parsing parameter '{name}': {why}"))
    }

    /// argparse's `message`, and its usage.
    pub(super) fn usage(message: &str, usage: &str) -> Self {
        Self::param(format!("{message}\n\n{usage}"))
    }

    /// Options or words that an API call does not know.
    pub(super) fn unknown(options: &[String]) -> Self {
        let message = format!("Unknown options: {}", options.join(", "));
        let mut error = Self::new(PARAM_VALIDATION, None, message);
        error.told.preface = format!("\n{USAGE}\n");
        error
    }

    /// Something is missing on this machine.
    pub(super) fn configuration(message: impl Into<String>) -> Self {
        Self::coded(CONFIGURATION, "Configuration", message)
    }

    /// Anything else.
    pub(super) fn general(message: impl Into<String>) -> Self {
        Self::new(GENERAL, None, message.into())
    }

    /// An answer that AWS would give, `code` with `message`, to a value that never gets so far.
    pub(super) fn refused(operation: &str, code: &str, message: &str) -> Self {
        Self::called(&format!("{operation} operation"), code, message)
    }

    fn called(operation: &str, code: &str, message: &str) -> Self {
        let told = format!("An error occurred ({code}) when calling the {operation}: {message}");
        Self::new(CLIENT_ERROR, Some((code.to_owned(), message.to_owned())), told)
    }

    /// AWS's refusal, after so many further tries where there were any.
    fn from_response(response: &ErrorResponse, retries: Option<u32>) -> Self {
        let mut operation = format!("{} operation", response.action);
        if let Some(retries) = retries {
            // Writing to a String cannot fail.
            let _ = write!(operation, " (reached max retries: {retries})");
        }
        let mut error = Self::called(&operation, &response.code, &response.message);
        error.told.message_first = response.action == Action::SendSshPublicKey;
        error
    }

    /// Adds what to do about it.
    pub(super) fn with_hint(mut self, hint: Option<&str>) -> Self {
        self.told.more.extend(hint.map(|hint| format!("hint: {hint}")));
        self
    }

    fn with_request_id(mut self, id: Option<&str>) -> Self {
        self.told.more.extend(id.map(|id| format!("request id: {id}")));
        self
    }

    /// The message alone.
    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.told.message
    }

    /// All of it on one line.
    pub(super) fn on_one_line(&self) -> String {
        let more: String = self.told.more.iter().map(|line| format!(" ({line})")).collect();
        escape_control(&format!("{}{more}", self.told.message.replace('\n', " ")))
    }

    /// What goes to stderr.
    pub(super) fn render(&self, format: ErrorFormat, color: bool) -> String {
        let mut out = self.told.preface.clone();
        match (format, &self.told.coded) {
            (ErrorFormat::Data(form), Some((code, message))) => {
                let text = |value: &str| Value::Text(value.to_owned());
                let mut entries =
                    vec![("Code".to_owned(), text(code)), ("Message".to_owned(), text(message))];
                if self.told.message_first {
                    entries.reverse();
                }
                let data = Value::Map(entries);
                out.push_str(&output::render(form, "error", &data, color));
            }
            (ErrorFormat::Legacy, Some((_, message))) if self.status != CLIENT_ERROR => {
                sentence(&mut out, message);
            }
            _ => sentence(&mut out, &self.told.message),
        }
        for line in &self.told.more {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {}", escape_control(line));
        }
        out
    }
}

/// One message, lines kept and other control characters escaped: some of it comes from the far side.
fn sentence(out: &mut String, message: &str) {
    out.push_str("\naws: [ERROR]:");
    for (n, line) in message.trim().split('\n').enumerate() {
        out.push(if n == 0 { ' ' } else { '\n' });
        out.push_str(&escape_control(line));
    }
    out.push('\n');
}

/// A failed AWS call after `attempts` tries at most, or what stands in front of it.
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
    fn an_error_reads_as_its_format_says() {
        let error = ShimError::param("no");
        let told = |format| error.render(ErrorFormat::named(format), false);
        assert_eq!(told("enhanced"), "\naws: [ERROR]: An error occurred (ParamValidation): no\n");
        assert_eq!(told("nonsense"), told("enhanced"));
        assert_eq!(told("legacy"), "\naws: [ERROR]: no\n");
        assert_eq!(told("json"), "{\n    \"Code\": \"ParamValidation\",\n    \"Message\": \"no\"\n}\n");
        assert_eq!(told("text"), "ParamValidation\tno\n");
        assert_eq!(told("yaml"), "Code: ParamValidation\nMessage: no\n");
        let general = ShimError::general("broken").with_hint(Some("mend it"));
        assert_eq!(
            general.render(ErrorFormat::named("json"), false),
            "\naws: [ERROR]: broken\n  hint: mend it\n"
        );
        let refused = ShimError::refused("Op", "Code", "text");
        let sentence = "\naws: [ERROR]: An error occurred (Code) when calling the Op operation: text\n";
        assert_eq!(refused.render(ErrorFormat::Legacy, false), sentence);
    }

    #[test]
    fn what_the_far_side_says_cannot_drive_a_terminal() {
        let told = ShimError::general("a\u{1b}[2J\nb").render(ErrorFormat::Enhanced, false);
        assert_eq!(told, "\naws: [ERROR]: a\\u{1b}[2J\nb\n");
    }
}
