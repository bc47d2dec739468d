//! A throw-away OS user.

use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::process::Process;
use super::reaper;
use super::require::{root, run, run_ok};
use super::wait::eventually_within;

/// How long another process may hold the lock of the password file.
const LOCK_TIMEOUT: Duration = Duration::from_secs(20);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A user that is there as long as this; then it goes with all that it runs.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
}

/// A name that no other test, in this or another process, uses.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}{}x{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl User {
    /// A user whose home is `home`, which is made, and whose shell is bash; also in `groups`.
    #[track_caller]
    pub(crate) fn new(home: &Path, groups: &[&str]) -> Self {
        root("making a user");
        let name = unique("eice");
        reaper::removes_user(&name);
        let (groups, home) = (groups.join(","), home.to_str().unwrap());
        // `*`: without a password a user counts as locked, and sshd lets nobody in.
        let mut args = vec!["-m", "-k", "/nonexistent", "-d", home, "-s", "/bin/bash", "-p", "*", "-U"];
        if !groups.is_empty() {
            args.extend(["-G", &groups]);
        }
        args.push(&name);
        locked("useradd", &args);
        let uid = run_ok("id", ["-u", &name]).trim().parse().unwrap();
        Self { name, uid }
    }

    /// What it runs.
    pub(crate) fn processes(&self) -> Vec<Process> {
        Process::of_user(self.uid)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        for process in self.processes() {
            process.kill();
        }
        locked("userdel", &[&self.name]);
    }
}

/// Runs a program that edits the password file, again while another one does.
pub(crate) fn locked(name: &str, args: &[&str]) {
    const CANNOT_LOCK: [Option<i32>; 2] = [Some(1), Some(10)];
    eventually_within(LOCK_TIMEOUT, name, || {
        let output = run(name, args);
        if CANNOT_LOCK.contains(&output.status.code()) {
            return None;
        }
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} {args:?}: {}: {text}", output.status);
        Some(())
    });
}
