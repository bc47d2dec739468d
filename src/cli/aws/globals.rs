//! Global options, parsed and validated in aws-cli's order (`awscli/clidriver.py`, `globalargs.py`).

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use super::argparse::{ParseStop, Parsed, Parser, Positional};
use super::error::{ErrorFormat, ShimError, USAGE};
use super::options::{ERROR_FORMATS, FIRST, GLOBAL, Support, opts};
use super::output::Output;
use super::python::int;
use super::query::Query;
use crate::aws;

/// The usage text of the parser that reads `--profile` and `--debug` first.
const FIRST_USAGE: &str = "usage: aws [--profile PROFILE] [--debug]";

/// The global options.
#[derive(Debug, Default)]
pub(super) struct Globals {
    pub(super) region: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) endpoint_url: Option<String>,
    pub(super) ca_bundle: Option<PathBuf>,
    pub(super) query: Option<Query>,
    output: Option<Output>,
    color: Option<bool>,
    error_format: Option<ErrorFormat>,
}

/// The result of parsing the global options.
#[derive(Debug)]
pub(super) enum GlobalArgs {
    /// `--version` was given.
    Version,
    /// A command, with the arguments left for it.
    Command(Box<Globals>, String, Vec<String>),
}

impl Globals {
    /// Parses the global options in `args`; `commands` are the known commands.
    ///
    /// # Errors
    /// The error, and the options that determine its format.
    pub(super) fn read(
        args: &[String],
        commands: &[&'static str],
    ) -> Result<GlobalArgs, (ShimError, Box<Self>)> {
        let mut globals = Self::default();
        match read(args, commands, &mut globals) {
            Ok(Some((command, rest))) => Ok(GlobalArgs::Command(Box::new(globals), command, rest)),
            Ok(None) => Ok(GlobalArgs::Version),
            Err(error) => Err((error, Box::new(globals))),
        }
    }

    /// Returns the output format: from the option, the environment or the profile.
    ///
    /// # Errors
    /// The environment or the profile has an unknown format.
    pub(super) fn output(&self) -> Result<Output, ShimError> {
        if let Some(output) = self.output {
            return Ok(output);
        }
        match self.setting("AWS_DEFAULT_OUTPUT", "output") {
            Some(name) => {
                Output::named(&name).ok_or_else(|| ShimError::general(format!("Unknown output type: {name}")))
            }
            None => Ok(Output::default()),
        }
    }

    /// Returns the error format: from the option, the environment or the profile.
    pub(super) fn error_format(&self) -> ErrorFormat {
        let configured = || self.setting("AWS_CLI_ERROR_FORMAT", "cli_error_format");
        self.error_format.or_else(|| configured().map(|name| ErrorFormat::named(&name))).unwrap_or_default()
    }

    /// Returns the value of `variable`, else of the profile's `key`.
    fn setting(&self, variable: &str, key: &str) -> Option<String> {
        std::env::var(variable).ok().or_else(|| aws::profile_property(self.profile.as_deref(), key))
    }

    /// Returns whether tables are colored.
    pub(super) fn color(&self) -> bool {
        self.color.unwrap_or_else(|| io::stdout().is_terminal())
    }
}

fn read(
    args: &[String],
    commands: &[&'static str],
    globals: &mut Globals,
) -> Result<Option<(String, Vec<String>)>, ShimError> {
    let wrong = |stop, usage| match stop {
        ParseStop::Invalid(message) => Some(ShimError::usage(&message, usage)),
        ParseStop::Version => None,
    };
    let first = Parser { options: FIRST, positional: None }.parse_known(args);
    if let Some(error) = first.err().and_then(|stop| wrong(stop, FIRST_USAGE)) {
        return Err(error);
    }
    let is_given = |name: &str| args.iter().any(|arg| arg == name);
    if is_given("--cli-auto-prompt") && is_given("--no-cli-auto-prompt") {
        return Err(ShimError::param(
            "Both --cli-auto-prompt and --no-cli-auto-prompt cannot be specified at the same time.",
        ));
    }
    let options = opts(GLOBAL);
    let positional = Some(Positional { name: "command", choices: commands.to_vec() });
    let parsed = match (Parser { options: &options, positional }).parse_known(args) {
        Ok(parsed) => parsed,
        Err(stop) => {
            let is_command = matches!(&stop, ParseStop::Invalid(message) if message.starts_with("argument command: Found invalid choice"));
            let hint = is_command
                .then_some("this aws is eice's, which has few of aws-cli's commands: `aws help` lists them");
            return wrong(stop, USAGE).map_or(Ok(None), |error| Err(error.with_hint(hint)));
        }
    };
    globals.take(&parsed)?;
    Ok(Some((parsed.positional.unwrap_or_default(), parsed.extras)))
}

impl Globals {
    fn take(&mut self, parsed: &Parsed) -> Result<(), ShimError> {
        let owned = |name: &str| parsed.value(name).map(str::to_owned);
        // Set the format first, so that it applies to the errors below.
        self.error_format = parsed
            .value("--cli-error-format")
            .filter(|name| ERROR_FORMATS.contains(name))
            .map(ErrorFormat::named);
        self.color = match parsed.value("--color") {
            Some("on") => Some(true),
            Some("off") => Some(false),
            _ => None,
        };
        if let Some(text) = parsed.value("--query") {
            let bad = |why| ShimError::param(format!("Bad value for --query {text}: {why}"));
            self.query = Some(Query::parse(text).map_err(bad)?);
        }
        if let Some(url) = parsed.value("--endpoint-url") {
            if !url.contains("://") {
                return Err(ShimError::param(format!(
                    "Bad value for --endpoint-url \"{url}\": scheme is missing.  Must be of the form \
                     http://<hostname>/ or https://<hostname>/"
                )));
            }
            self.endpoint_url = Some(url.to_owned());
        }
        for name in ["--cli-read-timeout", "--cli-connect-timeout"] {
            if let Some(text) = parsed.value(name) {
                int(text).map_err(ShimError::general)?;
            }
        }
        refuse(GLOBAL, parsed)?;
        let given = |name: &str| owned(name).filter(|value| !value.is_empty());
        self.region = given("--region");
        self.profile = given("--profile");
        self.ca_bundle = given("--ca-bundle").map(PathBuf::from);
        self.output = parsed.value("--output").and_then(Output::named);
        Ok(())
    }
}

/// Returns an error if an option was given that is not supported.
pub(super) fn refuse(entries: &[super::options::Entry], parsed: &Parsed) -> Result<(), ShimError> {
    let refused =
        entries.iter().find(|entry| entry.support == Support::Refused && parsed.has(entry.opt.name));
    let Some(entry) = refused else { return Ok(()) };
    let name = entry.opt.name;
    let instead = match name {
        "--no-verify-ssl" => {
            "certificates are always verified; set the authority with --ca-bundle or AWS_CA_BUNDLE"
        }
        "--no-sign-request" => "all its calls require a signature",
        "--cli-auto-prompt" => "it never prompts; `aws help` lists its commands",
        _ => "pass the values as separate options",
    };
    Err(ShimError::param(format!("{name} is not supported by eice's aws: {instead}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(args: &[&str]) -> Result<GlobalArgs, ShimError> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        Globals::read(&args, &["ec2-instance-connect", "sts", "help"]).map_err(|(error, _)| error)
    }

    fn message(args: &[&str]) -> String {
        line(args).unwrap_err().message().to_owned()
    }

    #[test]
    fn command_arguments_are_left() {
        let args = ["--region", "r", "sts", "get-caller-identity", "--prof=p", "--x", "1", "--no-cli-pager"];
        let GlobalArgs::Command(globals, command, rest) = line(&args).unwrap() else { panic!() };
        assert_eq!((globals.region.as_deref(), globals.profile.as_deref()), (Some("r"), Some("p")));
        assert_eq!(
            (command.as_str(), rest),
            ("sts", vec!["get-caller-identity".into(), "--x".into(), "1".into()])
        );
        let GlobalArgs::Command(globals, ..) = line(&["sts", "--region", ""]).unwrap() else { panic!() };
        assert_eq!(globals.region, None, "an empty value counts as absent");
    }

    #[test]
    fn checks_follow_aws_cli_order() {
        let coded = |text: &str| format!("An error occurred (ParamValidation): {text}");
        let usage = format!("\n\n{USAGE}");
        let all = ["--query", "a[", "--endpoint-url", "x", "--cli-read-timeout", "y", "--no-verify-ssl"];
        assert!(message(&[&all[..], &["nonsense"]].concat()).contains("Found invalid choice 'nonsense'"));
        assert!(message(&[&all[..], &["sts"]].concat()).contains("Bad value for --query a["));
        assert!(
            message(&[&all[2..], &["sts"]].concat()).contains("Bad value for --endpoint-url \"x\": scheme")
        );
        assert_eq!(message(&[&all[4..], &["sts"]].concat()), "invalid literal for int() with base 10: 'y'");
        assert!(message(&[&all[6..], &["sts"]].concat()).contains("--no-verify-ssl is not supported"));
        assert_eq!(
            message(&["sts", "--profile"]),
            coded(&format!("argument --profile: expected one argument\n\n{FIRST_USAGE}"))
        );
        assert_eq!(
            message(&["sts", "--region"]),
            coded(&format!("argument --region: expected one argument{usage}"))
        );
        assert!(matches!(line(&["--version", "nonsense"]).unwrap(), GlobalArgs::Version));
        assert!(message(&["--cli-auto-prompt", "--no-cli-auto-prompt"]).contains("at the same time"));
    }
}
