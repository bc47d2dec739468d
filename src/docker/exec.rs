//! The command line of an exec on an instance.

use std::fmt;

use uuid::Uuid;

use super::error::InvalidCommand;
use super::quote::quote;
use crate::model::ContainerShell;

/// The shell that runs in the container. dash and busybox do not return from a failed `exec`, and 127 may also
/// be the user's own exit status, so bash is looked up before it is tried.
pub(super) const SHELL: &str = "command -v bash >/dev/null && exec bash; exec sh";

/// Runs the arguments verbatim after printing a line that shows that the engine has started. The line is the
/// marker's value, which is unpredictable, so that errors of the engine and output of the command cannot be
/// confused.
const RUN: &str = "echo \"$EICE_TERMINAL\" >&2; exec \"$@\"";

/// An environment variable of one terminal's processes, by which the watcher finds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalMarker(Uuid);

impl TerminalMarker {
    /// The variable's name.
    pub const NAME: &str = "EICE_TERMINAL";

    /// Returns a marker that no other terminal has.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Returns the variable's value: the line that a [`ContainerShell::command`] prints on stderr before
    /// anything else.
    #[must_use]
    pub fn value(&self) -> String {
        self.0.to_string()
    }
}

impl fmt::Display for TerminalMarker {
    /// Formats it as `EICE_TERMINAL=…`, which needs no quotes in a shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", Self::NAME, self.0)
    }
}

/// Returns the command line that opens `shell` or runs its command, on a PTY if `pty` is set. Its processes
/// carry `marker`. `TERM` and `LANG` are those of the login shell.
///
/// # Errors
/// [`InvalidCommand`] when there is no engine, the command is empty, or a value contains a NUL byte.
pub fn exec_command(
    shell: &ContainerShell,
    marker: &TerminalMarker,
    pty: bool,
) -> Result<String, InvalidCommand> {
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

/// Returns the engine's words, quoted.
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
    fn exec_command_quotes_every_value() {
        let marker = TerminalMarker::random();
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
