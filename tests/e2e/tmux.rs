//! `eice ssh` at a real terminal: a person's tmux, whose bash starts it, to a real sshd.

use std::fs;

use rustix::process::Signal;

use crate::lab::{Process, Station, Tmux, eventually};

/// Somebody at a terminal, with an instance to go to.
struct Seat {
    tmux: Tmux,
    station: Station,
    count: u32,
}

impl Seat {
    async fn take() -> Self {
        let station = Station::start().await;
        Self { tmux: Tmux::start(&station.env(), station.here()), station, count: 0 }
    }

    /// A word that no command line has on it: what is typed is on the screen as well.
    fn says(&mut self, name: &str) {
        self.count += 1;
        self.tmux.line(&format!("echo {name}-$(({}+1))", self.count - 1));
        self.tmux.until(&format!("{name}-{}", self.count));
    }

    /// What the local bash calls the state of its terminal, save for the first line, which has its size.
    fn modes(&mut self) -> String {
        self.tmux.line("stty -a >modes");
        self.says("looked");
        let modes = fs::read_to_string(self.station.here().join("modes")).unwrap();
        modes.split_once('\n').unwrap().1.to_owned()
    }

    /// Starts `eice ssh`, and waits for the shell of the instance. Its status will be on the screen.
    fn goes_to_the_instance(&mut self) -> Process {
        self.tmux.line(&format!("clear; eice ssh {}; echo status=$?", self.station.destination));
        self.says("there");
        self.eice()
    }

    fn eice(&self) -> Process {
        let find = || self.tmux.jobs().into_iter().find(|process| process.command.starts_with("eice ssh"));
        eventually("eice runs", find)
    }

    fn ended_with(&self, status: u32) {
        self.tmux.until(&format!("status={status}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_mode_is_restored() {
    let mut seat = Seat::take().await;
    let before = seat.modes();
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
        let eice = seat.goes_to_the_instance();
        match end {
            "\r~." => {
                seat.tmux.press(&["Enter"]);
                seat.tmux.types("~.");
            }
            "TERM" => eice.signal(Signal::TERM),
            "HUP" => eice.signal(Signal::HUP),
            "INT" => eice.signal(Signal::INT),
            "the connection is lost" => {
                seat.station.sshd.serving().iter().for_each(|part| part.signal(Signal::KILL))
            }
            line => seat.tmux.line(line),
        }
        seat.ended_with(status);
        assert_eq!(seat.modes(), before, "after {end}");
        eventually("it is gone", || (!eice.is_there()).then_some(()));
    }
    seat.station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn full_screen_program_follows_resize() {
    let mut seat = Seat::take().await;
    let lines: String = (1..=200).map(|n| format!("line {n} of many\n")).collect();
    fs::write(seat.station.sshd.home().join("many"), lines).unwrap();
    seat.goes_to_the_instance();
    seat.tmux.line("vi -u NONE many");
    // The last row is the editor's own.
    seat.tmux.until_screen("the first page", |screen| {
        screen.contains("line 29 of") && !screen.contains("line 30 of") && !screen.contains("there-")
    });
    seat.tmux.resize(120, 41);
    seat.tmux.until_screen("a longer page", |screen| {
        screen.contains("line 40 of") && !screen.contains("line 41 of")
    });
    seat.tmux.types("G");
    seat.tmux.until("line 200 of");
    seat.tmux.resize(60, 12);
    seat.tmux.until_screen("a short page", |screen| {
        screen.contains("line 200 of") && screen.contains("line 190 of") && !screen.contains("line 189 of")
    });
    seat.tmux.line(":q");
    seat.says("back");
    seat.tmux.until_screen("the shell's own screen", |screen| !screen.contains("of many"));
    seat.tmux.line("stty size");
    seat.tmux.until("12 60");
    seat.tmux.line("exit");
    seat.ended_with(0);
    seat.station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_is_remote_and_escape_is_local() {
    let mut seat = Seat::take().await;
    let before = seat.modes();
    let eice = seat.goes_to_the_instance();
    let sleeps =
        |seat: &Seat| seat.station.sshd.serving().iter().any(|process| process.command == "sleep 1000");
    seat.tmux.line("sleep 1000");
    eventually("it sleeps", || sleeps(&seat).then_some(()));
    seat.tmux.press(&["C-c"]);
    eventually("it is interrupted", || (!sleeps(&seat)).then_some(()));
    seat.says("still");

    seat.tmux.press(&["Enter"]);
    seat.tmux.types("~");
    seat.tmux.press(&["C-z"]);
    seat.tmux.until("Stopped");
    assert_eq!(seat.modes(), before, "the local shell has its terminal");
    seat.tmux.resize(77, 33);
    seat.tmux.line("fg");
    // What is typed may overtake the news of the window.
    seat.tmux.line("until [ \"$(stty size)\" = '33 77' ]; do :; done");
    seat.says("followed");

    // `?` lists the escapes, and each works behind another one.
    seat.tmux.press(&["Enter"]);
    seat.tmux.types("~?");
    seat.tmux.until("~^Z  suspend eice");
    seat.tmux.types("~#");
    seat.tmux.until("nothing is forwarded");

    // Ended while it is stopped: the mode is the local shell's business, and touching it would stop the job again.
    seat.tmux.types("~");
    seat.tmux.press(&["C-z"]);
    seat.tmux.until_screen("a second stop", |screen| screen.matches("Stopped").count() > 1);
    seat.tmux.line("kill %1");
    eventually("it is gone", || (!eice.is_there()).then_some(()));
    seat.tmux.press(&["Enter"]);
    seat.tmux.until("Exit 143");
    assert_eq!(seat.modes(), before);
    seat.station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_window_leaves_nothing() {
    let mut seat = Seat::take().await;
    let eice = seat.goes_to_the_instance();
    seat.tmux.line("sleep 1000");
    eventually("it sleeps", || {
        seat.station.sshd.serving().iter().any(|process| process.command == "sleep 1000").then_some(())
    });
    seat.tmux.close();
    eventually("the program ends", || (!eice.is_there()).then_some(()));
    seat.station.is_idle();
}
