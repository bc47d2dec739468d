//! A user's terminal in tmux: its screen and keys.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::process::Process;
use super::program::EICE;
use super::reaper;
use super::require::program;
use super::wait::{WAIT_TIMEOUT, poll};

/// A 100x30 window that runs bash, closed on drop.
pub(crate) struct Tmux {
    socket: String,
    /// The bash.
    pub(crate) shell: Process,
}

impl Tmux {
    /// Opens the window. `eice` is the program under test; the environment has only `env` and `home`.
    #[track_caller]
    pub(crate) fn start(env: &[(&str, String)], home: &Path) -> Self {
        let socket = home.join("tmux").display().to_string();
        let bin = Path::new(EICE).parent().unwrap().display().to_string();
        let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(program("tmux"));
        command.env_clear().env("HOME", home).env("PATH", path).env("LANG", "C.UTF-8");
        command.env("XDG_STATE_HOME", home.join("state"));
        command.envs(env.iter().map(|(name, value)| (*name, value)));
        command.current_dir(home).stdin(Stdio::null());
        command.args(["-S", &socket, "-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30"]);
        fs::write(home.join("rc"), "PS1='here> '\n").unwrap();
        command.arg(format!("exec bash --noprofile --rcfile {}", home.join("rc").display()));
        assert!(command.status().unwrap().success(), "tmux does not start");
        let ask = |what: &str| tmux(&socket, &["display-message", "-p", what]).trim().parse().unwrap();
        reaper::ends(&Process::find(ask("#{pid}")).expect("tmux runs"));
        let shell = Process::find(ask("#{pane_pid}")).expect("bash runs");
        let tmux = Self { socket, shell };
        tmux.until("here>");
        tmux
    }

    /// Types `text` verbatim.
    pub(crate) fn types(&self, text: &str) {
        tmux(&self.socket, &["send-keys", "-l", "--", text]);
    }

    /// Presses keys, by their tmux names: `Enter`, `C-c`, `C-z`.
    pub(crate) fn press(&self, keys: &[&str]) {
        tmux(&self.socket, &[&["send-keys"], keys].concat());
    }

    /// Types a line and Enter.
    pub(crate) fn line(&self, text: &str) {
        self.types(text);
        self.press(&["Enter"]);
    }

    /// Returns the content of the screen.
    pub(crate) fn screen(&self) -> String {
        tmux(&self.socket, &["capture-pane", "-p"])
    }

    /// Waits until `text` is on the screen.
    #[track_caller]
    pub(crate) fn until(&self, text: &str) {
        self.until_screen(text, |screen| screen.contains(text));
    }

    /// Waits until `is_so` accepts the screen.
    #[track_caller]
    pub(crate) fn until_screen(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let mut screen = String::new();
        let found = poll(WAIT_TIMEOUT, || {
            screen = self.screen();
            is_so(&screen).then_some(())
        });
        assert!(found.is_some(), "no {what:?} on the screen:\n{screen}");
    }

    /// Resizes the window.
    pub(crate) fn resize(&self, cols: u16, rows: u16) {
        tmux(&self.socket, &["resize-window", "-x", &cols.to_string(), "-y", &rows.to_string()]);
    }

    /// Returns the processes that bash started.
    pub(crate) fn jobs(&self) -> Vec<Process> {
        Process::descendants(self.shell.pid)
    }

    /// Closes the window.
    pub(crate) fn close(&self) {
        tmux(&self.socket, &["kill-server"]);
    }
}

/// Runs a tmux command; returns nothing when the server is gone.
fn tmux(socket: &str, args: &[&str]) -> String {
    let mut command = Command::new(program("tmux"));
    let output = command.env_clear().env("LANG", "C.UTF-8").args(["-S", socket]).args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.close();
    }
}
