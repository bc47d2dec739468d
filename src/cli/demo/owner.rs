//! Which demo a container belongs to, so that the next demo can tell whether that one is gone.

use std::fmt;
use std::fs;
use std::str::FromStr;

/// A process, named so that no other is taken for it: not the next one with its number, not one of another
/// machine or PID namespace that uses the same engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The boot and the PID namespace.
    place: String,
    pid: u32,
    /// The process's start, in clock ticks after the boot.
    started: u64,
}

/// A label that is not an owner's.
#[derive(Debug)]
pub(super) struct NotAnOwner;

impl Owner {
    /// This process.
    pub(super) fn current() -> Self {
        let pid = std::process::id();
        Self { place: place(), pid, started: started(pid).unwrap_or(0) }
    }

    /// Whether this owner's container may be removed, seen from `us`: its process is gone; or it belongs to
    /// another place, whose processes cannot be seen, and does not run.
    pub(super) fn is_gone(&self, us: &Self, running: bool) -> bool {
        if self.place == us.place { started(self.pid) != Some(self.started) } else { !running }
    }
}

/// This boot of this machine, and the namespace that process numbers are of.
fn place() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let namespace: String = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    format!("{}-{namespace}", boot.trim())
}

/// When the process `pid` started: the 22nd field of its `stat` (proc(5)); `None` when there is none.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in brackets and may hold anything, brackets too.
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
    fn an_owner_reads_back_and_is_gone_when_its_process_is() {
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
