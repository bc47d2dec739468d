//! `eice ssh` as a person and a script have it: the program itself, on a terminal of its own or on pipes, to a real
//! sshd.

use std::fs;

use eice::emulator::InstanceState;
use rustix::process::Signal;

use crate::lab::{Station, Tty, eventually, noise};

/// A line for the shell that answers `followed-2` once its terminal has `size`: what is typed may overtake the news.
fn size_becomes(size: &str) -> String {
    format!("\runtil [ \"$(stty size)\" = '{size}' ]; do :; done; echo followed-$((1+1))\r")
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_has_window_size_and_ctrl_c() {
    let station = Station::start().await;
    station.world.emulator.faults().update(|faults| faults.upgrade_delay_ms = 300);
    let mut tty = station.tty(&[]);
    // The stage that takes long is on the line, which is gone when the shell speaks.
    tty.until("eice: ");
    tty.until("upgrade");
    tty.until("\r\x1b[2K");
    tty.types("echo ready-$((40+2))\r");
    tty.until("ready-42");
    assert!(!tty.is_restored(), "it is raw while the shell runs");
    tty.types("stty size\r");
    tty.until("30 100");
    tty.types(&size_becomes("41 132"));
    tty.resize(41, 132);
    tty.until("followed-2");
    tty.types("sleep 1000; echo ended-$((1+2))\r");
    tty.until("echo ended");
    eventually("sleep runs", || {
        station.sshd.serving().iter().any(|p| p.command == "sleep 1000").then_some(())
    });
    tty.types("\u{3}");
    eventually("sleep is gone", || {
        (!station.sshd.serving().iter().any(|p| p.command == "sleep 1000")).then_some(())
    });
    tty.types("\recho still-$((2+2))\r");
    tty.until("still-4");
    tty.types("exit 7\r");
    assert_eq!(tty.ends().code(), Some(7));
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_mode_is_restored() {
    let station = Station::start().await;
    let mut tty = station.at_shell(&[]);
    tty.types("\r~.");
    assert_eq!(tty.ends().code(), Some(255), "as ssh does");
    for (signal, status) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut tty = station.at_shell(&[]);
        tty.process.signal(signal);
        assert_eq!(tty.ends().code(), Some(status), "{signal:?}");
    }
    // The instance's sshd ends the connection.
    let mut tty = station.at_shell(&[]);
    for process in station.sshd.serving() {
        process.signal(Signal::KILL);
    }
    let status = tty.ends().code();
    assert!(status.is_some_and(|status| status != 0), "{status:?}: {}", tty.said());
    // An error before there is a shell.
    station.world.emulator.set_instance_state(&station.world.instance(), InstanceState::Stopped);
    let mut tty = station.tty(&[]);
    assert_eq!(tty.ends().code(), Some(69));
    tty.until("hint: ");
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn tilde_ctrl_z_suspends() {
    let station = Station::start().await;
    let mut tty = station.at_shell(&[]);
    tty.types("\r~\u{1a}");
    eventually("it is stopped", || tty.is_stopped().then_some(()));
    assert!(tty.is_restored());
    tty.resize(33, 77);
    tty.process.signal(Signal::CONT);
    eventually("it is raw again", || (!tty.is_restored()).then_some(()));
    tty.types(&size_becomes("33 77"));
    tty.until("followed-2");
    tty.types("exit\r");
    assert_eq!(tty.ends().code(), Some(0));
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_status_follows_command() {
    let station = Station::start().await;
    for (command, status) in [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
        let said = station.ssh(&[], command, b"").await;
        assert_eq!(said.code, Some(status), "{command}: {said:?}");
        assert_eq!(said.stderr, "", "no progress where there is no terminal");
    }
    let said = station.ssh(&[], "echo out; echo err >&2; cat", b"in").await;
    assert_eq!((said.good().as_str(), said.stderr.as_str()), ("out\nin", "err\n"));
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_are_lossless() {
    let station = Station::start().await;
    let data = noise(1, 8 << 20);
    let said = station.ssh(&[], "cat", &data).await;
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout == data, "{} of {} bytes came back", said.stdout.len(), data.len());
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn pty_flags_match_ssh() {
    let station = Station::start().await;
    let command = "test -t 0 && echo terminal || { cat; echo pipe; }";
    // No terminal here: -t alone gives way, so that the end of input is told.
    let said = station.ssh(&["-t"], command, b"").await;
    assert_eq!(said.good(), "pipe\n");
    assert!(said.stderr.contains("-tt insists"), "{}", said.stderr);
    assert_eq!(station.ssh(&["-tt"], command, b"").await.good(), "terminal\r\n");
    let (args, stderr) = (["ssh", "-t", &station.destination, "--", command], station.here().join("stderr"));
    let mut tty = Tty::start(&args, &station.env(), station.here(), Some(&stderr));
    tty.until("terminal");
    assert_eq!(tty.ends().code(), Some(0));
    assert_eq!(fs::read_to_string(stderr).unwrap(), "", "progress is for terminals");
    station.is_idle();
}
