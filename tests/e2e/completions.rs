//! The scripts of `eice completions`, run in their shells by pressing Tab.

use std::fs;
use std::path::Path;

use crate::lab::{EICE, Tty, program, run_ok};

/// Starts `shell ARGS` at a terminal in which `eice` is the program under test.
#[track_caller]
fn shell(home: &Path, name: &str, args: &[&str]) -> Tty {
    let folder = Path::new(EICE).parent().unwrap().display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    Tty::of(&program(name), args, &[("PATH", path), ("PS1", "$ ".into())], home, None)
}

/// Writes the script for `shell` into `home`.
fn script(home: &Path, shell: &str) -> String {
    let file = home.join(format!("eice.{shell}"));
    fs::write(&file, run_ok(EICE, ["completions", shell])).unwrap();
    file.display().to_string()
}

#[test]
fn bash_completes_verb_option_value() {
    let home = tempfile::tempdir().unwrap();
    let mut bash = shell(home.path(), "bash", &["--norc", "--noprofile", "-i"]);
    bash.types(&format!("source {}; echo loaded-$((40+2))\r", script(home.path(), "bash")));
    bash.until("loaded-42");
    // Each line is completed and then made an argument of `echo`, to see the completed words and not the display.
    bash.types("eice tunn\t\u{1}echo word: \r");
    bash.until("word: eice tunnel");
    bash.types("eice tunnel --half\t\u{1}echo option: \r");
    bash.until("option: eice tunnel --half-close-timeout");
    bash.types("eice ssh --host-key str\t\u{1}echo value: \r");
    bash.until("value: eice ssh --host-key strict");
    bash.types("exit\r");
    bash.ends();
}

#[test]
fn zsh_completes_verb_option_value() {
    let home = tempfile::tempdir().unwrap();
    let mut zsh = shell(home.path(), "zsh", &["-f", "-i"]);
    // compinit would prompt about folders that are writable by others.
    zsh.types(&format!(
        "autoload -Uz compinit; compinit -D -u; bindkey -e; source {}; echo loaded-$((40+2))\r",
        script(home.path(), "zsh")
    ));
    zsh.until("loaded-42");
    zsh.types("eice tunn\t\u{1}echo word: \r");
    zsh.until("\nword: eice tunnel");
    zsh.types("eice tunnel --half\t\u{1}echo option: \r");
    zsh.until("\noption: eice tunnel --half-close-timeout");
    zsh.types("eice ssh --host-key str\t\u{1}echo value: \r");
    zsh.until("\nvalue: eice ssh --host-key strict");
    zsh.types("exit\r");
    zsh.ends();
}

#[test]
fn fish_completes_verb_option_value() {
    let home = tempfile::tempdir().unwrap();
    let script = script(home.path(), "fish");
    for (typed, expected) in [
        ("eice tunn", "tunnel"),
        ("eice tunnel --half", "--half-close-timeout"),
        ("eice ssh --host-key str", "strict"),
    ] {
        let command =
            format!("set -x HOME {}; source {script}; complete -C '{typed}'", home.path().display());
        let offered = run_ok("fish", ["--no-config", "-c", &command]);
        assert!(offered.lines().any(|line| line.split('\t').next() == Some(expected)), "{typed}: {offered}");
    }
}

/// These shells may not be installed, so only the completeness of the scripts is checked.
#[test]
fn elvish_and_powershell_list_options() {
    for shell in ["elvish", "powershell"] {
        let script = run_ok(EICE, ["completions", shell]);
        for word in ["ssh", "tunnel", "half-close-timeout", "host-key"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
