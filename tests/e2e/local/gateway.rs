//! Local workspaces through `eice serve`: the platform's errors in its order, both browser protocols, and cleanup.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::tab::Tab;
use super::{JOBS, LABEL, labelled, wait_for_jobs};
use crate::lab::{
    Container, Docker, Process, Program, TOKEN, Viewer, eventually, eventually_within, open_files, request,
    unique,
};

/// The gateway's host name for browsers.
pub(super) const PUBLIC_NAME: &str = "acme.example";

/// The header that the platform's edge adds when the gateway serves an organization.
const ORGANISATION: (&str, &str) = ("x-molecule-org-id", "acme");

/// `eice serve` with one workspace that has no instance.
pub(super) struct Gateway {
    pub(super) program: Program,
    pub(super) workspace: String,
    _folder: tempfile::TempDir,
}

impl Gateway {
    /// Starts a gateway for the engine at `docker_host` with a workspace called `name`.
    pub(super) fn start(docker_host: &str, name: &str) -> Self {
        Self::with(docker_host, name, &[])
    }

    fn with(docker_host: &str, name: &str, env: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let workspace = uuid::Uuid::new_v4().to_string();
        let digest = eice::workspace::BearerToken::new(TOKEN).unwrap().digest();
        let text = format!(
            "[[workspace]]\nid = {workspace:?}\nname = {name:?}\n\
             [[token]]\nname = \"e2e\"\nsha256 = \"{digest}\"\nworkspaces = \"*\"\n"
        );
        let file = folder.path().join("directory.toml");
        std::fs::write(&file, text).unwrap();
        let mut all = vec![
            ("DOCKER_HOST", docker_host.to_owned()),
            ("EICE_ALLOWED_ORIGINS", format!("https://{PUBLIC_NAME}")),
        ];
        all.extend(env.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let args = ["serve", "--directory", file.to_str().unwrap(), "--listen", "127.0.0.1:0", "--json"];
        Self { program: Program::start(&args, &all), workspace, _folder: folder }
    }

    /// Returns the possible names of the workspace's container, in order.
    fn names(&self) -> [String; 2] {
        [format!("ws-{}", &self.workspace[..12]), format!("ws-{}", self.workspace)]
    }

    /// Starts the workspace's container.
    pub(super) fn container(&self, image: &str) -> Container {
        labelled(&self.names()[0], image)
    }

    /// Opens a tab of the current client.
    async fn tab(&self) -> Viewer {
        let token = format!("Bearer {TOKEN}");
        let headers = [("authorization", token.as_str()), ("host", PUBLIC_NAME)];
        Viewer::try_open(self.program.addr(), &self.workspace, &headers).await.unwrap()
    }

    /// Requests a terminal with `authorization`; returns the status and body of the refusal.
    async fn refusal(&self, authorization: &str) -> (u16, Value) {
        let path = format!("/workspaces/{}/terminal", self.workspace);
        let headers = [
            ("host", PUBLIC_NAME),
            ORGANISATION,
            ("authorization", authorization),
            ("upgrade", "websocket"),
            ("connection", "Upgrade, close"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let (status, body) = request(self.program.addr(), "GET", &path, &headers, "").await;
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    async fn diagnosis(&self) -> Value {
        let path = format!("/workspaces/{}/terminal/diagnose", self.workspace);
        let token = format!("Bearer {TOKEN}");
        let headers = [("host", PUBLIC_NAME), ORGANISATION, ("authorization", token.as_str())];
        let (status, body) = request(self.program.addr(), "GET", &path, &headers, "").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// Returns the header with the tests' token.
pub(super) fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_client_gets_80x24_and_1000() {
    let gateway = Gateway::start(&Docker::shared().host(), "prod agent");
    let container = gateway.container(Docker::BASH);
    let mut viewer = gateway.tab().await;
    viewer.line("stty size; echo ws=$MOLECULE_WS_ID; exit 4").await;
    viewer.until("24 80\r\n").await;
    viewer.until(&format!("ws={}", gateway.workspace)).await;
    let closed = viewer.finish().await;
    assert_eq!(closed.close, Some((1000, String::new())), "{closed:?}");
    assert!(closed.errors.is_empty(), "{closed:?}");
    container.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_before_upgrade_match_platform() {
    let name = unique("lead ");
    let gateway = Gateway::start(&Docker::shared().host(), &name);
    // Without a valid token nothing about containers is disclosed.
    assert_eq!(gateway.refusal("Bearer wrong").await.0, 401);
    let not_running = (404, serde_json::json!({"error": "container not running"}));
    assert_eq!(gateway.refusal(&bearer()).await, not_running);
    // The container is found by each of its names.
    let named = name.replace(' ', "-");
    let names = gateway.names();
    for name in [&named, &names[1], &names[0]] {
        let container = labelled(name, Docker::SH);
        let mut viewer = gateway.tab().await;
        viewer.line("hostname; echo en''d").await;
        assert!(viewer.until("end").await.contains(&container.id()[..12]), "{name}");
        viewer.leave().await;
        Docker::shared().run(["stop", name]);
        assert_eq!(gateway.refusal(&bearer()).await, not_running, "{name} is stopped");
        drop(container);
    }
    // A container with the right name but without the label.
    let _other = Container::start_as(&named, Docker::SH, &[]);
    assert_eq!(gateway.refusal(&bearer()).await, not_running);
    let report = gateway.diagnosis().await;
    assert_eq!((&report["ok"], &report["first_failure"]), (&false.into(), &"container".into()));
    assert!(!report.to_string().contains("label"), "it is as if it were not there: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_engine_is_503_until_it_starts() {
    let unavailable = (503, serde_json::json!({"error": "Docker not available"}));
    // An organization's workspaces are instances, with or without an engine.
    let saas = Gateway::with(&Docker::shared().host(), "a", &[("MOLECULE_ORG_ID", "acme")]);
    let _container = saas.container(Docker::SH);
    assert_eq!(saas.refusal("Bearer wrong").await.0, 401);
    assert_eq!(saas.refusal(&bearer()).await, unavailable);
    assert_eq!(saas.diagnosis().await["first_failure"], "engine");

    let mut docker = Docker::private();
    let gateway = Gateway::start(&docker.host(), "a");
    assert_eq!(gateway.refusal(&bearer()).await.0, 404);
    tokio::task::block_in_place(|| docker.stop());
    assert_eq!(gateway.refusal(&bearer()).await, unavailable);
    let log = gateway.program.stderr();
    assert!(
        log.contains("cannot be reached") && log.contains(&docker.host()),
        "the log has the reason: {log}"
    );
    tokio::task::block_in_place(|| docker.start_again());
    let name = gateway.names()[0].clone();
    let idle = ["sh", "-c", "trap exit TERM; while :; do sleep 1000 & wait $!; done"];
    let run = ["run", "-d", "--network=none", "--label", LABEL, "--name", &name, Docker::SH];
    docker.run(run.into_iter().chain(idle));
    let mut viewer = gateway.tab().await;
    viewer.line("exit").await;
    assert_eq!(viewer.finish().await.close, Some((1000, String::new())));
    assert_eq!(gateway.diagnosis().await["ok"], true);
    docker.run(["rm", "-f", &name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_starts_before_engine() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let gateway = Gateway::start(&format!("unix://{}", socket.display()), "a");
    assert_eq!(gateway.refusal(&bearer()).await.0, 503);
    let real = Docker::shared().host();
    std::os::unix::fs::symlink(real.strip_prefix("unix://").unwrap(), &socket).unwrap();
    assert_eq!(gateway.refusal(&bearer()).await.0, 404);
    let container = gateway.container(Docker::SH);
    let mut viewer = gateway.tab().await;
    viewer.line("echo he''re").await;
    viewer.until("here").await;
    viewer.leave().await;
    container.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn eicterm_client_resizes_and_gets_exit() {
    let gateway = Gateway::start(&Docker::shared().host(), "a");
    let container = gateway.container(Docker::SH);
    let mut tab = Tab::open(&gateway, 120, 40).await;
    let stages = tab.until_output("# ").await;
    let passed = stages.iter().filter(|message| message["ms"].is_number());
    let names: Vec<&str> = passed.filter_map(|message| message["name"].as_str()).collect();
    assert_eq!(names, ["workspace", "shell"], "{stages:?}");
    tab.types("stty size\r").await;
    tab.until_output("40 120\r\n").await;
    tab.send(&[1, 0, 91, 0, 31]).await;
    // Checked separately from the input after it.
    tab.types("while [ \"$(stty size)\" != '31 91' ]; do sleep 0.1; done; echo resi''zed; exit 7\r").await;
    tab.until_output("resized").await;
    let (exit, close) = tab.finish().await;
    assert_eq!((exit["code"].as_u64(), close), (Some(7), Some(1000)), "{exit}");
    container.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_failure_has_hint() {
    let gateway = Gateway::start(&Docker::shared().host(), "a");
    let container = gateway.container(Docker::SH);
    Docker::shared().run(["pause", &container.name]);
    let viewer = gateway.tab().await;
    let closed = viewer.finish().await;
    Docker::shared().run(["unpause", &container.name]);
    assert_eq!(closed.close, Some((4500, "shell failed".into())), "{closed:?}");
    assert!(closed.errors[0].starts_with("Error: shell: "), "no wiring of AWS is at fault: {closed:?}");
    assert!(closed.errors[0].contains("unpause"), "{closed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_waits_and_ctrl_c_passes() {
    let gateway = Gateway::start(&Docker::shared().host(), "a");
    // With bash, `yes` is a separate process.
    let container = gateway.container(Docker::BASH);
    let mut viewer = gateway.tab().await;
    viewer.line("echo wa''rm").await;
    viewer.until("warm").await;
    let before = resident(gateway.program.pid());
    viewer
        .line("yes 0123456789abcdefghijklmnopqrstuvwxyz | head -c 10485760; echo be''hind; sleep 5000")
        .await;
    // The viewer does not read: the program is blocked and the gateway's buffers stay bounded.
    eventually("the flood is on", || {
        container.processes().iter().any(|process| process.command.starts_with("yes")).then_some(())
    });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let is_blocked = container.processes().iter().any(|process| process.command.starts_with("yes"));
    assert!(is_blocked, "10 MB were accepted");
    let grown = resident(gateway.program.pid()).saturating_sub(before);
    assert!(grown < 8 << 20, "the gateway grew by {grown} bytes");
    let said = viewer.until("behind").await;
    assert!(said.len() > 10 << 20, "nothing is lost: {} bytes", said.len());

    viewer.line("").await;
    viewer.key("\u{3}").await;
    viewer.line("yes").await;
    viewer.until("y\r\ny\r\n").await;
    let asked = Instant::now();
    viewer.key("\u{3}").await;
    viewer.line("echo ca''lm").await;
    viewer.until("calm").await;
    assert!(asked.elapsed() < Duration::from_secs(60), "{:?}", asked.elapsed());
    viewer.leave().await;
    container.is_idle();
}

/// Returns the resident memory of the process `pid`, in bytes.
fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    kib.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn large_paste_arrives_intact() {
    let gateway = Gateway::start(&Docker::shared().host(), "a");
    let container = gateway.container(Docker::SH);
    let mut viewer = gateway.tab().await;
    viewer.line("stty raw -echo; echo re''ady; head -c 1048576 | sha256sum; stty sane; echo be''hind").await;
    viewer.until("ready").await;
    let paste: String =
        (0..1_u32 << 20).map(|n| char::from(b' ' + (n.wrapping_mul(2_654_435_761) >> 26) as u8)).collect();
    viewer.key(&paste).await;
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&paste);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let said = viewer.until("behind").await;
    assert!(said.contains(&digest), "{said}");
    viewer.leave().await;
    container.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_tab_leaves_nothing() {
    let gateway = Gateway::start(&Docker::shared().host(), "a");
    let container = gateway.container(Docker::BASH);
    // The first tab fills caches.
    for (round, vanishes) in [false, true, false, true].into_iter().enumerate() {
        let before = open_files(gateway.program.pid());
        let mut viewer = gateway.tab().await;
        viewer.line(JOBS).await;
        viewer.until("started").await;
        wait_for_jobs(&container);
        assert!(Process::descendants(gateway.program.pid()).is_empty(), "no subprocess, ever");
        if vanishes {
            viewer.vanish();
        } else {
            viewer.leave().await;
        }
        container.is_idle();
        if round > 0 {
            eventually("the files are closed", || {
                (open_files(gateway.program.pid()) <= before).then_some(())
            });
        }
    }
    assert!(!gateway.program.stderr().contains(TOKEN), "a secret in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_stop_closes_tabs_with_1001() {
    let mut gateway = Gateway::start(&Docker::shared().host(), "a");
    let container = gateway.container(Docker::SH);
    let mut viewer = gateway.tab().await;
    viewer.line(JOBS).await;
    viewer.until("started").await;
    wait_for_jobs(&container);
    let finished = tokio::spawn(viewer.finish());
    assert!(tokio::task::block_in_place(|| gateway.program.part.terminate()).success());
    assert_eq!(container.processes(), [], "it waits until nothing is left");
    assert_eq!(finished.await.unwrap().close.map(|(code, _)| code), Some(1001));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_gateway_leaves_nothing() {
    /// The watcher sends SIGHUP at once and SIGKILL a second later.
    const BOUND: Duration = Duration::from_secs(8);
    let mut gateway = Gateway::start(&Docker::shared().host(), "a");
    let container = gateway.container(Docker::SH);
    let mut viewers = Vec::new();
    for _ in 0..2 {
        let mut viewer = gateway.tab().await;
        viewer.line("sleep 6000 &").await;
        viewer.line("setsid sleep 6001 & echo st''arted").await;
        viewer.until("started").await;
        viewers.push(viewer);
    }
    gateway.program.part.kill();
    eventually_within(BOUND, "nothing is left", || container.processes().is_empty().then_some(()));
}
