//! The instance: its sshd, the key, the container.

use eice::emulator::{Backend, EmulatorConfig, InstanceSpec};
use eice::model::{ContainerShell, Fault, Shell, Stage, StageEvent, TerminalRequest};

use super::{Expected, fails, impatient, refused};
use crate::lab::{Container, Docker, Sshd, World, open_terminal};

#[tokio::test(flavor = "multi_thread")]
async fn sshd_down() {
    let instances = vec![InstanceSpec { backend: Backend::Closed, ..InstanceSpec::default() }];
    let world = World::with(EmulatorConfig { instances, ..EmulatorConfig::default() }).await;
    fails(&world, Stage::Banner, Fault::Network, &["22"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_sshd() {
    let mut sshd = Sshd::start();
    let world = World::of(&sshd).await;
    world.host(&world.target()).await.close().await;
    sshd.is_idle();
    sshd.stop();
    fails(&world, Stage::Banner, Fault::Network, &["sshd", "22"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_sshd() {
    let instances = vec![InstanceSpec { backend: Backend::Silent, ..InstanceSpec::default() }];
    let world = World::with(EmulatorConfig { instances, ..EmulatorConfig::default() }).await;
    let connector = world.client(impatient);
    let target = world.target();
    let expected = Expected { stage: Stage::Banner, fault: Fault::Timeout, words: &["22"] };
    refused(&world, &connector, &target, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_key() {
    // The sshd does not read pushed keys: EC2 Instance Connect is not installed.
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    sshd.set_metadata_url("http://127.0.0.1:9");
    fails(&world, Stage::Authentication, Fault::Authentication, &["ec2-instance-connect"]).await;
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_key() {
    let sshd = Sshd::start();
    let instances = vec![InstanceSpec { backend: Backend::Forward(sshd.addr), ..InstanceSpec::default() }];
    // Every key has expired when sshd reads it.
    let world =
        World::with(EmulatorConfig { instances, key_lifetime_secs: 0, ..EmulatorConfig::default() }).await;
    sshd.set_metadata_url(&world.emulator.access().metadata_url(&world.instance()));
    let mut target = world.target();
    target.os_user = sshd.user.name.parse().unwrap();
    let expected = Expected { stage: Stage::Authentication, fault: Fault::Authentication, words: &["60"] };
    refused(&world, &*world.connector, &target, expected).await;
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_container() {
    let docker = Docker::shared();
    let sshd = Sshd::with(&format!("SetEnv DOCKER_HOST={}", docker.host()), &[&docker.group]);
    let world = World::of(&sshd).await;
    let mut target = world.target();
    target.shell = Shell::Container(ContainerShell::new("no-such-container".parse().unwrap()));
    let host = world.host(&target).await;
    let opened = host.open_terminal(&TerminalRequest::default(), &|_: StageEvent| {}).await;
    let error = opened.expect_err("no such container");
    let text = format!("{error}; {}; hint: {:?}", error.chain(), error.hint());
    assert_eq!((error.stage(), error.fault()), (Stage::Shell, Fault::NotFound), "{text}");
    assert!(text.contains("no-such-container"), "{text}");
    assert!(error.hint().is_some(), "{text}");
    drop(host);
    sshd.is_idle();
    world.settled().await;
    // An existing container works, so only the name was wrong.
    let container = Container::start(Docker::SH, "A=b");
    target.shell = Shell::Container(ContainerShell::new(container.name.parse().unwrap()));
    let host = world.host(&target).await;
    let mut shell = open_terminal(&*host, &TerminalRequest::default()).await;
    shell.line("echo he''re").await;
    shell.until("here").await;
    shell.close().await;
    host.close().await;
}
