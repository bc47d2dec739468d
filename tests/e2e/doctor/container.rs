//! A container of a real engine, behind a real sshd.

use super::{Patient, outcomes, step};
use crate::lab::{Container, Docker, Sshd, World};

#[tokio::test(flavor = "multi_thread")]
async fn healthy_container_is_left_clean() {
    let docker = Docker::shared();
    let sshd = Sshd::with(&format!("SetEnv DOCKER_HOST={}", docker.host()), &[&docker.group]);
    let container = Container::start(Docker::SH, "A=b");
    let patient = Patient::new(World::of(&sshd).await).with(&["--container", &container.name]);
    let report = patient.passes().await;
    assert_eq!(outcomes(&report, "skipped"), ["proxy"]);
    for (check, words) in [("engine", "`docker` answers"), ("container", "runs"), ("shell", "sh started in")]
    {
        assert!(step(&report, check)["message"].as_str().unwrap().contains(words), "{report:#}");
    }
    container.is_idle();
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn container_cannot_be_opened() {
    let docker = Docker::shared();
    let sshd = Sshd::with(&format!("SetEnv DOCKER_HOST={}", docker.host()), &[&docker.group]);
    let world = World::of(&sshd).await;
    let patient = Patient::new(world);
    let opens = |engine: &'static str, name: &str| {
        let mut args = patient.args.clone();
        args.extend(["--container", name, "--engine", engine].map(String::from));
        args
    };
    let container = Container::start(Docker::SH, "A=b");
    let ill = Patient { args: opens("no-such-docker", "web"), ..Patient::new(World::of(&sshd).await) };
    ill.fails("engine", 69, &["is not installed"]).await;
    let ill = Patient { args: opens("docker", "no-such-container"), ..ill };
    let report = ill.fails("container", 66, &["docker ps"]).await;
    assert_eq!(step(&report, "engine")["outcome"], "passed");

    docker.run(["pause", &container.name]);
    let ill = Patient { args: opens("docker", &container.name), ..ill };
    ill.fails("container", 69, &["paused", "docker unpause"]).await;
    docker.run(["unpause", &container.name]);
    ill.passes().await;
    // Its running shell is not affected, but no other can start.
    docker.run(["exec", &container.name, "rm", "/bin/sh"]);
    let report = ill.fails("shell", 69, &["the image needs a POSIX sh"]).await;
    assert_eq!(step(&report, "container")["outcome"], "passed");
    container.is_idle();
    docker.run(["stop", "-t", "0", &container.name]);
    ill.fails("container", 69, &["exited", "docker start"]).await;
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn engine_denies_user() {
    let docker = Docker::shared();
    let sshd = Sshd::with(&format!("SetEnv DOCKER_HOST={}", docker.host()), &[]);
    let patient = Patient::new(World::of(&sshd).await).with(&["--container", "web"]);
    patient.fails("engine", 77, &["to the docker group"]).await;
    sshd.is_idle();
}
