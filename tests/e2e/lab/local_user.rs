//! An unprivileged user of this machine, with OpenSSH's programs.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::client_shell::run_to_end;
use super::program::EICE;
use super::require::{program, run_ok};
use super::signals::restore_default_signals;
use super::user::User;
use super::{CommandOutput, RunDir, World};

/// A user of this machine with an ssh configuration and the environment for an emulator.
pub(crate) struct LocalUser {
    // Dropped in this order: the user and its processes, then the folder.
    pub(crate) user: User,
    env: Vec<(&'static str, String)>,
    dir: RunDir,
}

impl LocalUser {
    /// Creates a user with the credentials of `world` and without a key.
    pub(crate) fn new(world: &World) -> Self {
        let dir = RunDir::new("me");
        let user = User::new(&dir.join("home"), &[]);
        let mut env = world.emulator.access().env();
        // The emulator's own file is in a folder that only root can enter.
        let authority = fs::read_to_string(world.emulator.access().ca_file()).unwrap();
        let authority = dir.write("ca.pem", &authority, 0o644);
        env.retain(|(name, _)| *name != "AWS_CA_BUNDLE");
        env.push(("AWS_CA_BUNDLE", authority.display().to_string()));
        let local_user = Self { user, env, dir };
        for folder in ["run", "home/.ssh"] {
            let folder = local_user.file(folder);
            fs::create_dir(&folder).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
            chown(&folder, Some(local_user.user.uid), Some(local_user.gid())).unwrap();
        }
        local_user
    }

    fn gid(&self) -> u32 {
        run_ok("id", ["-g", &self.user.name]).trim().parse().unwrap()
    }

    /// Returns the path of `name` in the user's folder: `home` is the home, `run` the runtime folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Returns the folder of the agents' sockets.
    pub(crate) fn agents(&self) -> PathBuf {
        self.file("run/eice")
    }

    /// Writes `text` to `name` in the user's home, owned by the user.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let file = self.file("home").join(name);
        fs::write(&file, text).unwrap();
        chown(&file, Some(self.user.uid), Some(self.gid())).unwrap();
        file
    }

    /// Returns a command for the program `name` (`eice` is the program under test), run as the user in the home.
    pub(crate) fn command(&self, name: &str) -> Command {
        restore_default_signals();
        let file = if name == "eice" { EICE.into() } else { program(name) };
        let mut command = Command::new(file);
        command.uid(self.user.uid).gid(self.gid()).current_dir(self.file("home")).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.file("home"));
        command.env("XDG_RUNTIME_DIR", self.file("run")).env("SHELL", "/bin/sh");
        command.envs(self.env.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// Runs `name` with `args` and `input` on stdin to its end.
    #[track_caller]
    pub(crate) fn run(&self, name: &str, args: &[&str], input: &[u8]) -> impl Future<Output = CommandOutput> {
        let mut command = self.command(name);
        command.args(args);
        run_to_end(command, input)
    }

    /// Makes the output of `eice ssh-config ARGS` the user's whole ssh configuration.
    pub(crate) async fn configure(&self, args: &[&str]) -> String {
        let args = [&["ssh-config"], args].concat();
        let printed = self.run("eice", &args, b"").await.expect_success();
        self.write(".ssh/config", &printed);
        printed
    }

    /// Returns every file of the user, with its content.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.file("home"), self.file("run")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap() {
                    kind if kind.is_dir() => folders.push(entry.path()),
                    kind if kind.is_file() => found.push((entry.path(), fs::read(entry.path()).unwrap())),
                    _ => found.push((entry.path(), Vec::new())),
                }
            }
        }
        found
    }
}
