//! What of this machine matters to the figures.

use serde::Serialize;

/// The machine that measures.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    /// Processors that this process may use.
    pub(super) cores: usize,
    pub(super) cpu: Option<String>,
    pub(super) kernel: Option<String>,
    pub(super) arch: &'static str,
    /// How many programs wanted a processor in the last minute, when it began: a busy machine measures itself.
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
