//! `help` and `--version`.

use std::fmt::Write as _;

use super::argparse::Takes;
use super::command::Command;
use super::options::{Entry, Fate, GLOBAL};

/// The aws-cli whose command lines and texts these are.
pub(super) const VERSION: &str = "2.36.7";

/// What `--version` prints. Programs look for `aws-cli/2.` in it.
pub(super) fn version() -> String {
    let kernel = |name: &str| {
        let told = std::fs::read_to_string(format!("/proc/sys/kernel/{name}"));
        told.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
    };
    format!(
        "aws-cli/{VERSION} eice/{} {}/{} source/{}",
        env!("CARGO_PKG_VERSION"),
        kernel("ostype"),
        kernel("osrelease"),
        std::env::consts::ARCH
    )
}

/// Help for everything, a service or one command.
pub(super) fn text(service: Option<&str>, command: Option<Command>) -> String {
    let mut out = String::new();
    match command {
        None => {
            out.push_str(
                "aws, as eice knows it: the commands that a tenant image needs of aws-cli, in one binary.\n\n\
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
        "\nCredentials, region and profiles come from where aws-cli takes them. Exit codes are aws-cli's: 252 for a\n\
         wrong command line, 253 for missing configuration, 254 when AWS refuses, 255 for the rest, 130 after\n\
         Ctrl-C; `ssh` ends with the remote command's own.\n",
    );
    out
}

fn about(command: Command) -> &'static str {
    match command {
        Command::OpenTunnel => "Opens a tunnel on stdin and stdout, or for each connection to a local port.",
        Command::Ssh => "Opens a shell on an instance.",
        Command::SendSshPublicKey => "Pushes a public key to an instance for 60 seconds.",
        Command::GetCallerIdentity => "Tells whose credentials are used.",
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
        let note = match (entry.fate, entry.opt.required) {
            (Fate::Accepted, true) => "  (required)",
            (Fate::Accepted, false) => "",
            (Fate::Ignored, _) => "  (no effect)",
            (Fate::Refused, _) => "  (not supported)",
        };
        let _ = writeln!(out, "  {}{value}{note}", entry.opt.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_each_command_and_each_option() {
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
