//! A program that a test runs beside itself.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::process::Process;
use super::reaper;

/// How long a part may take to end by itself when asked.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// A running program, ended with all that it started when it is dropped, and when this process is killed.
#[derive(Debug)]
pub(crate) struct Part {
    child: Child,
    pub(crate) process: Process,
}

impl Part {
    /// Starts `command` in a process group of its own.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        super::signals::restore_default_signals();
        let mut child = command
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let Some(process) = Process::find(child.id()) else {
            panic!("{command:?} ended at once: {:?}", child.wait());
        };
        reaper::ends(&process);
        Self { child, process }
    }

    /// Its standard input, output and error, where they are pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it, and it alone, without a warning.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and returns its exit status when it does so within the deadline.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> std::process::ExitStatus {
        self.process.signal(Signal::TERM);
        super::wait::eventually_within(END_TIMEOUT, "a part ends when asked", || {
            self.child.try_wait().ok().flatten()
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let started = Process::descendants(self.process.pid);
        if self.is_running() {
            self.process.signal(Signal::TERM);
            let end = Instant::now() + END_TIMEOUT;
            while self.is_running() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            self.kill();
        }
        for process in started {
            process.signal(Signal::KILL);
        }
    }
}
