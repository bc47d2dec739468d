//! The program started with signals ignored, as `eice … &` in a script and `nohup eice …` start it.

use std::fs;

use rustix::process::Signal;

use crate::lab::{ClientShell, Program};

/// The signals that `status`, a `/proc/PID/status`, says are ignored: bit n - 1 is signal n.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a line SigIgn");
    u64::from_str_radix(mask.trim(), 16).unwrap()
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.as_raw() - 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn emulated_shells_have_default_signals() {
    let args = ["emulator", "--listen", "127.0.0.1:0", "--json"];
    let emulator = Program::start_ignoring("HUP INT QUIT", &args, &[]);
    let own = fs::read_to_string(format!("/proc/{}/status", emulator.pid())).unwrap();
    assert_ne!(ignored(&own) & bit(Signal::QUIT), 0, "the program itself was started so");
    let ready = &emulator.ready;
    let shell =
        ClientShell { home: tempfile::tempdir().unwrap(), env: ready.env.clone().into_iter().collect() };
    let instance = ready.instance.clone().unwrap();
    for options in [&[][..], &["-tt"]] {
        let args =
            [&["exec"], options, &[instance.as_str(), "--", "grep", "SigIgn", "/proc/self/status"]].concat();
        let status = shell.run(&args, b"").await.expect_success();
        let terminal = bit(Signal::HUP) | bit(Signal::INT) | bit(Signal::QUIT);
        assert_eq!(ignored(&status) & terminal, 0, "{options:?}: {status}");
    }
}
