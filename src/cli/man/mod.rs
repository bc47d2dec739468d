//! `eice man`: the manual pages, made from the help texts.

mod help_text;
mod page;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};

use super::exit;
use super::failure::Failure;
use super::help::exit_help;

const HELP: &str = concat!(
    "Examples:
  eice man | man -l -                              read eice(1)
  eice man ~/.local/share/man/man1                 one page for each verb: man eice-ssh

The Debian package brings the pages along. A page of the same name is overwritten.

Environment:
  EICE_LOG                 what to log, as --log

",
    exit_help!()
);

/// Prints the manual page of eice, or writes those of all verbs into a folder.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice man --help` has examples, environment and exit codes.")]
pub(crate) struct ManArgs {
    /// Folder for eice.1, eice-ssh.1 and so on, made if it is not there; without one, eice(1) goes to stdout
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs) -> Result<u8, Failure> {
    let root = root();
    match &args.dir {
        None => {
            let failed =
                |error: io::Error| Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error);
            let text = page::render(&root).map_err(failed)?;
            io::stdout().lock().write_all(&text).map_err(failed)?;
        }
        Some(dir) => write_all(&root, dir).map_err(|error| {
            let message = format!("cannot write manual pages into {}", dir.display());
            Failure::because(exit::UNAVAILABLE, message, &error)
        })?,
    }
    Ok(exit::OK)
}

/// Returns clap's command line, each verb with the name of its page.
fn root() -> Command {
    let mut root = super::Cli::command().disable_help_subcommand(true);
    root.build();
    root
}

fn write_all(root: &Command, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for command in all(root) {
        std::fs::write(
            dir.join(format!("{}.{}", page::name(command), page::SECTION)),
            page::render(command)?,
        )?;
    }
    Ok(())
}

/// Returns `command` and its visible subcommands.
fn all(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().filter(|verb| !verb.is_hide_set()).flat_map(all);
    std::iter::once(command).chain(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_have_pages_from_help() {
        let dir = tempfile::tempdir().unwrap();
        let root = root();
        write_all(&root, &dir.path().join("new/man1")).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join("new/man1").join(name)).unwrap();
        assert!(read("eice.1").contains("eice\\-ssh(1)"));
        for verb in root.get_subcommands() {
            let text = read(&format!("eice-{}.1", verb.get_name()));
            for part in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH EXAMPLES", ".SH \"EXIT STATUS\""] {
                assert!(text.contains(part), "{}: no {part}\n{text}", verb.get_name());
            }
        }
    }
}
