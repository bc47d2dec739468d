//! A user at a shell, who runs the program's client verbs against an emulator.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::World;
use super::program::eice;

/// How long a verb may take to its end.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// A home folder and an environment.
pub(crate) struct Shell {
    pub(crate) home: tempfile::TempDir,
    pub(crate) env: Vec<(String, String)>,
}

impl Shell {
    /// With the environment that the emulator tells its users to export.
    pub(crate) fn new(world: &World) -> Self {
        let env = world.emulator.access().env();
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { home: tempfile::tempdir().unwrap(), env }
    }

    /// Exports one more variable, or another value.
    pub(crate) fn export(&mut self, name: &str, value: impl Into<String>) {
        self.unset(name);
        self.env.push((name.to_owned(), value.into()));
    }

    /// Takes a variable away.
    pub(crate) fn unset(&mut self, name: &str) {
        self.env.retain(|(known, _)| known != name);
    }

    /// The environment, as the other parts take it.
    pub(crate) fn vars(&self) -> Vec<(&str, String)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.clone())).collect()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The program with this environment and nothing else of this process's.
    pub(crate) fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = eice(self.home.path(), &self.vars());
        command.args(args);
        command
    }

    /// Runs `eice ARGS` to its end with `input` on its stdin.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str], input: &[u8]) -> impl Future<Output = Said> {
        run_to_end(self.command(args), input)
    }
}

/// Runs `command` to its end with `input` on its stdin.
#[track_caller]
pub(crate) fn run_to_end(command: std::process::Command, input: &[u8]) -> impl Future<Output = Said> {
    let caller = std::panic::Location::caller();
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let input = input.to_vec();
    async move {
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let feeding = tokio::spawn(async move {
            // It may have ended without reading all.
            let _ = stdin.write_all(&input).await;
        });
        let output = timeout(END_TIMEOUT, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("{caller}: no end within {END_TIMEOUT:?}"));
        feeding.await.unwrap();
        Said::from(output.unwrap())
    }
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Said {
    /// What it wrote, when it went well.
    #[track_caller]
    pub(crate) fn good(&self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}
