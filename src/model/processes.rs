//! Ends the local processes that a terminal started.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal as Number, kill_process};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Exit, Signal};

/// The grace period between a hang-up and a kill.
const HANGUP_GRACE: Duration = Duration::from_millis(500);
/// How often to check whether processes are gone.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The time limit for reaping a killed process.
const REAP_TIMEOUT: Duration = Duration::from_secs(2);
/// The time limit of [`close`].
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the processes in the session or the process group of `leader`. Jobs that a shell put into their own
/// groups are included; processes that called `setsid` and zombies are not.
pub(crate) fn members(leader: u32) -> Vec<Pid> {
    select(|_, stat| stat.group == leader || stat.session == leader)
}

/// Returns this user's processes whose initial environment contains `marker` (`NAME=value`).
#[cfg(feature = "emulator")]
pub(crate) fn marked(marker: &str) -> Vec<Pid> {
    select(|pid, _| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes()))
    })
}

/// Sends `signal` to each of `processes` that still exists.
pub(crate) fn send(processes: &[Pid], signal: Number) {
    for pid in processes {
        let _ = kill_process(*pid, signal);
    }
}

/// Hangs up the session of `leader`, kills what is left after a grace period, and reaps the child.
pub(crate) async fn end(child: &mut Child, leader: u32) -> Exit {
    let there = members(leader);
    send(&there, Number::HUP);
    // A stopped job handles the hang-up only once it continues.
    send(&there, Number::CONT);
    let deadline = Instant::now() + HANGUP_GRACE;
    while Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_))) && members(leader).is_empty() {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    send(&members(leader), Number::KILL);
    let _ = child.start_kill();
    let exit = match timeout(REAP_TIMEOUT, child.wait()).await {
        Ok(Ok(status)) => exit_of(status),
        _ => Exit::Unknown,
    };
    kill(|| members(leader)).await;
    exit
}

/// Asks the supervisor of a process to [`end`] it, by cancelling `stop`, and waits within a bound until `exit`
/// is set. The process is ended even if the future is dropped.
pub(crate) fn close(
    stop: &CancellationToken,
    mut exit: watch::Receiver<Option<Exit>>,
) -> BoxFuture<'static, ()> {
    stop.cancel();
    async move {
        let _ = timeout(CLOSE_TIMEOUT, exit.wait_for(Option::is_some)).await;
    }
    .boxed()
}

/// Kills the processes that `find` returns until it returns none, within a bound. A killed process exists for a
/// moment longer, and one forked during the listing is not in it.
pub(crate) async fn kill(find: impl Fn() -> Vec<Pid>) {
    let deadline = Instant::now() + REAP_TIMEOUT;
    loop {
        let left = find();
        if left.is_empty() || Instant::now() >= deadline {
            return;
        }
        send(&left, Number::KILL);
        sleep(LOOK_EVERY).await;
    }
}

/// Returns how a local process exited.
pub(crate) fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code.unsigned_abs()),
        (None, Some(number)) => Exit::Signal { name: signal_name(number), core_dumped: status.core_dumped() },
        (None, None) => Exit::Unknown,
    }
}

/// Returns the number of a signal on this machine.
pub(crate) fn number_of(signal: Signal) -> Number {
    match signal {
        Signal::Hup => Number::HUP,
        Signal::Int => Number::INT,
        Signal::Quit => Number::QUIT,
        Signal::Term => Number::TERM,
        Signal::Kill => Number::KILL,
    }
}

/// Returns SSH's name for a Linux signal number (RFC 4254, section 6.10), or one in the form that the RFC
/// leaves to each implementation.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        6 => "ABRT",
        8 => "FPE",
        9 => "KILL",
        10 => "USR1",
        11 => "SEGV",
        12 => "USR2",
        13 => "PIPE",
        14 => "ALRM",
        15 => "TERM",
        _ => return format!("{number}@eice"),
    };
    name.to_owned()
}

struct Stat {
    group: u32,
    session: u32,
}

fn select(wanted: impl Fn(i32, &Stat) -> bool) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|stat| wanted(*pid, &stat))).filter_map(Pid::from_raw).collect()
}

/// Returns the process group and session of a process that is not a zombie. The name may contain anything, so
/// the fields are counted from its last parenthesis (proc(5)).
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let (_parent, group, session) = (fields.next()?, fields.next()?, fields.next()?);
    if matches!(state, "Z" | "X") {
        return None;
    }
    Some(Stat { group: group.parse().ok()?, session: session.parse().ok()? })
}
