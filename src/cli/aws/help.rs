//! `help` and `--version`.

use std::fmt::Write as _;

use super::argparse::Takes;
use super::command::Command;
use super::options::{Entry, GLOBAL, Support};

/// The aws-cli version that the shim is compatible with.
pub(super) const VERSION: &str = "2.36.7";

/// Returns the output of `--version`. Programs search it for `aws-cli/2.`.
pub(super) fn version() -> String {
    let kernel = |name: &str| {
        let value = std::fs::read_to_string(format!("/proc/sys/kernel/{name}"));
        value.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
    };
    format!(
        "aws-cli/{VERSION} eice/{} {}/{} source/{}",
        env!("CARGO_PKG_VERSION"),
        kernel("ostype"),
        kernel("osrelease"),
        std::env::consts::ARCH
    )
}

/// Returns help for all commands, a service or one command.
pub(super) fn text(service: Option<&str>, command: Option<Command>) -> String {
    let mut out = String::new();
    match command {
        None => {
            out.push_str(
                "eice's aws: the commands of aws-cli that a tenant image needs, in one binary.\n\n\
                 Usage: aws [options] <command> <subcommand> [parameters]\n\nCommands:\n",
            );
            for command in Command::ALL {
                let (of, operation) = command.path();
                if service.is_none_or(|service| service == of) {
                    // Writing to a String cannot fail.
                    let line = format!("aws {of} {operation}");
                    let _ = writeln!(out, "  {line:<45}{}", about(command));
                }
            }
            out.push_str("\n`aws <command> <subcommand> help` lists the options of each.\n");
        }
        Some(command) => {
            let (of, operation) = command.path();
            let _ = writeln!(out, "{}\n\nUsage: aws {of} {operation} [options]\n\nOptions:", about(command));
            list(command.options(), &mut out);
        }
    }
    out.push_str("\nOptions of every command:\n");
    list(GLOBAL, &mut out);
    out.push_str(
        "\nCredentials, region and profiles come from the same sources as in aws-cli. Exit codes are aws-cli's: 252 for a\n\
         wrong command line, 253 for missing configuration, 254 when AWS rejects a call, 255 for other\n\
         errors, 130 after Ctrl-C; `ssh` returns the remote command's exit code.\n",
    );
    out
}

fn about(command: Command) -> &'static str {
    match command {
        Command::OpenTunnel => "Opens a tunnel on stdin and stdout, or for each connection to a local port.",
        Command::Ssh => "Opens a shell on an instance.",
        Command::SendSshPublicKey => "Pushes a public key to an instance for 60 seconds.",
        Command::GetCallerIdentity => "Shows whose credentials are used.",
    }
}

fn list(entries: &[Entry], out: &mut String) {
    for entry in entries {
        let value = match entry.opt.takes {
            Takes::Value if entry.opt.choices.is_empty() => " <value>".to_owned(),
            Takes::Value => format!(" {}", entry.opt.choices.join("|")),
            Takes::MaybeValue => " [<value>]".to_owned(),
            Takes::Nothing | Takes::Version => String::new(),
        };
        let note = match (entry.support, entry.opt.required) {
            (Support::Accepted, true) => "  (required)",
            (Support::Accepted, false) => "",
            (Support::Ignored, _) => "  (no effect)",
            (Support::Refused, _) => "  (not supported)",
        };
        let _ = writeln!(out, "  {}{value}{note}", entry.opt.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_commands_and_options() {
        let all = text(None, None);
        for command in Command::ALL {
            assert!(all.contains(command.path().1), "{all}");
            let help = text(None, Some(command));
            for entry in command.options().iter().chain(GLOBAL) {
                assert!(help.contains(entry.opt.name), "{help}");
            }
        }
        assert!(!text(Some("sts"), None).contains("open-tunnel"));
        assert!(version().starts_with("aws-cli/2.") && version().contains("eice/"));
    }
}
