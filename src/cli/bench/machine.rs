//! Properties of this machine that affect the figures.

use serde::Serialize;

/// The measuring machine.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    /// Processors available to this process.
    pub(super) cores: usize,
    pub(super) cpu: Option<String>,
    pub(super) kernel: Option<String>,
    pub(super) arch: &'static str,
    /// The load average of the last minute at the start: a busy machine distorts the figures.
    pub(super) load_1m: Option<f64>,
}

impl Machine {
    pub(super) fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let cpu = read("/proc/cpuinfo").and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu,
            kernel: read("/proc/sys/kernel/osrelease").map(|text| format!("Linux {}", text.trim())),
            arch: std::env::consts::ARCH,
            load_1m: read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
        }
    }
}
