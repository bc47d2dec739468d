//! `eice completions`: completion scripts for verbs, options and values.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::exit;
use super::failure::Failure;
use super::help::exit_help;

const HELP: &str = concat!(
    "Examples:
  source <(eice completions bash)                  in ~/.bashrc
  eice completions zsh > ~/.zfunc/_eice            in a folder of $fpath, before compinit runs
  eice completions fish > ~/.config/fish/completions/eice.fish
  eice completions elvish >> ~/.config/elvish/rc.elv
  eice completions powershell >> $PROFILE

The Debian package brings those of bash, zsh and fish along.

Environment:
  EICE_LOG                 what to log, as --log

",
    exit_help!()
);

/// Prints a script that teaches a shell to complete eice's command line.
#[derive(Args, Debug)]
#[command(
    after_long_help = HELP,
    after_help = "`eice completions --help` has examples, environment and exit codes."
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<u8, Failure> {
    // Into memory first: the generator panics when its writer fails.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "eice", &mut script);
    io::stdout()
        .lock()
        .write_all(&script)
        .map_err(|error| Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error))?;
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn scripts_have_every_verb() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut super::super::Cli::command(), "eice", &mut script);
            let script = String::from_utf8(script).unwrap();
            for verb in super::super::Cli::command().get_subcommands() {
                assert!(script.contains(verb.get_name()), "{shell}: {}", verb.get_name());
            }
        }
    }
}
