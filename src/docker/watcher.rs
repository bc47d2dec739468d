//! The watcher: what ends the processes of a terminal that `docker exec -it` leaves behind.

use super::exec::{engine, quoted};
use super::{InvalidCommand, Marker};
use crate::model::ContainerShell;

/// Waits for the end of stdin, then ends every process whose environment carries `$1`.
///
/// Builtins only, save `sleep`: dash, bash and busybox run it, and so does an image without grep or ps. A round
/// looks at every process's environment (a NUL is nothing to `read`, a newline in a value ends one of its
/// lines). The first round sends HUP, and CONT so that a stopped job hears it; the sixth and later ones KILL.
/// Two clean rounds in a row are the end, because one may pass just before the engine starts the shell. After
/// 60 rounds, 12 s, something cannot be killed, and that is an error: 3, which no engine exits with.
///
/// The script's own environment does not carry the marker, its arguments do.
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

/// The command line that ends the processes marked with `marker` in the container of `shell`, once its stdin
/// ends. It exits with 0 when none is left.
///
/// The engine passes on the end of stdin even when its own program is killed, so that a broken connection sets
/// the watcher to work as well. It misses what has another user's environment to hide or has cleared its own.
///
/// # Errors
/// [`InvalidCommand`] when there is no engine or a word holds a NUL byte.
pub fn watcher_command(shell: &ContainerShell, marker: &Marker) -> Result<String, InvalidCommand> {
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

    /// Runs the script under `shell` as the engine would.
    fn watch(shell: &[&str], marker: &Marker) -> Child {
        Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", SCRIPT, "sh", &marker.to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// A shell with the marker, a background job, a job that ignores HUP and one in a session of its own; each
    /// is known to run when this returns.
    ///
    /// Who has said that it is up stays the program that it is: a process has no environment to read for the
    /// moment in which it becomes another.
    fn victim(marker: &Marker) -> Child {
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

    fn marked(marker: &Marker) -> usize {
        let marker = marker.to_string();
        std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| std::fs::read(entry.ok()?.path().join("environ")).ok())
            .filter(|environ| environ.windows(marker.len()).any(|window| window == marker.as_bytes()))
            .count()
    }

    #[test]
    fn nothing_with_the_marker_is_left_and_everything_else_is() {
        for shell in [&["/bin/sh"][..], &["/bin/bash"], &["/bin/busybox", "sh"]] {
            let (marker, other) = (Marker::random(), Marker::random());
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
    fn a_watcher_with_nothing_to_do_is_done_soon() {
        let began = Instant::now();
        let mut watcher = watch(&["/bin/sh"], &Marker::random());
        drop(watcher.stdin.take());
        assert!(watcher.wait().unwrap().success());
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn the_command_line_is_one_word_per_part() {
        let marker = Marker::random();
        let line = watcher_command(&ContainerShell::new("ws-1".parse().unwrap()), &marker).unwrap();
        assert!(line.starts_with("docker exec -i ws-1 sh -c 'while read"), "{line}");
        assert!(line.ends_with(&format!(" sh {marker}")), "{line}");
    }
}
