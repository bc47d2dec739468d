//! `eice serve` as a separate process, in front of the emulator.

use std::fs;
use std::net::SocketAddr;

use eice::workspace::BearerToken;
use tokio::time::timeout;

use super::in_process_gateway::{TOKEN, WORKSPACE};
use super::program::Program;
use super::wait::eventually;
use super::world::{INSTANCE, World};

/// The gateway's host name for browsers.
pub(crate) const PUBLIC_HOST: &str = "acme.example";
/// The only allowed origin.
pub(crate) const PUBLIC_ORIGIN: &str = "http://acme.example";
/// A second workspace of the same instance.
pub(crate) const OTHER_WORKSPACE: &str = "1a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";
/// A token that opens only that workspace.
pub(crate) const OTHER_TOKEN: &str = "e2e-other-0123456789abcdefghijklmnopqrstuvwxyz";

/// The running program and the emulated account that it serves.
pub(crate) struct GatewayProgram {
    // Dropped first, so that it does not log errors about the missing emulator.
    pub(crate) program: Program,
    pub(crate) world: World,
    _folder: tempfile::TempDir,
}

impl GatewayProgram {
    /// Serves the instance of `world` in two workspaces to pages of [`PUBLIC_ORIGIN`]; `lines` are added to the
    /// configuration.
    pub(crate) fn start(world: World, lines: &str) -> Self {
        Self::start_for(world, &[PUBLIC_ORIGIN], lines)
    }

    /// The same for other origins, the first of which is its own.
    pub(crate) fn start_for(world: World, origins: &[&str], lines: &str) -> Self {
        Self::launch(world, origins, lines, Program::start)
    }

    /// As [`Self::start`], with these limits of open files, soft and hard.
    pub(crate) fn start_with_files(world: World, lines: &str, files: (u64, u64)) -> Self {
        Self::launch(world, &[PUBLIC_ORIGIN], lines, |args, env| Program::start_with_files(args, env, files))
    }

    fn launch(
        world: World,
        origins: &[&str],
        lines: &str,
        start: impl FnOnce(&[&str], &[(&str, String)]) -> Program,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let os_user = world.target().os_user.to_string();
        let mut directory = String::new();
        for id in [WORKSPACE, OTHER_WORKSPACE] {
            directory.push_str(&format!(
                "[[workspace]]\nid = {id:?}\nname = \"w\"\ninstance = {INSTANCE:?}\nos_user = {os_user:?}\n"
            ));
        }
        for (name, token, workspaces) in
            [("e2e", TOKEN, "\"*\"".to_owned()), ("other", OTHER_TOKEN, format!("[{OTHER_WORKSPACE:?}]"))]
        {
            let digest = BearerToken::new(token).unwrap().digest();
            directory.push_str(&format!(
                "[[token]]\nname = {name:?}\nsha256 = \"{digest}\"\nworkspaces = {workspaces}\n"
            ));
        }
        let file = folder.path().join("directory.toml");
        fs::write(&file, directory).unwrap();
        let config = folder.path().join("serve.toml");
        let text =
            format!("[directory]\nfile = {file:?}\n[gateway]\nallowed_origins = {origins:?}\n{lines}\n");
        fs::write(&config, text).unwrap();
        let args = ["serve", "--config", config.to_str().unwrap(), "--listen", "127.0.0.1:0", "--json"];
        let program = start(&args, &world.emulator.access().env());
        Self { program, world, _folder: folder }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.program.addr()
    }

    /// Returns its resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.program.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    /// Waits until no tunnel is open, and so no terminal.
    pub(crate) fn is_idle(&self) {
        eventually("the tunnels are closed", || (self.world.emulator.open_tunnels() == 0).then_some(()));
    }

    /// Stops it, asserts that it succeeds and has logged no panic, and returns its log.
    pub(crate) async fn stop(mut self) -> String {
        let status = self.program.part.terminate();
        let log = self.program.stderr();
        assert!(status.success(), "{status}:\n{log}");
        assert!(!log.contains("panicked"), "{log}");
        let down = timeout(std::time::Duration::from_secs(20), self.world.emulator.shutdown());
        down.await.expect("the emulator ends");
        log
    }
}
