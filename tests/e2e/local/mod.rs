//! Local workspaces: terminals in containers on the gateway's machine, by the API of a real engine.

mod cleanup;
mod engine;
mod files;
mod gateway;
mod lookup;
mod tab;
mod terminals;

use eice::docker::engine::{Engine, EngineConfig};
use eice::model::{Host, LocalTarget, StageError, StageEvent, TerminalRequest};

use crate::lab::{Container, Docker, TerminalClient, eventually, open_terminal, unique};

/// The label of the platform's containers.
const LABEL: &str = "molecule.platform.managed";

/// The environment variable of every local terminal in these tests.
const ENV: (&str, &str) = ("MOLECULE_WS_ID", "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9");

/// Starts a workspace's container.
#[track_caller]
fn workspace(image: &str) -> Container {
    labelled(&unique("ws-"), image)
}

/// The same with a name.
#[track_caller]
fn labelled(name: &str, image: &str) -> Container {
    Container::start_as(name, image, &["--label", &format!("{LABEL}=true")])
}

/// Returns a client of the tests' engine.
fn engine() -> Engine {
    engine_at(&Docker::shared().host())
}

fn engine_at(host: &str) -> Engine {
    let mut config = EngineConfig::default();
    config.address = host.parse().unwrap();
    Engine::new(config)
}

/// Returns a target whose container may have any of `names`.
fn target(names: &[&str]) -> LocalTarget {
    let mut target = LocalTarget::new(names.iter().map(|name| name.parse().unwrap()).collect());
    target.env = vec![(ENV.0.parse().unwrap(), ENV.1.to_owned())];
    target
}

async fn try_host(names: &[&str]) -> Result<Box<dyn Host>, StageError> {
    engine().connect(&target(names), &|_: StageEvent| {}).await
}

async fn host(container: &Container) -> Box<dyn Host> {
    let host = try_host(&[&container.name]).await;
    host.unwrap_or_else(|error| panic!("{error}: {}", error.chain()))
}

/// Opens a shell in `container`.
async fn open(container: &Container) -> (Box<dyn Host>, TerminalClient) {
    let host = host(container).await;
    let shell = open_terminal(&*host, &TerminalRequest::default()).await;
    (host, shell)
}

/// A background job, one that ignores SIGHUP, and one in its own session.
const JOBS: &str = "sleep 5001 & (trap '' HUP; exec sleep 5002) & setsid sleep 5003 & echo st''arted";

/// Waits until the jobs of [`JOBS`] run.
#[track_caller]
fn wait_for_jobs(container: &Container) {
    eventually("the jobs run", || {
        let processes = container.processes();
        let sleeping = processes.iter().filter(|process| process.command.starts_with("sleep 5"));
        (sleeping.count() == 3).then_some(())
    });
}
