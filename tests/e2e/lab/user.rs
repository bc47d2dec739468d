//! Temporary OS users.

use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::process::Process;
use super::reaper;
use super::require::{root, run, run_ok};
use super::wait::eventually_within;

/// How long another process may lock the password file.
const LOCK_TIMEOUT: Duration = Duration::from_secs(20);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A user that is removed on drop, with all its processes.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
}

/// Returns a name that no other test, in this or another process, uses.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}{}x{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl User {
    /// Creates a user in `groups` with the home `home`, which is created, and the shell bash.
    #[track_caller]
    pub(crate) fn new(home: &Path, groups: &[&str]) -> Self {
        root("making a user");
        let name = unique("eice");
        reaper::removes_user(&name);
        let (groups, home) = (groups.join(","), home.to_str().unwrap());
        // `*`: sshd refuses a user without a password field as locked.
        let mut args = vec!["-m", "-k", "/nonexistent", "-d", home, "-s", "/bin/bash", "-p", "*", "-U"];
        if !groups.is_empty() {
            args.extend(["-G", &groups]);
        }
        args.push(&name);
        locked("useradd", &args);
        let uid = run_ok("id", ["-u", &name]).trim().parse().unwrap();
        Self { name, uid }
    }

    /// Returns its processes.
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

/// Runs a program that edits the password file; retries while another one has it locked.
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
