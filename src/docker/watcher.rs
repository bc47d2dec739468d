//! The watcher: ends the processes of a terminal that `docker exec -it` leaves behind.

use super::error::InvalidCommand;
use super::exec::{TerminalMarker, engine, quoted};
use crate::model::ContainerShell;

/// Waits for the end of stdin, then ends every process whose environment contains `$1`.
///
/// It uses only builtins, except for `sleep`: it runs in dash, bash and busybox, and in an image without grep
/// or ps. A round reads every process's environment (`read` ignores a NUL; a newline in a value starts a new
/// line). The first round sends HUP, and CONT so that stopped jobs handle it; the sixth and later ones send
/// KILL. Two clean rounds in a row are the end, because one may pass just before the engine starts the shell.
/// If processes are left after 60 rounds, 12 s, the status is 3, which no engine exits with.
///
/// The script's own environment does not contain the marker, its arguments do.
pub(super) const SCRIPT: &str = "\
while read -r _; do :; done; \
clean=0; round=0; \
while [ $clean -lt 2 ] && [ $round -lt 60 ]; do \
round=$((round+1)); clean=$((clean+1)); \
for p in /proc/[0-9]*; do \
found=; \
{ while IFS= read -r e || [ -n \"$e\" ]; do case $e in *\"$1\"*) found=1; break;; esac; e=; done <$p/environ; } 2>/dev/null; \
[ -n \"$found\" ] || continue; \
clean=0; \
if [ $round -eq 1 ]; then kill -HUP ${p#/proc/}; kill -CONT ${p#/proc/}; \
elif [ $round -ge 6 ]; then kill -KILL ${p#/proc/}; fi; \
done 2>/dev/null; \
sleep 0.2 2>/dev/null || sleep 1; \
done; \
[ $clean -ge 2 ] || exit 3";

/// Returns the command line that ends the processes with `marker` in the container of `shell` when its stdin
/// ends. It exits with 0 when none is left.
///
/// The engine passes on the end of stdin even when its own program is killed, so a broken connection starts the
/// watcher as well. It misses processes whose environment is cleared or belongs to another user.
///
/// # Errors
/// [`InvalidCommand`] when there is no engine or a word contains a NUL byte.
pub fn watcher_command(shell: &ContainerShell, marker: &TerminalMarker) -> Result<String, InvalidCommand> {
    let mut words = engine(shell)?;
    words.extend(["exec".into(), "-i".into(), quoted(shell.container.as_str(), "the container")?]);
    words.extend(["sh".into(), "-c".into(), quoted(SCRIPT, "the script")?, "sh".into(), marker.to_string()]);
    Ok(words.join(" "))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    /// Runs the script with `shell`, as the engine would.
    fn watch(shell: &[&str], marker: &TerminalMarker) -> Child {
        Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", SCRIPT, "sh", &marker.to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Starts a shell with the marker, a background job, a job that ignores HUP and one in its own session; all
    /// of them run when this returns.
    ///
    /// A job that has printed `up` no longer calls exec: during exec, a process has no readable environment.
    fn victim(marker: &TerminalMarker) -> Child {
        let text = marker.to_string();
        let (name, value) = text.split_once('=').unwrap();
        let script = "job='sleep 1000 & echo up; wait'; \
                      sh -c \"$job\" & (trap '' HUP; exec sh -c \"$job\") & setsid sh -c \"$job\" & wait";
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .env(name, value)
            .env("BEFORE", "a\nvalue of two lines")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.map_while(Result::ok).take(3).filter(|line| line == "up").count(), 3);
        child
    }

    fn marked(marker: &TerminalMarker) -> usize {
        let marker = marker.to_string();
        std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| std::fs::read(entry.ok()?.path().join("environ")).ok())
            .filter(|environ| environ.windows(marker.len()).any(|window| window == marker.as_bytes()))
            .count()
    }

    #[test]
    fn watcher_kills_only_marked_processes() {
        for shell in [&["/bin/sh"][..], &["/bin/bash"], &["/bin/busybox", "sh"]] {
            let (marker, other) = (TerminalMarker::random(), TerminalMarker::random());
            let mut bystander = victim(&other);
            let mut child = victim(&marker);
            assert!(marked(&marker) >= 4, "{shell:?}");
            let mut watcher = watch(shell, &marker);
            let mut idle = watch(shell, &other);
            drop(watcher.stdin.take());
            let reaper = std::thread::spawn(move || child.wait());
            assert!(watcher.wait().unwrap().success(), "{shell:?}");
            reaper.join().unwrap().unwrap();
            assert_eq!(marked(&marker), 0, "{shell:?}");
            assert!(marked(&other) >= 4, "{shell:?}: the neighbour lives");
            drop(idle.stdin.take());
            let reaper = std::thread::spawn(move || bystander.wait());
            assert!(idle.wait().unwrap().success(), "{shell:?}");
            reaper.join().unwrap().unwrap();
            assert_eq!(marked(&other), 0, "{shell:?}");
        }
    }

    #[test]
    fn idle_watcher_exits_soon() {
        let began = Instant::now();
        let mut watcher = watch(&["/bin/sh"], &TerminalMarker::random());
        drop(watcher.stdin.take());
        assert!(watcher.wait().unwrap().success());
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn watcher_command_quotes_every_word() {
        let marker = TerminalMarker::random();
        let line = watcher_command(&ContainerShell::new("ws-1".parse().unwrap()), &marker).unwrap();
        assert!(line.starts_with("docker exec -i ws-1 sh -c 'while read"), "{line}");
        assert!(line.ends_with(&format!(" sh {marker}")), "{line}");
    }
}
