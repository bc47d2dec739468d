//! What is run in a container.

use super::words;
use crate::docker::Marker;
use crate::docker::exec::SHELL;
use crate::docker::watcher;

/// Says, on stderr, that the engine has come so far, and which process it is; then waits for a line. Nothing of the
/// user's runs before that: the PTY has its size by then, and the watcher watches. Where nobody is left to send the line,
/// the process ends.
const START: &str = "echo \"$EICE_TERMINAL $$\" >&2; read -r _ || exit 1; ";

/// The line that it waits for. A PTY echoes it, and nothing else is said before.
pub(super) const GO: &[u8] = b"\n";

/// What a PTY takes for the end of the input, in place of [`GO`]: the process ends.
pub(super) const GIVE_UP: &[u8] = b"\x04";

/// What a PTY makes of [`GO`].
pub(super) const ECHO: &[u8] = b"\r\n";

/// A shell: bash where there is one, else sh.
pub(super) fn shell() -> Vec<String> {
    vec!["sh".into(), "-c".into(), format!("{START}{SHELL}")]
}

/// The program and the arguments in `command`, which no shell reads.
pub(super) fn command(command: Vec<String>) -> Vec<String> {
    let mut all = vec!["sh".into(), "-c".into(), format!("{START}exec \"$@\""), "sh".into()];
    all.extend(command);
    all
}

/// The watcher over the processes with `marker`. It says an empty line when it watches.
pub(super) fn watch(marker: &Marker) -> Vec<String> {
    vec!["sh".into(), "-c".into(), format!("echo; {}", watcher::SCRIPT), "sh".into(), marker.to_string()]
}

/// Sends the signal `name` to the process `pid`.
pub(super) fn signal(name: &str, pid: u32) -> Vec<String> {
    words(&["sh", "-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid.to_string()])
}

/// Where the line ends that [`START`] says, and which process it names; `None` as long as it has not come.
pub(super) fn started(said: &[u8], marker: &Marker) -> Option<(usize, Option<u32>)> {
    let mark = marker.value();
    let begin = said.windows(mark.len()).position(|window| window == mark.as_bytes())? + mark.len();
    let end = begin + said[begin..].iter().position(|&byte| byte == b'\n')?;
    let pid = std::str::from_utf8(&said[begin..end]).ok().and_then(|text| text.trim().parse().ok());
    Some((end + 1, pid))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::process::{Command, Stdio};

    use super::*;

    /// Starts `words` under `shell`, which stands in for the `sh` of an image.
    fn start(shell: &[&str], words: &[String], marker: &Marker) -> std::process::Child {
        Command::new(shell[0])
            .args(&shell[1..])
            .args(&words[1..])
            .env(Marker::NAME, marker.value())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    #[test]
    fn nothing_runs_before_its_line_came_and_every_byte_behind_it_is_the_commands() {
        for shell in [&["/bin/sh"][..], &["/bin/bash"], &["/bin/busybox", "sh"]] {
            let marker = Marker::random();
            let mut child = start(shell, &command(words(&["cat"])), &marker);
            let mut line = String::new();
            BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
            let told = started(line.as_bytes(), &marker);
            assert_eq!(told, Some((line.len(), Some(child.id()))), "{shell:?}: {line:?}");
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(&[GO, b"typed\n"].concat()).unwrap();
            drop(stdin);
            let mut said = String::new();
            child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
            assert_eq!(said, "typed\n", "{shell:?}");
            assert!(child.wait().unwrap().success());

            let mut alone = start(shell, &command(words(&["touch", "/nonexistent/x"])), &marker);
            drop(alone.stdin.take());
            assert_eq!(alone.wait().unwrap().code(), Some(1), "{shell:?}: nobody sends the line");
            let mut said = String::new();
            alone.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(!said.contains("nonexistent"), "{shell:?}: {said}");
        }
    }

    #[test]
    fn the_line_is_found_behind_other_words_and_only_as_a_whole() {
        let marker = Marker::random();
        let mark = marker.value();
        assert_eq!(started(format!("words\r\n{mark} 7").as_bytes(), &marker), None);
        let line = format!("words\r\n{mark} 7\r\n");
        assert_eq!(started(format!("{line}more").as_bytes(), &marker), Some((line.len(), Some(7))));
        assert_eq!(started(format!("{mark} x\n").as_bytes(), &marker).unwrap().1, None);
        assert_eq!(started(b"OCI runtime exec failed\r\n", &marker), None);
    }
}
