//! Runs the client verbs against an emulator, with a private home and environment.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::World;
use super::child::PROGRAM_TIMEOUT;
use super::program::eice;

/// A home folder and an environment.
pub(crate) struct ClientShell {
    pub(crate) home: tempfile::TempDir,
    pub(crate) env: Vec<(String, String)>,
}

impl ClientShell {
    /// Creates a shell with the environment that the emulator prints.
    pub(crate) fn new(world: &World) -> Self {
        let env = world.emulator.access().env();
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { home: tempfile::tempdir().unwrap(), env }
    }

    /// Sets a variable.
    pub(crate) fn export(&mut self, name: &str, value: impl Into<String>) {
        self.unset(name);
        self.env.push((name.to_owned(), value.into()));
    }

    /// Removes a variable.
    pub(crate) fn unset(&mut self, name: &str) {
        self.env.retain(|(known, _)| known != name);
    }

    /// Returns the environment as other helpers take it.
    pub(crate) fn vars(&self) -> Vec<(&str, String)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.clone())).collect()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Returns a command for `eice ARGS` with this environment only.
    pub(crate) fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = eice(self.home.path(), &self.vars());
        command.args(args);
        command
    }

    /// Runs `eice ARGS` with `input` on stdin to its end.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str], input: &[u8]) -> impl Future<Output = CommandOutput> {
        run_to_end(self.command(args), input)
    }
}

/// Runs `command` with `input` on stdin to its end.
#[track_caller]
pub(crate) fn run_to_end(
    command: std::process::Command,
    input: &[u8],
) -> impl Future<Output = CommandOutput> {
    let output = run_for_output(command, input.to_vec());
    async move { CommandOutput::from(output.await) }
}

/// The same, with the standard library's type.
#[track_caller]
pub(super) fn run_for_output(command: std::process::Command, input: Vec<u8>) -> impl Future<Output = Output> {
    let caller = std::panic::Location::caller();
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    async move {
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let feeding = tokio::spawn(async move {
            // The program may end without reading everything.
            let _ = stdin.write_all(&input).await;
        });
        let output = timeout(PROGRAM_TIMEOUT, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("{caller}: no end within {PROGRAM_TIMEOUT:?}"));
        feeding.await.unwrap();
        output.unwrap()
    }
}

/// The result of a program.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl CommandOutput {
    /// Asserts that it succeeded and returns its stdout.
    #[track_caller]
    pub(crate) fn expect_success(&self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}
