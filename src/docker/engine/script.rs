//! The commands that are run in a container.

use crate::docker::exec::{SHELL, TerminalMarker};
use crate::docker::watcher;

/// Prints the marker and its process id on stderr, then waits for a line. No user code runs before that line:
/// by then the PTY has its size and the watcher is running. If the sender is gone, the process exits.
const START: &str = "echo \"$EICE_TERMINAL $$\" >&2; read -r _ || exit 1; ";

/// The line that it waits for. A PTY echoes it, and nothing precedes the echo.
pub(super) const GO: &[u8] = b"\n";

/// End of input for a PTY, sent in place of [`GO`]: the process exits.
pub(super) const GIVE_UP: &[u8] = b"\x04";

/// The PTY's echo of [`GO`].
pub(super) const ECHO: &[u8] = b"\r\n";

/// Returns a shell: bash if available, or else sh.
pub(super) fn shell() -> Vec<String> {
    vec!["sh".into(), "-c".into(), format!("{START}{SHELL}")]
}

/// Returns the program and arguments in `command`, which no shell interprets.
pub(super) fn command(command: Vec<String>) -> Vec<String> {
    let mut all = vec!["sh".into(), "-c".into(), format!("{START}exec \"$@\""), "sh".into()];
    all.extend(command);
    all
}

/// Returns the watcher of the processes with `marker`. It prints an empty line when it is running.
pub(super) fn watch(marker: &TerminalMarker) -> Vec<String> {
    vec!["sh".into(), "-c".into(), format!("echo; {}", watcher::SCRIPT), "sh".into(), marker.to_string()]
}

/// Returns a command that sends the signal `name` to the process `pid`.
pub(super) fn signal(name: &str, pid: u32) -> Vec<String> {
    words(&["sh", "-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid.to_string()])
}

/// Returns where the line of [`START`] ends and which process it names; `None` while it is incomplete.
pub(super) fn started(output: &[u8], marker: &TerminalMarker) -> Option<(usize, Option<u32>)> {
    let mark = marker.value();
    let begin = output.windows(mark.len()).position(|window| window == mark.as_bytes())? + mark.len();
    let end = begin + output[begin..].iter().position(|&byte| byte == b'\n')?;
    let pid = std::str::from_utf8(&output[begin..end]).ok().and_then(|text| text.trim().parse().ok());
    Some((end + 1, pid))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::process::{Command, Stdio};

    use super::*;

    /// Starts `words` with `shell` in the role of the image's `sh`.
    fn start(shell: &[&str], words: &[String], marker: &TerminalMarker) -> std::process::Child {
        Command::new(shell[0])
            .args(&shell[1..])
            .args(&words[1..])
            .env(TerminalMarker::NAME, marker.value())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    #[test]
    fn command_waits_for_its_start_line() {
        for shell in [&["/bin/sh"][..], &["/bin/bash"], &["/bin/busybox", "sh"]] {
            let marker = TerminalMarker::random();
            let mut child = start(shell, &command(words(&["cat"])), &marker);
            let mut line = String::new();
            BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
            let found = started(line.as_bytes(), &marker);
            assert_eq!(found, Some((line.len(), Some(child.id()))), "{shell:?}: {line:?}");
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(&[GO, b"typed\n"].concat()).unwrap();
            drop(stdin);
            let mut said = String::new();
            child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
            assert_eq!(said, "typed\n", "{shell:?}");
            assert!(child.wait().unwrap().success());

            let mut alone = start(shell, &command(words(&["touch", "/nonexistent/x"])), &marker);
            drop(alone.stdin.take());
            assert_eq!(alone.wait().unwrap().code(), Some(1), "{shell:?}: without the line");
            let mut said = String::new();
            alone.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(!said.contains("nonexistent"), "{shell:?}: {said}");
        }
    }

    #[test]
    fn start_line_follows_other_output() {
        let marker = TerminalMarker::random();
        let mark = marker.value();
        assert_eq!(started(format!("words\r\n{mark} 7").as_bytes(), &marker), None);
        let line = format!("words\r\n{mark} 7\r\n");
        assert_eq!(started(format!("{line}more").as_bytes(), &marker), Some((line.len(), Some(7))));
        assert_eq!(started(format!("{mark} x\n").as_bytes(), &marker).unwrap().1, None);
        assert_eq!(started(b"OCI runtime exec failed\r\n", &marker), None);
    }
}
