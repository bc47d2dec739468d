//! Containers of the private engine.

use super::docker::Docker;
use super::process::Process;
use super::user::unique;
use super::wait::{WAIT_TIMEOUT, eventually, poll};

/// A running container, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) name: String,
    /// The host's process id of its first process.
    first: u32,
}

impl Container {
    /// Starts an idle container of `image` with `env` (`NAME=value`) in its environment.
    #[track_caller]
    pub(crate) fn start(image: &str, env: &str) -> Self {
        Self::start_as(&unique("ws-"), image, &["-e", env])
    }

    /// The same with a name and more options of `docker run`.
    #[track_caller]
    pub(crate) fn start_as(name: &str, image: &str, options: &[&str]) -> Self {
        let (docker, name) = (Docker::shared(), name.to_owned());
        // Reaps orphans, as an init does.
        let idle = "trap exit TERM; while :; do sleep 1000 & wait $!; done";
        let run = ["run", "-d", "--network=none", "--stop-timeout=1", "--name", &name];
        docker.run(run.iter().chain(options).chain(&[image, "/bin/sh", "-c", idle]).copied());
        let first = docker.run(["inspect", "-f", "{{.State.Pid}}", &name]).trim().parse().unwrap();
        // The shell and its first sleep.
        eventually("a container is up", || (Process::in_namespace_of(first).len() >= 2).then_some(()));
        Self { name, first }
    }

    /// Returns its id.
    pub(crate) fn id(&self) -> String {
        Docker::shared().run(["inspect", "-f", "{{.Id}}", &self.name]).trim().to_owned()
    }

    /// Returns all processes in it except its own idle ones.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let all = Process::in_namespace_of(self.first);
        all.into_iter().filter(|process| process.pid != self.first && !is_idle_sleep(process)).collect()
    }

    /// Waits until only its own idle processes are left.
    #[track_caller]
    pub(crate) fn is_idle(&self) {
        let mut left = Vec::new();
        let idle = poll(WAIT_TIMEOUT, || {
            left = self.processes();
            left.is_empty().then_some(())
        });
        assert!(idle.is_some(), "still in the container after {WAIT_TIMEOUT:?}: {left:#?}");
    }
}

/// Returns whether it is the container's own `sleep 1000`.
fn is_idle_sleep(process: &Process) -> bool {
    process.command == "sleep 1000"
}

impl Drop for Container {
    fn drop(&mut self) {
        let docker = Docker::shared();
        let host = docker.host();
        let _ = super::require::run("docker", ["-H", &host, "rm", "-f", &self.name]);
    }
}
