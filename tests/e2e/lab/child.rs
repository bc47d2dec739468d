//! Programs that a test starts and that must end, or write something, within a bounded time.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll as poll_fds};

use super::signals::restore_default_signals;
use super::wait::poll;

/// How long a program may take to its end, or to its next output: more than any does on a busy machine.
pub(crate) const PROGRAM_TIMEOUT: Duration = Duration::from_secs(180);

/// Waits for the end of `child`; kills it and panics when it does not end in time.
#[track_caller]
pub(crate) fn wait_for_exit(child: &mut Child) -> ExitStatus {
    if let Some(status) = poll(PROGRAM_TIMEOUT, || child.try_wait().unwrap()) {
        return status;
    }
    let _ = child.kill();
    panic!("process {} did not end within {PROGRAM_TIMEOUT:?}", child.id());
}

/// Runs `command`, whose stdin is set, to its end and returns its output.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> Output {
    restore_default_signals();
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let status = wait_for_exit(&mut child);
    // A program left in the background may hold a pipe open.
    let all = |pipe: mpsc::Receiver<Vec<u8>>| pipe.recv_timeout(PROGRAM_TIMEOUT).expect("the output ends");
    Output { status, stdout: all(stdout), stderr: all(stderr) }
}

/// Reads `pipe` to its end on a thread of its own.
fn drain(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut all = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut all);
        }
        let _ = send.send(all);
    });
    receive
}

/// Fills `buffer` from `pipe`; panics when that takes too long or the pipe ends before.
#[track_caller]
pub(crate) fn read_exact(pipe: &mut (impl Read + AsFd), buffer: &mut [u8]) {
    let deadline = Instant::now() + PROGRAM_TIMEOUT;
    let (mut filled, len) = (0, buffer.len());
    while filled < len {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap();
        match poll_fds(&mut [PollFd::new(&*pipe, PollFlags::IN)], Some(&left)) {
            Ok(0) => panic!("only {filled} of {len} bytes in {PROGRAM_TIMEOUT:?}"),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => panic!("{error}"),
        }
        let count = pipe.read(&mut buffer[filled..]).unwrap();
        assert!(count > 0, "the end after {filled} of {len} bytes");
        filled += count;
    }
}
