//! Which demo a container belongs to, so that a later demo can detect that it has ended.

use std::fmt;
use std::fs;
use std::str::FromStr;

/// Identifies a process uniquely, across reuse of its number and across machines and PID namespaces that share an
/// engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// Boot id and PID namespace.
    place: String,
    pid: u32,
    /// Start time in clock ticks since boot.
    started: u64,
}

/// The label is not an owner's.
#[derive(Debug)]
pub(super) struct NotAnOwner;

impl Owner {
    /// Returns the owner for this process.
    pub(super) fn current() -> Self {
        let pid = std::process::id();
        Self { place: place(), pid, started: started(pid).unwrap_or(0) }
    }

    /// Returns whether `us` may remove this owner's container: its process has ended; or it belongs to another machine
    /// or namespace, whose processes are not visible, and the container does not run.
    pub(super) fn is_gone(&self, us: &Self, running: bool) -> bool {
        if self.place == us.place { started(self.pid) != Some(self.started) } else { !running }
    }
}

/// Returns the boot id and the PID namespace.
fn place() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let namespace: String = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    format!("{}-{namespace}", boot.trim())
}

/// Returns the start time of the process `pid`: the 22nd field of its `stat` (proc(5)); `None` when it does not exist.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in parentheses, which may itself contain parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    if state == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.place, self.pid, self.started)
    }
}

impl FromStr for Owner {
    type Err = NotAnOwner;

    fn from_str(text: &str) -> Result<Self, NotAnOwner> {
        let mut parts = text.rsplitn(3, ':');
        let (started, pid, place) = (parts.next(), parts.next(), parts.next());
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<u64>().ok()).ok_or(NotAnOwner);
        Ok(Self {
            started: number(started)?,
            pid: u32::try_from(number(pid)?).map_err(|_| NotAnOwner)?,
            place: place.ok_or(NotAnOwner)?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_round_trips_and_expires() {
        let us = Owner::current();
        assert_eq!(us.to_string().parse::<Owner>().unwrap(), us);
        assert!(!us.is_gone(&us, true) && !us.is_gone(&us, false));

        let reused = Owner { started: us.started + 1, ..us.clone() };
        assert!(reused.is_gone(&us, true), "another process has the number now");

        let mut child = std::process::Command::new("true").spawn().unwrap();
        let child_owner = Owner { pid: child.id(), started: started(child.id()).unwrap_or(1), ..us.clone() };
        child.wait().unwrap();
        assert!(child_owner.is_gone(&us, true));

        let elsewhere = Owner { place: "elsewhere".into(), ..us.clone() };
        assert!(!elsewhere.is_gone(&us, true), "its process cannot be seen from here");
        assert!(elsewhere.is_gone(&us, false));
        assert!("nonsense".parse::<Owner>().is_err());
    }
}
