//! Command lines that find out, without side effects, why a container cannot be opened.

use super::error::InvalidCommand;
use super::exec::{TerminalMarker, engine, exec_command, quoted};
use crate::model::ContainerShell;

/// Returns a command line that sends the engine of `shell` a trivial request: it exits with 0 when the engine
/// serves this user.
///
/// # Errors
/// [`InvalidCommand`] when there is no engine or a word contains a NUL byte.
pub fn engine_probe(shell: &ContainerShell) -> Result<String, InvalidCommand> {
    let mut words = engine(shell)?;
    // Docker, podman and nerdctl support it, and it contacts the daemon if there is one.
    words.extend(["ps", "-q", "-n", "1"].map(String::from));
    Ok(words.join(" "))
}

/// Returns a command line that prints the state of the container of `shell`: `running`, `exited` and so on.
///
/// # Errors
/// Those of [`engine_probe`].
pub fn container_probe(shell: &ContainerShell) -> Result<String, InvalidCommand> {
    let mut words = engine(shell)?;
    words.extend([
        "container".into(),
        "inspect".into(),
        "-f".into(),
        quoted("{{.State.Status}}", "the format")?,
    ]);
    words.push(quoted(shell.container.as_str(), "the container")?);
    Ok(words.join(" "))
}

/// Returns a command line that starts a shell on a PTY as [`super::exec_command`] does; it exits at once.
///
/// # Errors
/// Those of [`engine_probe`].
pub fn shell_probe(shell: &ContainerShell, marker: &TerminalMarker) -> Result<String, InvalidCommand> {
    exec_command(&shell.running(["sh", "-c", "exit 0"]), marker, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_quote_every_word() {
        let mut shell = ContainerShell::new("ws-1".parse().unwrap());
        assert_eq!(engine_probe(&shell).unwrap(), "docker ps -q -n 1");
        assert_eq!(container_probe(&shell).unwrap(), "docker container inspect -f '{{.State.Status}}' ws-1");
        let marker = TerminalMarker::random();
        let exec = shell_probe(&shell, &marker).unwrap();
        assert!(
            exec.starts_with(&format!("docker exec -it -e TERM -e LANG -e {marker} ws-1 sh -c ")),
            "{exec}"
        );
        assert!(exec.ends_with(" sh sh -c 'exit 0'"), "{exec}");
        shell.engine = vec!["sudo".into(), "-n".into(), "my docker".into()];
        assert_eq!(engine_probe(&shell).unwrap(), "sudo -n 'my docker' ps -q -n 1");
        shell.engine.clear();
        assert_eq!(engine_probe(&shell), Err(InvalidCommand::NoEngine));
    }
}
