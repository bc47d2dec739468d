//! Parses a command with its options; errors are checked in aws-cli's order.

use super::argparse::{ParseStop, Parsed, Parser, Positional};
use super::error::{ShimError, USAGE};
use super::globals::refuse;
use super::options::{self, Entry, opts};
use super::paramfile;
use super::python::int;

/// The commands, by aws-cli's names.
pub(super) const COMMANDS: &[&str] = &["ec2-instance-connect", "sts", "help"];

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    OpenTunnel,
    Ssh,
    SendSshPublicKey,
    GetCallerIdentity,
}

impl Command {
    pub(super) const ALL: [Self; 4] =
        [Self::OpenTunnel, Self::SendSshPublicKey, Self::Ssh, Self::GetCallerIdentity];

    /// Returns the service and the operation.
    pub(super) fn path(self) -> (&'static str, &'static str) {
        match self {
            Self::OpenTunnel => ("ec2-instance-connect", "open-tunnel"),
            Self::Ssh => ("ec2-instance-connect", "ssh"),
            Self::SendSshPublicKey => ("ec2-instance-connect", "send-ssh-public-key"),
            Self::GetCallerIdentity => ("sts", "get-caller-identity"),
        }
    }

    /// Returns its options.
    pub(super) fn options(self) -> &'static [Entry] {
        match self {
            Self::OpenTunnel => options::OPEN_TUNNEL,
            Self::Ssh => options::SSH,
            Self::SendSshPublicKey => options::SEND_SSH_PUBLIC_KEY,
            Self::GetCallerIdentity => options::GET_CALLER_IDENTITY,
        }
    }

    /// Returns whether it is an AWS API call. The others are aws-cli's own commands, which differ in small ways.
    fn is_api_call(self) -> bool {
        matches!(self, Self::SendSshPublicKey | Self::GetCallerIdentity)
    }
}

/// The result of parsing a service's command line.
#[derive(Debug)]
pub(super) enum Invocation {
    /// Help for the service, or for one of its commands.
    Help(Option<Command>),
    Run(Command, Values),
}

/// Parses the operation of `service` and its options.
///
/// # Errors
/// aws-cli's errors.
pub(super) fn read(service: &str, args: &[String]) -> Result<Invocation, ShimError> {
    let of_service = || Command::ALL.into_iter().filter(|command| command.path().0 == service);
    let mut choices: Vec<_> = of_service().map(|command| command.path().1).collect();
    choices.push("help");
    let parsed = known(&[], Some(Positional { name: "operation", choices }), args)?;
    let operation = parsed.positional.unwrap_or_default();
    let Some(command) = of_service().find(|command| command.path().1 == operation) else {
        return Ok(Invocation::Help(None));
    };
    let args = parsed.extras;
    let options = opts(command.options());
    if !command.is_api_call() {
        if args == ["help"] {
            return Ok(Invocation::Help(Some(command)));
        }
        let parsed = known(&options, None, &args)?;
        let values = Values::load(command, &parsed)?;
        if !parsed.extras.is_empty() {
            return Err(ShimError::param(format!("Unknown options: {}", parsed.extras.join(","))));
        }
        return Ok(Invocation::Run(command, values));
    }
    if args == ["help"] {
        return Ok(Invocation::Help(Some(command)));
    }
    // Any word is accepted in the position of `help`.
    let mut parsed = known(&options, Some(Positional { name: "help", choices: Vec::new() }), &args)?;
    match parsed.positional.take() {
        Some(word) if word == "help" => return Ok(Invocation::Help(Some(command))),
        word => parsed.extras.extend(word),
    }
    if !parsed.extras.is_empty() {
        return Err(ShimError::unknown(&parsed.extras));
    }
    refuse(command.options(), &parsed)?;
    Ok(Invocation::Run(command, Values::load(command, &parsed)?))
}

