//! A program that a test runs in the background.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::Signal;

use super::process::Process;
use super::reaper;
use super::signals::restore_default_signals;
use super::wait::{eventually_within, poll};

/// How long a program may take to end after SIGTERM.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// A running program. It is ended with all its descendants on drop, and when the test process is killed.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    child: Child,
    pub(crate) process: Process,
}

impl ChildProcess {
    /// Starts `command` in its own process group.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        restore_default_signals();
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

    /// Returns the standard library's handle, which has the pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Returns whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills only this process, with SIGKILL.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM and returns the exit status; panics when it does not end in time.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> std::process::ExitStatus {
        self.process.signal(Signal::TERM);
        eventually_within(END_TIMEOUT, "a program ends after SIGTERM", || {
            self.child.try_wait().ok().flatten()
        })
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let started = Process::descendants(self.process.pid);
        if self.is_running() {
            self.process.signal(Signal::TERM);
            let _ = poll(END_TIMEOUT, || (!self.is_running()).then_some(()));
            self.kill();
        }
        for process in started {
            process.signal(Signal::KILL);
        }
    }
}
