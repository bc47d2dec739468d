//! `eice cp` for users and scripts, to a real sshd and into a container of a real Docker engine.

mod container;
mod destinations;
mod interrupted;
mod workspace;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use crate::lab::{self, ClientMachine, eice, text};

/// Large enough that a copy can be interrupted, in bytes.
const LARGE: usize = 64 << 20;

/// Returns `len` bytes, determined by `len`.
fn noise(len: usize) -> Vec<u8> {
    lab::noise(len as u64, len)
}

/// Returns the relative paths of everything below `folder`.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(folder).unwrap().display().to_string());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Returns the line of JSON that a copy printed.
#[track_caller]
fn report(output: &Output) -> serde_json::Value {
    let line = text(&output.stdout);
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?} {}", text(&output.stderr)))
}

impl ClientMachine {
    /// Returns the local path of a relative path on the instance.
    fn there(&self, path: &str) -> PathBuf {
        self.sshd.home().join(path)
    }

    /// Runs `eice cp ARGS`, in which `@` is replaced by `USER@INSTANCE`.
    async fn cp(&self, args: &[&str]) -> Output {
        self.cp_with(args, Vec::new()).await
    }

    async fn cp_with(&self, args: &[&str], stdin: Vec<u8>) -> Output {
        let args = self.words(args);
        self.run(&args.iter().map(String::as_str).collect::<Vec<_>>(), stdin).await
    }

    fn words(&self, args: &[&str]) -> Vec<String> {
        let words = args.iter().map(|word| match word.strip_prefix("@:") {
            Some(path) => format!("{}:{path}", self.destination),
            None => (*word).to_owned(),
        });
        std::iter::once("cp".to_owned()).chain(words).collect()
    }

    fn spawn_cp(&self, args: &[&str]) -> Child {
        let mut command = eice(self.here(), &self.env());
        command.args(self.words(args)).current_dir(self.here());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

#[track_caller]
fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
}
