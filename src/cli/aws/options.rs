//! The options, and whether each is supported. `docs/aws-cli.md` has the same tables for users.

use super::argparse::{Opt, Takes};

/// Whether an option is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// It works as in aws-cli.
    Accepted,
    /// It is validated as in aws-cli, and has no effect.
    Ignored,
    /// It is rejected with an error that says so.
    Refused,
}

/// An option and its support.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) opt: Opt,
    pub(super) support: Support,
}

const fn entry(name: &'static str, takes: Takes, support: Support) -> Entry {
    Entry { opt: Opt { name, takes, choices: &[], required: false }, support }
}

const fn value(name: &'static str) -> Entry {
    entry(name, Takes::Value, Support::Accepted)
}

const fn required(name: &'static str) -> Entry {
    Entry { opt: Opt { name, takes: Takes::Value, choices: &[], required: true }, support: Support::Accepted }
}

const fn one_of(name: &'static str, choices: &'static [&'static str], support: Support) -> Entry {
    Entry { opt: Opt { name, takes: Takes::Value, choices, required: false }, support }
}

/// The output formats.
pub(super) const OUTPUTS: &[&str] = &["json", "text", "table", "yaml", "yaml-stream", "off"];
/// The error formats.
pub(super) const ERROR_FORMATS: &[&str] = &["legacy", "json", "yaml", "text", "table", "enhanced"];

/// The global options (`awscli/data/cli.json`), in aws-cli's order.
pub(super) const GLOBAL: &[Entry] = &[
    entry("--debug", Takes::Nothing, Support::Accepted),
    value("--endpoint-url"),
    entry("--no-verify-ssl", Takes::Nothing, Support::Refused),
    entry("--no-paginate", Takes::Nothing, Support::Ignored),
    one_of("--output", OUTPUTS, Support::Accepted),
    value("--query"),
    value("--profile"),
    value("--region"),
    entry("--version", Takes::Version, Support::Accepted),
    one_of("--color", &["on", "off", "auto"], Support::Accepted),
    entry("--no-sign-request", Takes::Nothing, Support::Refused),
    value("--ca-bundle"),
    entry("--cli-read-timeout", Takes::Value, Support::Ignored),
    entry("--cli-connect-timeout", Takes::Value, Support::Ignored),
    one_of("--cli-binary-format", &["base64", "raw-in-base64-out"], Support::Ignored),
    entry("--no-cli-pager", Takes::Nothing, Support::Ignored),
    entry("--cli-auto-prompt", Takes::Nothing, Support::Refused),
    entry("--no-cli-auto-prompt", Takes::Nothing, Support::Ignored),
    one_of("--cli-error-format", ERROR_FORMATS, Support::Accepted),
];

/// The options that are parsed first, with a usage text of their own.
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
    one_of("--connection-type", &["auto", "direct", "eice"], Support::Accepted),
    value("--eice-options"),
];

/// `ec2-instance-connect send-ssh-public-key`.
pub(super) const SEND_SSH_PUBLIC_KEY: &[Entry] = &[
    required("--instance-id"),
    required("--instance-os-user"),
    required("--ssh-public-key"),
    value("--availability-zone"),
    entry("--cli-input-json", Takes::Value, Support::Refused),
    entry("--cli-input-yaml", Takes::Value, Support::Refused),
    entry("--generate-cli-skeleton", Takes::MaybeValue, Support::Refused),
];

/// `sts get-caller-identity`.
pub(super) const GET_CALLER_IDENTITY: &[Entry] = &[
    entry("--cli-input-json", Takes::Value, Support::Refused),
    entry("--cli-input-yaml", Takes::Value, Support::Refused),
    entry("--generate-cli-skeleton", Takes::MaybeValue, Support::Refused),
];

/// Returns the option definitions.
pub(super) fn opts(entries: &[Entry]) -> Vec<Opt> {
    entries.iter().map(|entry| entry.opt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::aws::command::Command;

    /// The page lists each option with its support, under its command. An end-to-end test checks that it lists no
    /// other.
    #[test]
    fn docs_page_lists_every_option() {
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
                let support = format!("{:?}", entry.support).to_lowercase();
                let row = section.lines().find(|line| {
                    line.strip_prefix(&format!("| `{}", entry.opt.name))
                        .is_some_and(|rest| rest.starts_with([' ', '`']))
                });
                assert!(
                    row.is_some_and(|row| row.contains(&format!("| {support} |"))),
                    "{heading}: {entry:?}: {row:?}"
                );
            }
        }
    }
}