fn known(
    options: &[super::argparse::Opt],
    positional: Option<Positional>,
    args: &[String],
) -> Result<Parsed, ShimError> {
    Parser { options, positional }.parse_known(args).map_err(|stop| match stop {
        ParseStop::Invalid(text) => ShimError::usage(&text, USAGE),
        // Unreachable: no command has this option.
        ParseStop::Version => ShimError::param("--version must precede the command"),
    })
}

/// The option values of a command, with files read and numbers validated.
#[derive(Debug, Default)]
pub(super) struct Values(Vec<(&'static str, String)>);

impl Values {
    fn load(command: Command, parsed: &Parsed) -> Result<Self, ShimError> {
        let mut values = Vec::new();
        for entry in command.options() {
            let name = entry.opt.name;
            let Some(value) = parsed.value(name) else { continue };
            let value = paramfile::load(name, value)?;
            if NUMBERS.contains(&name) {
                int(&value).map_err(ShimError::general)?;
            }
            values.push((name, value));
        }
        Ok(Self(values))
    }

    /// Returns the value of the option `name`, unless it is empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// Returns the value of the option `name`.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the numeric value of the option `name`.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.raw(name).and_then(|text| int(text).ok())
    }
}

/// The options with numeric values.
const NUMBERS: &[&str] =
    &["--remote-port", "--local-port", "--max-tunnel-duration", "--max-websocket-connections", "--ssh-port"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(service: &str, args: &[&str]) -> Result<Invocation, ShimError> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        super::read(service, &args)
    }

    fn message(service: &str, args: &[&str]) -> String {
        read(service, args).unwrap_err().message().to_owned()
    }

    #[test]
    fn command_has_its_values() {
        let args = ["open-tunnel", "--instance-id", "i-1", "--local=2222", "--max-web", "3"];
        let Ok(Invocation::Run(Command::OpenTunnel, values)) = read("ec2-instance-connect", &args) else {
            panic!()
        };
        assert_eq!(values.text("--instance-id"), Some("i-1"));
        assert_eq!(values.number("--local-port"), Some(2222));
        assert_eq!(values.number("--max-websocket-connections"), Some(3));
        assert_eq!(values.text("--private-ip-address"), None);
    }

    #[test]
    fn unknown_options_differ_by_command_kind() {
        assert_eq!(message("sts", &["get-caller-identity", "a", "--b=1"]), "Unknown options: --b=1, a");
        let text = message("ec2-instance-connect", &["open-tunnel", "--remote-port", "22", "--", "ls"]);
        assert_eq!(text, "An error occurred (ParamValidation): Unknown options: --,ls");
        // One kind validates values before unknown options, the other after.
        let text = message("ec2-instance-connect", &["open-tunnel", "--remote-port", "x", "y"]);
        assert_eq!(text, "invalid literal for int() with base 10: 'x'");
    }

    #[test]
    fn help_follows_the_command() {
        for (service, args, expected) in [
            ("sts", &["help"][..], None),
            ("sts", &["get-caller-identity", "help"], Some(Command::GetCallerIdentity)),
            ("ec2-instance-connect", &["ssh", "help"], Some(Command::Ssh)),
        ] {
            match read(service, args) {
                Ok(Invocation::Help(command)) => assert_eq!(command, expected, "{args:?}"),
                other => panic!("{args:?}: {other:?}"),
            }
        }
        assert!(
            message("ec2-instance-connect", &["open-tunnel", "help", "me"])
                .ends_with("Unknown options: help,me")
        );
    }

    #[test]
    fn bad_option_is_named() {
        let text = message("ec2-instance-connect", &["send-ssh-public-key"]);
        assert!(
            text.contains("are required: --instance-id, --instance-os-user, --ssh-public-key\n\nusage: aws")
        );
        assert!(message("sts", &[]).contains("the following arguments are required: operation"));
        let text = message("sts", &["get-caller-identity", "--cli-input-json", "{}"]);
        assert!(text.contains("--cli-input-json is not supported by eice's aws"), "{text}");
    }
}
