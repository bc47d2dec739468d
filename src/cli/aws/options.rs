//! Which options there are and what becomes of each. `docs/aws-cli.md` shows the same tables to users.

use super::argparse::{Opt, Takes};

/// What becomes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It does what it does in aws-cli.
    Accepted,
    /// It is checked as aws-cli checks it, and has no effect.
    Ignored,
    /// It ends the program with an error that says so.
    Refused,
}

/// An option and what becomes of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) opt: Opt,
    pub(super) fate: Fate,
}

const fn entry(name: &'static str, takes: Takes, fate: Fate) -> Entry {
    Entry { opt: Opt { name, takes, choices: &[], required: false }, fate }
}

const fn value(name: &'static str) -> Entry {
    entry(name, Takes::Value, Fate::Accepted)
}

const fn required(name: &'static str) -> Entry {
    Entry { opt: Opt { name, takes: Takes::Value, choices: &[], required: true }, fate: Fate::Accepted }
}

const fn one_of(name: &'static str, choices: &'static [&'static str], fate: Fate) -> Entry {
    Entry { opt: Opt { name, takes: Takes::Value, choices, required: false }, fate }
}

/// The forms of output.
pub(super) const OUTPUTS: &[&str] = &["json", "text", "table", "yaml", "yaml-stream", "off"];
/// The forms of errors.
pub(super) const ERROR_FORMATS: &[&str] = &["legacy", "json", "yaml", "text", "table", "enhanced"];

/// The options of every command (`awscli/data/cli.json`), in aws-cli's order.
pub(super) const GLOBAL: &[Entry] = &[
    entry("--debug", Takes::Nothing, Fate::Accepted),
    value("--endpoint-url"),
    entry("--no-verify-ssl", Takes::Nothing, Fate::Refused),
    entry("--no-paginate", Takes::Nothing, Fate::Ignored),
    one_of("--output", OUTPUTS, Fate::Accepted),
    value("--query"),
    value("--profile"),
    value("--region"),
    entry("--version", Takes::Version, Fate::Accepted),
    one_of("--color", &["on", "off", "auto"], Fate::Accepted),
    entry("--no-sign-request", Takes::Nothing, Fate::Refused),
    value("--ca-bundle"),
    entry("--cli-read-timeout", Takes::Value, Fate::Ignored),
    entry("--cli-connect-timeout", Takes::Value, Fate::Ignored),
    one_of("--cli-binary-format", &["base64", "raw-in-base64-out"], Fate::Ignored),
    entry("--no-cli-pager", Takes::Nothing, Fate::Ignored),
    entry("--cli-auto-prompt", Takes::Nothing, Fate::Refused),
    entry("--no-cli-auto-prompt", Takes::Nothing, Fate::Ignored),
    one_of("--cli-error-format", ERROR_FORMATS, Fate::Accepted),
];

/// The options that are read before all others, with a usage text of their own.
pub(super) const FIRST: &[Opt] = &[
    Opt { name: "--profile", takes: Takes::Value, choices: &[], required: false },
    Opt { name: "--debug", takes: Takes::Nothing, choices: &[], required: false },
];

/// `ec2-instance-connect open-tunnel`.
pub(super) const OPEN_TUNNEL: &[Entry] = &[
    value("--instance-id"),
    value("--instance-connect-endpoint-id"),
    value("--instance-connect-endpoint-dns-name"),
    value("--private-ip-address"),
    value("--remote-port"),
    value("--local-port"),
    value("--max-tunnel-duration"),
    value("--max-websocket-connections"),
];

/// `ec2-instance-connect ssh`.
pub(super) const SSH: &[Entry] = &[
    required("--instance-id"),
    value("--instance-ip"),
    value("--private-key-file"),
    value("--os-user"),
    value("--ssh-port"),
    value("--local-forwarding"),
    one_of("--connection-type", &["auto", "direct", "eice"], Fate::Accepted),
    value("--eice-options"),
];

/// `ec2-instance-connect send-ssh-public-key`.
pub(super) const SEND_SSH_PUBLIC_KEY: &[Entry] = &[
    required("--instance-id"),
    required("--instance-os-user"),
    required("--ssh-public-key"),
    value("--availability-zone"),
    entry("--cli-input-json", Takes::Value, Fate::Refused),
    entry("--cli-input-yaml", Takes::Value, Fate::Refused),
    entry("--generate-cli-skeleton", Takes::MaybeValue, Fate::Refused),
];

/// `sts get-caller-identity`.
pub(super) const GET_CALLER_IDENTITY: &[Entry] = &[
    entry("--cli-input-json", Takes::Value, Fate::Refused),
    entry("--cli-input-yaml", Takes::Value, Fate::Refused),
    entry("--generate-cli-skeleton", Takes::MaybeValue, Fate::Refused),
];

/// The options alone.
pub(super) fn opts(entries: &[Entry]) -> Vec<Opt> {
    entries.iter().map(|entry| entry.opt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::aws::command::Command;

    /// The page has each option, under its command, with what becomes of it; that it has no other is held end to end.
    #[test]
    fn the_page_has_every_option() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/aws-cli.md");
        let page = std::fs::read_to_string(page).unwrap();
        let tables =
            std::iter::once(("Every command".to_owned(), GLOBAL)).chain(Command::ALL.map(|command| {
                let (service, operation) = command.path();
                (format!("`aws {service} {operation}`"), command.options())
            }));
        for (heading, entries) in tables {
            let (_, section) = page.split_once(&format!("### {heading}\n")).expect(&heading);
            let section = section.split("\n##").next().unwrap();
            let rows = section.lines().filter(|line| line.starts_with("| `--")).count();
            assert_eq!(rows, entries.len(), "{heading}");
            for entry in entries {
                let fate = format!("{:?}", entry.fate).to_lowercase();
                let row = section.lines().find(|line| {
                    line.strip_prefix(&format!("| `{}", entry.opt.name))
                        .is_some_and(|rest| rest.starts_with([' ', '`']))
                });
                assert!(
                    row.is_some_and(|row| row.contains(&format!("| {fate} |"))),
                    "{heading}: {entry:?}: {row:?}"
                );
            }
        }
    }
}
