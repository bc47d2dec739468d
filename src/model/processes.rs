//! Ending the processes of this machine that a terminal started.

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

/// How long processes have after a hang-up before they are killed.
const HANGUP_GRACE: Duration = Duration::from_millis(500);
/// How often it is looked whether they are gone.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long a killed process may take to be reaped.
const REAP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long [`close`] waits at most.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The processes of the session, or of the process group, that `leader` leads: jobs that a shell put into
/// groups of their own included, what called `setsid` not. Zombies do not count.
pub(crate) fn members(leader: u32) -> Vec<Pid> {
    select(|_, stat| stat.group == leader || stat.session == leader)
}

/// The processes of this user whose environment, as they were started, has `marker` (`NAME=value`).
#[cfg(feature = "emulator")]
pub(crate) fn marked(marker: &str) -> Vec<Pid> {
    select(|pid, _| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes()))
    })
}

/// Sends `signal` to each of `processes` that is still there.
pub(crate) fn send(processes: &[Pid], signal: Number) {
    for pid in processes {
        let _ = kill_process(*pid, signal);
    }
}

/// Hangs up what `leader` leads, then kills what is left of it after a grace, and reaps the child.
pub(crate) async fn end(child: &mut Child, leader: u32) -> Exit {
    let there = members(leader);
    send(&there, Number::HUP);
    // A stopped job does not see the hang-up until it goes on.
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

/// Asks whoever supervises a process to [`end`] it, by cancelling `stop`, and waits within a bound until `exit` is told.
/// The process is ended even when the future is dropped.
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

/// Kills what `find` finds until it finds nothing, within a bound: a killed process is there for a moment yet, and
/// what was forked while the list was made was not in it.
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

/// How a process of this machine ended.
pub(crate) fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code.unsigned_abs()),
        (None, Some(number)) => Exit::Signal { name: signal_name(number), core_dumped: status.core_dumped() },
        (None, None) => Exit::Unknown,
    }
}

/// The number of a signal on this machine.
pub(crate) fn number_of(signal: Signal) -> Number {
    match signal {
        Signal::Hup => Number::HUP,
        Signal::Int => Number::INT,
        Signal::Quit => Number::QUIT,
        Signal::Term => Number::TERM,
        Signal::Kill => Number::KILL,
    }
}

/// The name that SSH has for a signal number of Linux (RFC 4254, section 6.10), or one in the form that it
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

/// The process group and session of a process that is no zombie. proc(5): the name may hold anything, so the
/// fields are counted from its last parenthesis.
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
