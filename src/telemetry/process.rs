//! The resource usage of this process, from the kernel.

use std::fs;

use rustix::process::{Resource, getrlimit};

/// The memory and files of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// Resident memory, in bytes.
    pub(super) resident_bytes: i64,
    /// Open files and sockets.
    pub(super) open_files: i64,
    /// The limit of open files.
    pub(super) max_files: i64,
}

impl Usage {
    /// Reads the current usage; `None` without /proc.
    pub(super) fn now() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: i64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
        // The directory being read is one of them.
        let open = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
        let max_files = getrlimit(Resource::Nofile).current.map_or(i64::MAX, saturated);
        Some(Self { resident_bytes: kibibytes * 1024, open_files: saturated(open as u64), max_files })
    }
}

fn saturated(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
