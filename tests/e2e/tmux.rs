//! `eice ssh` in a real terminal: started by bash in tmux, to a real sshd.

use std::fs;

use rustix::process::Signal;

use crate::lab::{ClientMachine, Process, Tmux, eventually};

/// A user at a terminal, with an instance to connect to.
struct TmuxUser {
    tmux: Tmux,
    client: ClientMachine,
    count: u32,
}

impl TmuxUser {
    async fn start() -> Self {
        let client = ClientMachine::start().await;
        Self { tmux: Tmux::start(&client.env(), client.here()), client, count: 0 }
    }

    /// Waits for a computed word: what is typed is on the screen as well.
    fn sync(&mut self, name: &str) {
        self.count += 1;
        self.tmux.line(&format!("echo {name}-$(({}+1))", self.count - 1));
        self.tmux.until(&format!("{name}-{}", self.count));
    }

    /// Returns the terminal's modes as the local `stty` prints them, without the first line, which has the size.
    fn modes(&mut self) -> String {
        self.tmux.line("stty -a >modes");
        self.sync("looked");
        let modes = fs::read_to_string(self.client.here().join("modes")).unwrap();
        modes.split_once('\n').unwrap().1.to_owned()
    }

    /// Starts `eice ssh` and waits for the instance's shell. Its exit status is printed at the end.
    fn connect(&mut self) -> Process {
        self.tmux.line(&format!("clear; eice ssh {}; echo status=$?", self.client.destination));
        self.sync("there");
        self.eice()
    }

    fn eice(&self) -> Process {
        let find = || self.tmux.jobs().into_iter().find(|process| process.command.starts_with("eice ssh"));
        eventually("eice runs", find)
    }

    fn expect_status(&self, status: u32) {
        self.tmux.until(&format!("status={status}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_mode_is_restored() {
    let mut user = TmuxUser::start().await;
    let before = user.modes();
    assert!(before.contains(" icanon") && before.contains(" echo "), "{before}");
    for (status, end) in [
        (0, "exit"),
        (7, "exit 7"),
        (143, "exec sh -c 'kill -TERM $$'"),
        (255, "\r~."),
        (143, "TERM"),
        (129, "HUP"),
        (130, "INT"),
        (69, "the connection is lost"),
    ] {
        let eice = user.connect();
        match end {
            "\r~." => {
                user.tmux.press(&["Enter"]);
                user.tmux.types("~.");
            }
            "TERM" => eice.signal(Signal::TERM),
            "HUP" => eice.signal(Signal::HUP),
            "INT" => eice.signal(Signal::INT),
            "the connection is lost" => {
                user.client.sshd.serving().iter().for_each(|part| part.signal(Signal::KILL))
            }
            line => user.tmux.line(line),
        }
        user.expect_status(status);
        assert_eq!(user.modes(), before, "after {end}");
        eventually("it is gone", || (!eice.is_there()).then_some(()));
    }
    user.client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn full_screen_program_follows_resize() {
    let mut user = TmuxUser::start().await;
    let lines: String = (1..=200).map(|n| format!("line {n} of many\n")).collect();
    fs::write(user.client.sshd.home().join("many"), lines).unwrap();
    user.connect();
    user.tmux.line("vi -u NONE many");
    // The last row is the editor's status line.
    user.tmux.until_screen("the first page", |screen| {
        screen.contains("line 29 of") && !screen.contains("line 30 of") && !screen.contains("there-")
    });
    user.tmux.resize(120, 41);
    user.tmux.until_screen("a longer page", |screen| {
        screen.contains("line 40 of") && !screen.contains("line 41 of")
    });
    user.tmux.types("G");
    user.tmux.until("line 200 of");
    user.tmux.resize(60, 12);
    user.tmux.until_screen("a short page", |screen| {
        screen.contains("line 200 of") && screen.contains("line 190 of") && !screen.contains("line 189 of")
    });
    user.tmux.line(":q");
    user.sync("back");
    user.tmux.until_screen("the shell's own screen", |screen| !screen.contains("of many"));
    user.tmux.line("stty size");
    user.tmux.until("12 60");
    user.tmux.line("exit");
    user.expect_status(0);
    user.client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_is_remote_and_escape_is_local() {
    let mut user = TmuxUser::start().await;
    let before = user.modes();
    let eice = user.connect();
    let sleeps =
        |user: &TmuxUser| user.client.sshd.serving().iter().any(|process| process.command == "sleep 1000");
    user.tmux.line("sleep 1000");
    eventually("it sleeps", || sleeps(&user).then_some(()));
    user.tmux.press(&["C-c"]);
    eventually("it is interrupted", || (!sleeps(&user)).then_some(()));
    user.sync("still");

    user.tmux.press(&["Enter"]);
    user.tmux.types("~");
    user.tmux.press(&["C-z"]);
    user.tmux.until("Stopped");
    assert_eq!(user.modes(), before, "the local shell has its terminal");
    user.tmux.resize(77, 33);
    user.tmux.line("fg");
    // Input may overtake the resize.
    user.tmux.line("until [ \"$(stty size)\" = '33 77' ]; do :; done");
    user.sync("followed");

    // `?` lists the escapes, and an escape works right after another.
    user.tmux.press(&["Enter"]);
    user.tmux.types("~?");
    user.tmux.until("~^Z  suspend eice");
    user.tmux.types("~#");
    user.tmux.until("nothing is forwarded");

    // Killed while stopped: the local shell restores the mode; changing it would stop the job again.
    user.tmux.types("~");
    user.tmux.press(&["C-z"]);
    user.tmux.until_screen("a second stop", |screen| screen.matches("Stopped").count() > 1);
    user.tmux.line("kill %1");
    eventually("it is gone", || (!eice.is_there()).then_some(()));
    user.tmux.press(&["Enter"]);
    user.tmux.until("Exit 143");
    assert_eq!(user.modes(), before);
    user.client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_window_leaves_nothing() {
    let mut user = TmuxUser::start().await;
    let eice = user.connect();
    user.tmux.line("sleep 1000");
    eventually("it sleeps", || {
        user.client.sshd.serving().iter().any(|process| process.command == "sleep 1000").then_some(())
    });
    user.tmux.close();
    eventually("the program ends", || (!eice.is_there()).then_some(()));
    user.client.is_idle();
}
