//! The processes of this machine, read from /proc.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::wait::eventually_within;

/// How long a killed process may take to disappear.
const GONE_TIMEOUT: Duration = Duration::from_secs(10);

/// A process, identified by its number and start time, since numbers are reused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Start time in clock ticks since boot.
    pub(crate) started: u64,
    parent: u32,
    /// The command line, for messages.
    pub(crate) command: String,
}

impl Process {
    /// Returns the process `pid`, unless it is gone or a zombie.
    pub(crate) fn find(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let after_name = &stat[stat.rfind(')')? + 2..];
        let fields: Vec<&str> = after_name.split(' ').collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        Some(Self {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
            command: String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned(),
        })
    }

    /// Returns all processes.
    pub(crate) fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").unwrap();
        entries.filter_map(|entry| Self::find(entry.ok()?.file_name().to_str()?.parse().ok()?)).collect()
    }

    /// Returns the children of `pid` and all their descendants.
    pub(crate) fn descendants(pid: u32) -> Vec<Self> {
        let all = Self::all();
        let mut found: Vec<Self> = Vec::new();
        let mut parents = vec![pid];
        while let Some(parent) = parents.pop() {
            for process in all.iter().filter(|process| process.parent == parent) {
                parents.push(process.pid);
                found.push(process.clone());
            }
        }
        found
    }

    /// Returns the processes of the user `uid`.
    pub(crate) fn of_user(uid: u32) -> Vec<Self> {
        let owner = |pid: u32| fs::metadata(format!("/proc/{pid}")).ok().map(|meta| meta.uid());
        Self::all().into_iter().filter(|process| owner(process.pid) == Some(uid)).collect()
    }

    /// Returns the processes in the PID namespace of `pid`: all of a container, given its first process.
    pub(crate) fn in_namespace_of(pid: u32) -> Vec<Self> {
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let Some(own) = namespace(pid) else { return Vec::new() };
        Self::all().into_iter().filter(|process| namespace(process.pid).as_ref() == Some(&own)).collect()
    }

    /// Returns whether it still exists.
    pub(crate) fn is_there(&self) -> bool {
        Self::find(self.pid).is_some_and(|now| now.started == self.started)
    }

    /// Sends `signal` if it still exists.
    pub(crate) fn signal(&self, signal: Signal) {
        if let (true, Some(pid)) = (self.is_there(), Pid::from_raw(self.pid.cast_signed())) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills it and waits until it has disappeared.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        eventually_within(GONE_TIMEOUT, "a killed process is gone", || (!self.is_there()).then_some(()));
    }
}
