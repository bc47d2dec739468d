//! The programs that the tests need, by absolute path.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::child::output;
use super::signals::restore_default_signals;

/// Folders searched after PATH: a user's PATH rarely has the servers.
const ALSO: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// Returns the path of the program `name`; panics with installation instructions when it is missing.
#[track_caller]
pub(crate) fn program(name: &str) -> PathBuf {
    restore_default_signals();
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .chain(ALSO.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not installed: apt-get install {}, or run `make test` as root", package(name))
    })
}

/// Returns the Debian package that contains `name`.
fn package(name: &str) -> &str {
    match name {
        "sshd" => "openssh-server",
        "ssh" | "scp" | "ssh-add" | "ssh-agent" | "ssh-keygen" | "sftp" => "openssh-client",
        "dockerd" | "docker" => "docker.io",
        "busybox" => "busybox-static",
        "dnsmasq" => "dnsmasq-base",
        "systemd-analyze" => "systemd",
        "useradd" | "userdel" | "usermod" | "groupadd" | "groupdel" => "passwd",
        "umount" => "mount",
        "node" => "nodejs",
        "initdb" | "pg_isready" | "postgres" | "psql" => "postgresql",
        "setpriv" => "util-linux",
        other => other,
    }
}

/// Panics unless this process is root, which `what` needs.
#[track_caller]
pub(crate) fn root(what: &str) {
    assert!(
        rustix::process::geteuid().is_root(),
        "{what} needs root: run the tests as root, for example in a container"
    );
}

/// Runs `name` with `args` and returns its output.
#[track_caller]
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(name: &str, args: impl IntoIterator<Item = S>) -> Output {
    let file = if name.contains('/') { Path::new(name).to_owned() } else { program(name) };
    let mut command = Command::new(file);
    command.args(args).stdin(Stdio::null());
    output(&mut command)
}

/// Runs `name` with `args`, asserts that it succeeds, and returns its stdout.
#[track_caller]
pub(crate) fn run_ok<S: AsRef<std::ffi::OsStr>>(name: &str, args: impl IntoIterator<Item = S>) -> String {
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let output = run(name, &args);
    assert!(
        output.status.success(),
        "{name} {args:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
