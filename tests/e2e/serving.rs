//! Operating `eice serve`: TLS, reload, graceful stop, metrics, audit log, service manager.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::lab::{
    Program, TOKEN, Viewer, WORKSPACE, World, directory, eventually, poll_async, request, run, run_ok,
};

/// How long a reload may take.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(20);

/// A gateway with its files, in front of an emulated account.
struct Gateway {
    program: Program,
    dir: tempfile::TempDir,
    world: World,
}

impl Gateway {
    /// Starts a gateway with `lines` in its configuration; `DIR` is replaced by the folder of its files.
    async fn start(lines: &str) -> Self {
        Self::with(lines, &[]).await
    }

    async fn with(lines: &str, env: &[(&'static str, String)]) -> Self {
        let world = World::builtin().await;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("directory.toml"), directory("ec2-user", "")).unwrap();
        configure(dir.path(), lines);
        let config = dir.path().join("serve.toml");
        let mut all = world.emulator.access().env();
        all.extend(env.iter().cloned());
        let args = ["serve", "--config", config.to_str().unwrap(), "--listen", "127.0.0.1:0", "--json"];
        let program = Program::start(&args, &all);
        Self { program, dir, world }
    }

    fn addr(&self) -> SocketAddr {
        self.program.addr()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn send_sighup(&self) {
        self.program.part.process.signal(Signal::HUP);
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let bearer = format!("Bearer {TOKEN}");
        request(self.addr(), "GET", path, &[("host", "gateway.test"), ("authorization", &bearer)], "").await
    }

    async fn viewer(&self) -> Viewer {
        self.try_viewer(TOKEN).await.unwrap_or_else(|status| panic!("{status}"))
    }

    async fn try_viewer(&self, token: &str) -> Result<Viewer, u16> {
        let bearer = format!("Bearer {token}");
        let headers = [("host", "gateway.test"), ("authorization", bearer.as_str())];
        Viewer::try_open(self.addr(), WORKSPACE, &headers).await.map_err(|status| status.as_u16())
    }

    /// Returns the value of one line of `/metrics`.
    async fn counted(&self, series: &str) -> f64 {
        let (status, body) = self.get("/metrics").await;
        assert_eq!(status, 200, "{body}");
        let line = body.lines().find_map(|line| line.strip_prefix(&format!("molecule_terminal_{series} ")));
        line.unwrap_or_else(|| panic!("no {series} in {body}")).parse().unwrap()
    }

    /// Waits until `count` reloads have ended with `outcome`.
    async fn wait_for_reloads(&self, outcome: &str, count: f64) {
        let series = format!("reloads_total{{outcome=\"{outcome}\",what=\"configuration\"}}");
        let done = poll_async(RELOAD_TIMEOUT, async || (self.counted(&series).await >= count).then_some(()));
        assert!(done.await.is_some(), "not {count} {outcome}: {}", self.program.stderr());
    }
}

/// Writes the configuration.
fn configure(dir: &Path, lines: &str) {
    let text = format!(
        "[gateway]\nallowed_origins = ['https://gateway.test']\n{lines}\n[directory]\nfile = 'DIR/directory.toml'\n"
    );
    fs::write(dir.join("serve.toml"), text.replace("DIR", dir.to_str().unwrap())).unwrap();
}

/// Generates a certificate for the gateway's name and its key by openssl.
fn certificate(dir: &Path) {
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (key, cert) = (path("key.pem"), path("cert.pem"));
    run_ok(
        "openssl",
        [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=gateway.test",
            "-addext",
            "subjectAltName=DNS:gateway.test",
            "-keyout",
            &key,
            "-out",
            &cert,
        ],
    );
}

/// Runs `curl` for `path` over TLS, trusting only the folder's certificate; returns its success and output.
fn curl(gateway: SocketAddr, dir: &Path, path: &str, more: &[&str]) -> (bool, String) {
    let port = gateway.port();
    let (url, to) = (format!("https://gateway.test:{port}{path}"), format!("gateway.test:{port}:127.0.0.1"));
    let ca = dir.join("cert.pem").to_str().unwrap().to_owned();
    let host = ["-sS", "-m", "20", "-H", "Host: gateway.test", "--cacert", &ca, "--resolve", &to];
    let output = run("curl", [&host, more, &[url.as_str()]].concat());
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_and_keeps_terminals() {
    let gateway = Gateway::start("[limits]\nmax_sessions = 5\n").await;
    let mut viewer = gateway.viewer().await;
    viewer.line("echo fi''rst").await;
    viewer.until("first").await;

    // Another token, another limit, and settings that need a restart.
    let digest = eice::workspace::BearerToken::new("another").unwrap().digest();
    let entries = directory("ec2-user", "");
    let more = format!("[[token]]\nname = \"new\"\nsha256 = \"{digest}\"\nworkspaces = \"*\"\n");
    fs::write(gateway.path("directory.toml"), entries.clone() + &more).unwrap();
    configure(
        gateway.dir.path(),
        "[limits]\nmax_sessions = 2\nmax_connections = 9\n[aws]\nregion = 'eu-west-1'\n",
    );
    assert_eq!(gateway.try_viewer("another").await.err(), Some(401));
    gateway.send_sighup();
    gateway.wait_for_reloads("applied", 1.0).await;
    let second = gateway.try_viewer("another").await.unwrap_or_else(|status| panic!("{status}"));
    assert_eq!(gateway.try_viewer(TOKEN).await.err(), Some(503), "two are open");
    second.leave().await;
    viewer.line("echo sec''ond").await;
    viewer.until("second").await;
    let log = gateway.program.stderr();
    for setting in ["aws.region", "limits.max_connections"] {
        let warned = log.lines().any(|line| line.contains("WARN") && line.contains(setting));
        assert!(warned, "{setting}: {log}");
    }

    // All errors of a configuration are reported, and it is not applied.
    fs::write(gateway.path("directory.toml"), "[[token]]\nname = \"x\"\n").unwrap();
    configure(gateway.dir.path(), "colour = 1\n[limits]\nmax_sessions = 0\n");
    gateway.send_sighup();
    gateway.wait_for_reloads("failed", 1.0).await;
    let log = gateway.program.stderr();
    for problem in ["gateway.colour", "limits.max_sessions", "directory.toml, line 1"] {
        assert!(log.lines().any(|line| line.contains("ERROR") && line.contains(problem)), "{problem}: {log}");
    }
    drop(gateway.try_viewer("another").await.unwrap_or_else(|status| panic!("{status}")));

    // A removed token opens nothing more, and its terminals are closed.
    fs::write(
        gateway.path("directory.toml"),
        entries.replace("e2e", "other").replace(&token_digest(), &digest.to_string()),
    )
    .unwrap();
    configure(gateway.dir.path(), "recheck_secs = 1\n");
    gateway.send_sighup();
    gateway.wait_for_reloads("applied", 2.0).await;
    assert_eq!(gateway.try_viewer(TOKEN).await.err(), Some(401));
    assert_eq!(viewer.finish().await.close.map(|(code, _)| code), Some(4403));
}

fn token_digest() -> String {
    eice::workspace::BearerToken::new(TOKEN).unwrap().digest().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_certificate_is_reloaded() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path());
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let tls = format!("[tls]\ncert_file = '{}'\nkey_file = '{}'\n", at("cert.pem"), at("key.pem"));
    let mut gateway = Gateway::start(&format!("{tls}[metrics]\nlisten = '127.0.0.1:0'\n")).await;
    assert!(gateway.program.ready.url.starts_with("https://"));
    for version in [&["--tlsv1.2", "--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        let (ok, body) = curl(gateway.addr(), dir.path(), "/health", version);
        assert!(ok && body == "{\"status\":\"ok\"}", "{version:?}: {body}");
    }
    let (ok, _) = curl(gateway.addr(), dir.path(), "/health", &["--tls-max", "1.1"]);
    assert!(!ok, "TLS 1.1 is refused");
    let (_, head) = curl(gateway.addr(), dir.path(), "/health", &["-i", "--http2"]);
    assert!(
        head.starts_with("HTTP/1.1 200") && head.to_lowercase().contains("strict-transport-security"),
        "{head}"
    );

    // The metrics are served on their own address only.
    let metrics: SocketAddr =
        gateway.program.ready.metrics_url.as_deref().unwrap().split('/').nth(2).unwrap().parse().unwrap();
    let (_, body) = curl(gateway.addr(), dir.path(), "/metrics", &["-o", "/dev/null", "-w", "%{http_code}"]);
    assert_eq!(body, "404");
    let metric = async |series: &str| -> f64 {
        let (status, body) = request(metrics, "GET", "/metrics", &[], "").await;
        assert_eq!(status, 200);
        let line = body.lines().find_map(|line| line.strip_prefix(&format!("molecule_terminal_{series} ")));
        line.unwrap_or_else(|| panic!("no {series} in {body}")).parse().unwrap()
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let left = metric("tls_certificate_not_after_seconds").await - now;
    assert!((86_400.0..=2.0 * 86_400.0 + 60.0).contains(&left), "{left}");

    // A key that does not match is refused and the old pair stays; then the new pair is loaded.
    let old = tempfile::tempdir().unwrap();
    fs::copy(at("cert.pem"), old.path().join("cert.pem")).unwrap();
    let new = tempfile::tempdir().unwrap();
    certificate(new.path());
    fs::copy(new.path().join("key.pem"), at("key.pem")).unwrap();
    gateway.send_sighup();
    eventually("the refusal", || gateway.program.stderr().contains("not reloaded").then_some(()));
    assert!(curl(gateway.addr(), old.path(), "/health", &[]).0);
    fs::copy(new.path().join("cert.pem"), at("cert.pem")).unwrap();
    gateway.send_sighup();
    eventually("the new certificate", || curl(gateway.addr(), new.path(), "/health", &[]).0.then_some(()));
    assert!(!curl(gateway.addr(), old.path(), "/health", &[]).0);
    assert!(gateway.program.part.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_log_has_request_ids_and_rotates() {
    let mut gateway = Gateway::start("[audit]\nfile = 'DIR/audit.log'\nrequired = true\n").await;
    let mut viewer = gateway.viewer().await;
    viewer.line("exit 3").await;
    assert_eq!(viewer.finish().await.close.map(|(code, _)| code), Some(1000));
    let records = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(gateway.path(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let close = eventually("the record", || {
        records("audit.log").into_iter().find(|record| record["event"] == "terminal.close")
    });
    assert_eq!((&close["exit_code"], &close["principal"]), (&Value::from(3), &Value::from("e2e")));
    let (tunnel, push) =
        (close["tunnel_request_id"].as_str().unwrap(), close["key_push_request_id"].as_str().unwrap());
    // AWS has recorded the same request ids.
    let known: Vec<String> =
        gateway.world.emulator.records().into_iter().map(|record| record.request_id).collect();
    assert!(known.iter().any(|id| id == tunnel), "{tunnel} is not in {known:?}");
    assert!(known.iter().any(|id| id == push), "{push} is not in {known:?}");
    assert!(close["endpoint"].as_str().unwrap().starts_with("eice-"));

    fs::rename(gateway.path("audit.log"), gateway.path("audit.log.1")).unwrap();
    gateway.send_sighup();
    gateway.wait_for_reloads("applied", 1.0).await;
    assert_eq!(gateway.try_viewer("wrong").await.err(), Some(401));
    let denied = eventually("the record of the new file", || records("audit.log").pop());
    assert_eq!(
        (&denied["event"], &denied["reason"]),
        (&Value::from("denied"), &Value::from("invalid-token"))
    );
    assert_eq!(records("audit.log.1").len(), 3);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(gateway.path("audit.log")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    assert!(gateway.program.part.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_drains_and_second_signal_forces() {
    let mut gateway = Gateway::start("").await;
    let viewer = gateway.viewer().await;
    let began = Instant::now();
    assert!(gateway.program.part.terminate().success());
    assert!(began.elapsed() < Duration::from_secs(9), "it waits for no timeout: {:?}", began.elapsed());
    let farewell = viewer.finish().await;
    assert_eq!(farewell.close, Some((1001, "gateway restarting".into())));
    eventually("the tunnel is closed", || (gateway.world.emulator.open_tunnels() == 0).then_some(()));

    // A request with an incomplete body delays a stop until its timeout. A second signal does not wait for it; SIGHUP
    // is not a stop signal.
    let mut gateway =
        Gateway::start("drain_timeout_secs = 3600\n[limits]\nrequest_timeout_secs = 3600\n").await;
    let mut stuck = std::net::TcpStream::connect(gateway.addr()).unwrap();
    let head = format!(
        "PUT /workspaces/{WORKSPACE}/files HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    std::io::Write::write_all(&mut stuck, head.as_bytes()).unwrap();
    let mut open = gateway.viewer().await;
    open.line("echo op''en").await;
    open.until("open").await;
    gateway.program.part.process.signal(Signal::TERM);
    eventually("the stop", || gateway.program.stderr().contains("draining").then_some(()));
    gateway.send_sighup();
    gateway.program.part.process.signal(Signal::TERM);
    let status = eventually("the end", || gateway.program.part.child().try_wait().unwrap());
    assert_eq!(status.code(), Some(143), "{}", gateway.program.stderr());
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread")]
async fn service_manager_is_notified() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let env = [("NOTIFY_SOCKET", socket.to_str().unwrap().to_owned())];
    let mut gateway = Gateway::with("", &env).await;
    let message = || {
        let mut buffer = [0; 128];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(message(), "READY=1");
    configure(gateway.dir.path(), "colour = 1\n");
    for _ in 0..2 {
        gateway.send_sighup();
        let reloading = message();
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        // It serves, whether or not the reload succeeded.
        assert_eq!(message(), "READY=1");
        configure(gateway.dir.path(), "");
    }
    assert!(gateway.program.part.terminate().success());
    assert_eq!(message(), "STOPPING=1");
}
