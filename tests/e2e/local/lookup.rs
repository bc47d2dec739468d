//! Finding the container of a local workspace.

use eice::model::{Fault, NotReady, Stage, StageEvent, TerminalRequest};

use super::{LABEL, engine, labelled, target, try_host, workspace};
use crate::lab::{Container, Docker, open_terminal, unique};

/// Returns the host name of the container that opens for `names`.
async fn opens(names: &[&str]) -> String {
    let host = try_host(names).await.unwrap();
    let mut shell = open_terminal(&*host, &TerminalRequest::command("hostname; cat")).await;
    shell.end_input().await;
    String::from_utf8(shell.finish().await.0).unwrap().trim().to_owned()
}

/// Returns a container's host name: the start of its id.
fn hostname(container: &Container) -> String {
    container.id()[..12].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn first_running_name_wins() {
    let names = [unique("ws-"), unique("ws-"), unique("ws-")];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(matches!(engine().ready(&target(&names)).await, Err(NotReady::Container)));
    let third = labelled(names[2], Docker::SH);
    assert_eq!(opens(&names).await, hostname(&third));
    let second = labelled(names[1], Docker::SH);
    assert_eq!(opens(&names).await, hostname(&second));
    let first = labelled(names[0], Docker::SH);
    assert_eq!(opens(&names).await, hostname(&first));
    // A stopped container is skipped.
    Docker::shared().run(["stop", names[0]]);
    assert_eq!(opens(&names).await, hostname(&second));
    engine().ready(&target(&names)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn unlabelled_container_is_not_opened() {
    let (docker, name) = (Docker::shared(), unique("db-"));
    let others = Container::start_as(&name, Docker::SH, &["--label", "molecule.platform.managed.not=true"]);
    let error = try_host(&[&name]).await.unwrap_err();
    assert_eq!(
        (error.stage(), error.fault()),
        (Stage::Workspace, Fault::NotFound),
        "as if it were not there"
    );
    assert!(matches!(engine().ready(&target(&[&name])).await, Err(NotReady::Container)));
    // An id prefix does not match, with or without the label.
    let ours = workspace(Docker::SH);
    for id in [ours.id(), ours.id()[..12].to_owned(), ours.id()[..6].to_owned()] {
        assert_eq!(docker.run(["inspect", "-f", "{{.Name}}", &id]).trim(), format!("/{}", ours.name));
        assert_eq!(try_host(&[&id]).await.unwrap_err().fault(), Fault::NotFound, "{id}");
    }
    drop(others);
}

#[tokio::test(flavor = "multi_thread")]
async fn label_value_is_optional() {
    let container = Container::start_as(&unique("ws-"), Docker::SH, &["--label", &format!("{LABEL}=")]);
    let mut config = eice::docker::engine::EngineConfig::default();
    config.address = Docker::shared().host().parse().unwrap();
    let is_ready = async |label: &str| {
        let mut config = config.clone();
        config.required_label = label.parse().unwrap();
        eice::docker::engine::Engine::new(config).ready(&target(&[&container.name])).await.is_ok()
    };
    assert!(is_ready(LABEL).await && is_ready(&format!("{LABEL}=")).await);
    assert!(!is_ready(&format!("{LABEL}=true")).await && !is_ready("other").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_host_keeps_its_container() {
    let docker = Docker::shared();
    let (first, other) = (workspace(Docker::SH), workspace(Docker::SH));
    let host = try_host(&[&first.name]).await.unwrap();
    let aside = unique("aside-");
    docker.run(["rename", &first.name, &aside]);
    docker.run(["rename", &other.name, &first.name]);
    let mut shell = open_terminal(&*host, &TerminalRequest::command("hostname; cat")).await;
    shell.end_input().await;
    assert_eq!(String::from_utf8(shell.finish().await.0).unwrap().trim(), hostname_of(&aside));
    docker.run(["rm", "-f", &aside]);
}

fn hostname_of(name: &str) -> String {
    Docker::shared().run(["inspect", "-f", "{{.Config.Hostname}}", name]).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_container_is_reported() {
    let container = workspace(Docker::SH);
    let docker = Docker::shared();
    docker.run(["pause", &container.name]);
    let host = try_host(&[&container.name]).await.unwrap();
    let error = host.open_terminal(&TerminalRequest::default(), &|_: StageEvent| {}).await.unwrap_err();
    assert_eq!((error.stage(), error.fault()), (Stage::Shell, Fault::State), "{}", error.chain());
    docker.run(["unpause", &container.name]);
    docker.run(["stop", &container.name]);
    let error = try_host(&["no-such", &container.name]).await.unwrap_err();
    assert_eq!(error.message(), format!("container {} is exited, not running", container.name));
    assert!(matches!(engine().ready(&target(&[&container.name])).await, Err(NotReady::Container)));
}
