//! An engine that is available, stopped, and started again; and its diagnosis.

use std::time::{Duration, Instant};

use eice::model::{
    Check, CheckOutcome, Connect, Exit, Fault, NotReady, Report, Stage, StageEvent, Target, TerminalRequest,
};

use super::{LABEL, engine, engine_at, target, workspace};
use crate::lab::{Docker, World, open_terminal};

#[tokio::test(flavor = "multi_thread")]
async fn stopped_engine_is_reported_and_found_again() {
    let mut docker = Docker::private();
    let host = docker.host();
    let path = host.strip_prefix("unix://").unwrap().to_owned();
    let engine = engine_at(&host);
    let target = target(&["ws-own"]);
    let run = |docker: &Docker| {
        let idle = ["sh", "-c", "trap exit TERM; while :; do sleep 1000 & wait $!; done"];
        let run = [
            "run",
            "-d",
            "--network=none",
            "--stop-timeout=1",
            "--label",
            LABEL,
            "--name",
            "ws-own",
            Docker::SH,
        ];
        docker.run(run.into_iter().chain(idle));
    };
    run(&docker);
    engine.ready(&target).await.unwrap();
    let open = engine.connect(&target, &|_: StageEvent| {}).await.unwrap();
    let mut shell = open_terminal(&*open, &TerminalRequest::default()).await;
    shell.line("echo he''re").await;
    shell.until("here").await;

    tokio::task::block_in_place(|| docker.stop());
    match engine.ready(&target).await {
        Err(error @ NotReady::Engine(_)) => assert_eq!(error.to_string(), "Docker not available"),
        other => panic!("{other:?}"),
    }
    let error = engine.connect(&target, &|_: StageEvent| {}).await.unwrap_err();
    assert_eq!((error.stage(), error.fault()), (Stage::Workspace, Fault::State), "{}", error.chain());
    assert!(error.chain().contains(&path) && error.hint().unwrap().contains("start the engine"));
    assert_eq!(open.round_trip().await, None);
    let closing = Instant::now();
    shell.close().await;
    open.close().await;
    assert!(closing.elapsed() < Duration::from_secs(5), "what is gone is not waited for");
    let report = engine.diagnose(&target, &|_: StageEvent| {}).await;
    assert_eq!(report.first_failure().unwrap().name, Check::Engine);

    tokio::task::block_in_place(|| docker.start_again());
    // The container was stopped with the engine.
    assert!(matches!(engine.ready(&target).await, Err(NotReady::Container)));
    docker.run(["start", "ws-own"]);
    engine.ready(&target).await.unwrap();
    let again = engine.connect(&target, &|_: StageEvent| {}).await.unwrap();
    let mut shell = open_terminal(&*again, &TerminalRequest::default()).await;
    shell.line("exit 4").await;
    assert_eq!(shell.finish().await.2, Exit::Code(4));
    docker.run(["rm", "-f", "ws-own"]);
}

/// Returns the outcome of each check that was not skipped.
fn outcomes(report: &Report) -> Vec<(Check, CheckOutcome)> {
    let all = report.steps().iter().map(|step| (step.name, step.outcome));
    all.filter(|(_, outcome)| *outcome != CheckOutcome::Skipped).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn diagnosis_has_instance_format() {
    let container = workspace(Docker::SH);
    let report = engine().diagnose(&target(&["ws-none", &container.name]), &|_: StageEvent| {}).await;
    assert!(report.is_ok(), "{report:#?}");
    let passed = |check| (check, CheckOutcome::Passed);
    assert_eq!(outcomes(&report), [passed(Check::Engine), passed(Check::Container), passed(Check::Shell)]);
    assert_eq!(report.steps().len(), Check::ALL.len());
    assert_eq!(report.subject().container.as_ref(), Some(&container.name));
    let skipped = report.step(Check::KeyPush).unwrap();
    assert!(skipped.message.contains("AWS and SSH are not used"), "{skipped:?}");
    assert_eq!(container.processes(), [], "it waits until its shell is gone");

    Docker::shared().run(["stop", &container.name]);
    let report = engine().diagnose(&target(&[&container.name]), &|_: StageEvent| {}).await;
    let failed = report.first_failure().unwrap();
    assert_eq!((failed.name, failed.fault), (Check::Container, Some(Fault::State)));
    assert_eq!(failed.message, format!("container {} is exited, not running", container.name));
    assert_eq!(report.step(Check::Shell).unwrap().outcome, CheckOutcome::NotReached);
}

#[tokio::test(flavor = "multi_thread")]
async fn diagnosis_is_bounded() {
    // A server that accepts connections and never answers.
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut config = eice::docker::engine::EngineConfig::default();
    config.address = format!("unix://{}", socket.display()).parse().unwrap();
    config.timeout = Duration::from_secs(1);
    let report =
        eice::docker::engine::Engine::new(config).diagnose(&target(&["x"]), &|_: StageEvent| {}).await;
    let failed = report.first_failure().unwrap();
    assert_eq!((failed.name, failed.fault), (Check::Engine, Some(Fault::Timeout)));
    assert!(failed.message.ends_with("did not answer within 1s"), "{}", failed.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_server_is_not_an_engine() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
            let mut head = [0; 1024];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut head).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    let engine = engine_at(&format!("tcp://{address}"));
    let error = engine.connect(&target(&["x"]), &|_: StageEvent| {}).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Protocol, "{}", error.chain());
    assert!(matches!(engine.ready(&target(&["x"])).await, Err(NotReady::Engine(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn connector_without_engine_fails() {
    let world = World::builtin().await;
    let container = workspace(Docker::SH);
    let target = Target::from(target(&[&container.name]));
    let without = world.client(|_, _, _| {});
    assert!(matches!(without.ready(&target).await, Err(NotReady::Engine(_))));
    let error = without.connect(&target, &|_: StageEvent| {}).await.unwrap_err();
    assert_eq!((error.stage(), error.fault()), (Stage::Workspace, Fault::State));
    let report = Connect::diagnose(&without, &target, &|_: StageEvent| {}).await.unwrap();
    let failed = report.first_failure().unwrap();
    assert_eq!((failed.name, failed.message.as_str()), (Check::Engine, "Docker not available"));
    assert_eq!(report.steps().len(), Check::ALL.len());

    let with = without.with_engine(engine());
    with.ready(&target).await.unwrap();
    let report = Connect::diagnose(&with, &target, &|_: StageEvent| {}).await.unwrap();
    assert!(report.is_ok(), "{report:#?}");
    // A connector with another SSH configuration has the engine as well.
    let tuned = with.with_ssh_config(eice::ssh::Config::bulk());
    let host = tuned.connect(&target, &|_: StageEvent| {}).await.unwrap();
    let mut shell = open_terminal(&*host, &TerminalRequest::default()).await;
    shell.line("exit").await;
    shell.finish().await;
    container.is_idle();
}
