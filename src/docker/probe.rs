//! Command lines that find out, without leaving anything, why a container cannot be opened.

use super::exec::{engine, quoted};
use super::{InvalidCommand, Marker, exec_command};
use crate::model::ContainerShell;

/// The command line that asks the engine of `shell` for anything at all: it exits with 0 when the engine answers this
/// user.
///
/// # Errors
/// [`InvalidCommand`] when there is no engine or a word holds a NUL byte.
pub fn engine_probe(shell: &ContainerShell) -> Result<String, InvalidCommand> {
    let mut words = engine(shell)?;
    // Docker, podman and nerdctl have it, and it asks the daemon where there is one.
    words.extend(["ps", "-q", "-n", "1"].map(String::from));
    Ok(words.join(" "))
}

/// The command line that prints the state of the container of `shell`: `running`, `exited` and so on.
///
/// # Errors
/// As [`engine_probe`].
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

/// The command line that starts a shell as [`super::exec_command`] does, on a PTY, which ends at once.
///
/// # Errors
/// As [`engine_probe`].
pub fn shell_probe(shell: &ContainerShell, marker: &Marker) -> Result<String, InvalidCommand> {
    exec_command(&shell.running(["sh", "-c", "exit 0"]), marker, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_one_word_per_part() {
        let mut shell = ContainerShell::new("ws-1".parse().unwrap());
        assert_eq!(engine_probe(&shell).unwrap(), "docker ps -q -n 1");
        assert_eq!(container_probe(&shell).unwrap(), "docker container inspect -f '{{.State.Status}}' ws-1");
        let marker = Marker::random();
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
