//! A container of the private engine.

use super::docker::Docker;
use super::process::Process;
use super::user::unique;
use super::wait::eventually;

/// A running container, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) name: String,
    /// Its first process, as this machine numbers it.
    first: u32,
}

impl Container {
    /// A container of `image` that does nothing, with `env` (`NAME=value`) in its environment.
    #[track_caller]
    pub(crate) fn start(image: &str, env: &str) -> Self {
        Self::start_as(&unique("ws-"), image, &["-e", env])
    }

    /// The same, called `name`, with more options of `docker run`.
    #[track_caller]
    pub(crate) fn start_as(name: &str, image: &str, options: &[&str]) -> Self {
        let (docker, name) = (Docker::shared(), name.to_owned());
        // Reaps what is left to it, as an init does.
        let idle = "trap exit TERM; while :; do sleep 1000 & wait $!; done";
        let run = ["run", "-d", "--network=none", "--stop-timeout=1", "--name", &name];
        docker.run(run.iter().chain(options).chain(&[image, "/bin/sh", "-c", idle]).copied());
        let first = docker.run(["inspect", "-f", "{{.State.Pid}}", &name]).trim().parse().unwrap();
        // The shell and its first sleep.
        eventually("a container is up", || (Process::in_namespace_of(first).len() >= 2).then_some(()));
        Self { name, first }
    }

    /// Its id.
    pub(crate) fn id(&self) -> String {
        Docker::shared().run(["inspect", "-f", "{{.Id}}", &self.name]).trim().to_owned()
    }

    /// What runs in it besides what it began with, whoever started it.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let all = Process::in_namespace_of(self.first);
        all.into_iter().filter(|process| process.pid != self.first && !is_idle_sleep(process)).collect()
    }

    /// Waits until nothing is left in it but what it began with.
    #[track_caller]
    pub(crate) fn is_idle(&self) {
        let mut left = Vec::new();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while std::time::Instant::now() < deadline {
            left = self.processes();
            if left.is_empty() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("still in the container after 20 s: {left:#?}");
    }
}

/// Whether it is the container's own `sleep 1000`.
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
