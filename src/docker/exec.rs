//! The exec template.

use std::fmt;

use uuid::Uuid;

use super::{InvalidCommand, quote};
use crate::model::ContainerShell;

/// What runs in the container. A shell that fails to `exec` does not come back in dash and busybox, and 127 is
/// also a user's own exit status, so that bash is looked for before it is tried.
pub(super) const SHELL: &str = "command -v bash >/dev/null && exec bash; exec sh";

/// Runs the arguments as they stand, after a line that says that the engine has come so far: only the marker's
/// value, which nobody can foresee, so that what an engine complains of and what a command says are never taken for
/// one another.
const RUN: &str = "echo \"$EICE_TERMINAL\" >&2; exec \"$@\"";

/// A variable in the environment of one terminal's processes, by which the watcher finds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker(Uuid);

impl Marker {
    /// The variable's name.
    pub const NAME: &str = "EICE_TERMINAL";

    /// A marker that no other terminal has.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The variable's value: what a [`ContainerShell::command`] says on stderr, as a line of its own, before anything
    /// else does.
    #[must_use]
    pub fn value(&self) -> String {
        self.0.to_string()
    }
}

impl fmt::Display for Marker {
    /// `EICE_TERMINAL=…`, which no shell needs quotes for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", Self::NAME, self.0)
    }
}

/// The command line that opens `shell` or runs its command, its processes marked with `marker`; on a PTY where `pty` says so. `TERM`
/// and `LANG` are those that the login shell has.
///
/// # Errors
/// [`InvalidCommand`] when there is no engine, the command has no word, or a value holds a NUL byte.
pub fn exec_command(shell: &ContainerShell, marker: &Marker, pty: bool) -> Result<String, InvalidCommand> {
    let mut words = engine(shell)?;
    let flags = if pty { "-it" } else { "-i" };
    words.extend(["exec", flags, "-e", "TERM", "-e", "LANG", "-e"].map(String::from));
    words.push(marker.to_string());
    for (name, value) in &shell.env {
        words.push("-e".into());
        words.push(quoted(&format!("{name}={value}"), name.as_str())?);
    }
    words.push(quoted(shell.container.as_str(), "the container")?);
    words.extend(["sh".into(), "-c".into()]);
    match &shell.command {
        None => words.push(quoted(SHELL, "the shell")?),
        Some(command) if command.is_empty() => return Err(InvalidCommand::NoCommand),
        Some(command) => {
            words.extend([quoted(RUN, "the script")?, "sh".into()]);
            for word in command {
                words.push(quoted(word, "the command")?);
            }
        }
    }
    Ok(words.join(" "))
}

/// The engine's words, quoted.
pub(super) fn engine(shell: &ContainerShell) -> Result<Vec<String>, InvalidCommand> {
    if shell.engine.iter().all(String::is_empty) {
        return Err(InvalidCommand::NoEngine);
    }
    shell.engine.iter().map(|word| quoted(word, "the engine")).collect()
}

pub(super) fn quoted(word: &str, what: &str) -> Result<String, InvalidCommand> {
    quote(word).map_err(|source| InvalidCommand::Nul { what: what.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_as_documented_and_every_foreign_value_is_quoted() {
        let marker = Marker::random();
        let mut shell = ContainerShell::new("ws-1".parse().unwrap());
        assert_eq!(
            exec_command(&shell, &marker, true).unwrap(),
            format!(
                "docker exec -it -e TERM -e LANG -e {marker} ws-1 \
                 sh -c 'command -v bash >/dev/null && exec bash; exec sh'"
            )
        );
        shell.engine = vec!["sudo".into(), "-n".into(), "my docker".into()];
        shell.env = vec![("MOLECULE_WS_ID".parse().unwrap(), "a'; id; '".into())];
        let line = exec_command(&shell, &marker, true).unwrap();
        assert!(line.starts_with("sudo -n 'my docker' exec -it "), "{line}");
        assert!(line.contains(r"-e 'MOLECULE_WS_ID=a'\''; id; '\''' ws-1 "), "{line}");
        let command = exec_command(&shell.running(["printf", "%s", "a b"]), &marker, false).unwrap();
        assert!(
            command.ends_with(r#" ws-1 sh -c 'echo "$EICE_TERMINAL" >&2; exec "$@"' sh printf '%s' 'a b'"#),
            "{command}"
        );
        let nothing = shell.running([] as [&str; 0]);
        assert_eq!(exec_command(&nothing, &marker, false), Err(InvalidCommand::NoCommand));
        shell.env[0].1 = "\0".into();
        assert!(matches!(exec_command(&shell, &marker, true), Err(InvalidCommand::Nul { .. })));
        shell.engine.clear();
        assert_eq!(exec_command(&shell, &marker, true), Err(InvalidCommand::NoEngine));
    }
}
