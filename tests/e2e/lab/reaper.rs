//! Cleans up after a test process that could not: killed, aborted, or ended with live statics.
//!
//! A shell in its own process group reads from a pipe what must be cleaned up. When the pipe ends, for any reason, the
//! test process is gone, and the list is processed in reverse order.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::process::Process;

const SCRIPT: &str = r#"
list=
while IFS= read -r line; do list="$line
$list"; done
started() { s=$(cat "/proc/$1/stat" 2>/dev/null) || return 0; set -- ${s##*) }; echo "${20}"; }
printf '%s' "$list" | while read -r what name more; do
    case $what in
        process)
            [ "$(started "$name")" = "$more" ] || continue
            kill -TERM "$name"
            n=0
            while [ "$(started "$name")" = "$more" ] && [ $n -lt 200 ]; do sleep 0.1; n=$((n + 1)); done
            [ "$(started "$name")" = "$more" ] && kill -KILL "$name" ;;
        user) id "$name" && { for p in $(ps -o pid= -U "$name"); do kill -KILL "$p"; done; userdel "$name"; } ;;
        group) groupdel "$name" ;;
        folder)
            # The folder's name is random: a process whose command line has it was started for it.
            grep -lsF "$name" /proc/[0-9]*/cmdline | while IFS=/ read -r _ _ p _; do
                [ "$p" = $$ ] || kill -KILL "$p"
            done
            cut -d' ' -f2 /proc/self/mounts | grep -F "$name" | sort -r | while read -r m; do umount "$m"; done
            rm -rf "$name" ;;
    esac
done >/dev/null 2>&1
"#;

#[allow(clippy::zombie_processes, reason = "it outlives this process on purpose")]
static LIST: LazyLock<Mutex<ChildStdin>> = LazyLock::new(|| {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("trap '' INT TERM HUP; {SCRIPT}")]).current_dir("/").process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = shell.spawn().expect("/bin/sh starts");
    Mutex::new(child.stdin.take().expect("its stdin is a pipe"))
});

fn add(line: &str) {
    let mut list = LIST.lock().unwrap_or_else(PoisonError::into_inner);
    // One write, so that no line is partial.
    list.write_all(format!("{line}\n").as_bytes()).expect("the reaper reads");
}

/// Registers `process` to be ended.
pub(crate) fn ends(process: &Process) {
    add(&format!("process {} {}", process.pid, process.started));
}

/// Registers the user `name` to be removed with its processes.
pub(crate) fn removes_user(name: &str) {
    add(&format!("user {name}"));
}

/// Registers the group `name` to be removed.
pub(crate) fn removes_group(name: &str) {
    add(&format!("group {name}"));
}

/// Registers `folder` to be removed, with all mounts below it.
pub(crate) fn removes_folder(folder: &Path) {
    add(&format!("folder {}", folder.display()));
}
