//! A shell in a container on an instance: `docker exec` and what it leaves behind.

use crate::lab::{Container, Docker};

#[test]
fn a_container_starts_and_what_runs_in_it_is_seen() {
    let container = Container::start(Docker::SH, "MOLECULE_WS_ID=x");
    let docker = Docker::shared();
    assert_eq!(docker.run(["exec", &container.name, "whoami"]).trim(), "root");
    docker.run(["exec", "-d", &container.name, "setsid", "sleep", "999"]);
    let seen = crate::lab::eventually("a detached job is seen", || container.processes().pop());
    assert_eq!(seen.command, "sleep 999");
    seen.kill();
    container.is_idle();
    let bash = Container::start(Docker::BASH, "MOLECULE_WS_ID=x");
    assert_eq!(docker.run(["exec", &bash.name, "bash", "-c", "echo $MOLECULE_WS_ID"]).trim(), "x");
}
