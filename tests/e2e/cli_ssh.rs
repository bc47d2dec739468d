//! `eice ssh` for users and scripts: on a terminal or on pipes, to a real sshd.

use std::fs;

use eice::emulator::InstanceState;
use rustix::process::Signal;

use crate::lab::{ClientMachine, Tty, eventually, noise};

/// Returns a line that prints `followed-2` once the terminal has `size`: input may overtake the resize.
fn size_becomes(size: &str) -> String {
    format!("\runtil [ \"$(stty size)\" = '{size}' ]; do :; done; echo followed-$((1+1))\r")
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_has_window_size_and_ctrl_c() {
    let client = ClientMachine::start().await;
    client.world.emulator.faults().update(|faults| faults.upgrade_delay_ms = 300);
    let mut tty = client.tty(&[]);
    // A slow stage is shown, and the line is erased before the shell's first output.
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
        client.sshd.serving().iter().any(|p| p.command == "sleep 1000").then_some(())
    });
    tty.types("\u{3}");
    eventually("sleep is gone", || {
        (!client.sshd.serving().iter().any(|p| p.command == "sleep 1000")).then_some(())
    });
    tty.types("\recho still-$((2+2))\r");
    tty.until("still-4");
    tty.types("exit 7\r");
    assert_eq!(tty.ends().code(), Some(7));
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_mode_is_restored() {
    let client = ClientMachine::start().await;
    let mut tty = client.at_shell(&[]);
    tty.types("\r~.");
    assert_eq!(tty.ends().code(), Some(255), "as ssh does");
    for (signal, status) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut tty = client.at_shell(&[]);
        tty.process.signal(signal);
        assert_eq!(tty.ends().code(), Some(status), "{signal:?}");
    }
    // The instance's sshd ends the connection.
    let mut tty = client.at_shell(&[]);
    for process in client.sshd.serving() {
        process.signal(Signal::KILL);
    }
    let status = tty.ends().code();
    assert!(status.is_some_and(|status| status != 0), "{status:?}: {}", tty.said());
    // An error before the shell opens.
    client.world.emulator.set_instance_state(&client.world.instance(), InstanceState::Stopped);
    let mut tty = client.tty(&[]);
    assert_eq!(tty.ends().code(), Some(69));
    tty.until("hint: ");
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn tilde_ctrl_z_suspends() {
    let client = ClientMachine::start().await;
    let mut tty = client.at_shell(&[]);
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
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_status_follows_command() {
    let client = ClientMachine::start().await;
    for (command, status) in [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
        let said = client.ssh(&[], command, b"").await;
        assert_eq!(said.code, Some(status), "{command}: {said:?}");
        assert_eq!(said.stderr, "", "no progress where there is no terminal");
    }
    let said = client.ssh(&[], "echo out; echo err >&2; cat", b"in").await;
    assert_eq!((said.expect_success().as_str(), said.stderr.as_str()), ("out\nin", "err\n"));
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_are_lossless() {
    let client = ClientMachine::start().await;
    let data = noise(1, 8 << 20);
    let said = client.ssh(&[], "cat", &data).await;
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout == data, "{} of {} bytes came back", said.stdout.len(), data.len());
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn pty_flags_match_ssh() {
    let client = ClientMachine::start().await;
    let command = "test -t 0 && echo terminal || { cat; echo pipe; }";
    // No local terminal: a single -t is ignored, so that EOF is passed on.
    let said = client.ssh(&["-t"], command, b"").await;
    assert_eq!(said.expect_success(), "pipe\n");
    assert!(said.stderr.contains("-tt insists"), "{}", said.stderr);
    assert_eq!(client.ssh(&["-tt"], command, b"").await.expect_success(), "terminal\r\n");
    let (args, stderr) = (["ssh", "-t", &client.destination, "--", command], client.here().join("stderr"));
    let mut tty = Tty::start(&args, &client.env(), client.here(), Some(&stderr));
    tty.until("terminal");
    assert_eq!(tty.ends().code(), Some(0));
    assert_eq!(fs::read_to_string(stderr).unwrap(), "", "progress is for terminals");
    client.is_idle();
}
