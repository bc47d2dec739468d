//! `eice serve` on the platform's database, seen from outside.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use eice::workspace::WorkspaceId;

use super::{add_org_token, add_remote, add_workspace, add_workspace_token, token};
use crate::lab::{Container, Docker, Postgres, Program, Viewer, World, eventually, request};

const OUTAGE: &str =
    r#"{"code":"platform_unavailable","error":"platform datastore unavailable — retry shortly"}"#;

/// The environment variables of the gateway.
pub(super) const HOST: &str = "gateway.test";

/// How long an expected event may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// As a variable's value: unset.
const WITHOUT: &str = "\0";

/// A gateway started with the platform's variables, as by a tenant.
pub(super) fn serve(world: &World, url: &str, more: &[(&'static str, &str)]) -> Program {
    let mut env = world.emulator.access().env();
    env.retain(|(name, _)| !more.contains(&(*name, WITHOUT)));
    env.push(("DATABASE_URL", url.to_owned()));
    env.push(("EICE_ALLOWED_HOSTS", HOST.to_owned()));
    env.push(("WORKSPACE_EC2_OS_USER", "ec2-user".to_owned()));
    env.extend(
        more.iter().filter(|(_, value)| *value != WITHOUT).map(|(name, value)| (*name, (*value).to_owned())),
    );
    Program::start(&["serve", "--listen", "127.0.0.1:0", "--json"], &env)
}

async fn get(gateway: SocketAddr, path: &str, token: &str) -> (u16, String) {
    let bearer = format!("Bearer {token}");
    request(gateway, "GET", path, &[("host", HOST), ("authorization", &bearer)], "").await
}

async fn terminal(gateway: SocketAddr, id: WorkspaceId, token: &str) -> Result<Viewer, u16> {
    let bearer = format!("Bearer {token}");
    let headers = [("host", HOST), ("authorization", bearer.as_str())];
    Viewer::try_open(gateway, &id.to_string(), &headers).await.map_err(|status| status.as_u16())
}

/// Returns the response to a terminal's handshake that is refused.
async fn upgrade(gateway: SocketAddr, id: WorkspaceId, token: &str) -> (u16, String) {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("host", HOST),
        ("authorization", bearer.as_str()),
        ("upgrade", "websocket"),
        ("connection", "Upgrade, close"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    request(gateway, "GET", &format!("/workspaces/{id}/terminal"), &headers, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn known_token_opens_instance() {
    let database = Postgres::shared().platform();
    let world = World::builtin().await;
    let [mine, other] = ["mine", "other"].map(|name| add_remote(&database, name));
    let removed = add_remote(&database, "removed");
    let (org, own, of_removed) = (token("org"), token("own"), token("removed"));
    add_org_token(&database, &org);
    add_workspace_token(&database, mine, &own);
    add_workspace_token(&database, removed, &of_removed);
    database.run(&format!("UPDATE workspaces SET status = 'removed' WHERE id = '{removed}'"));
    let mut gateway = serve(&world, &database.url(), &[]);
    let addr = gateway.addr();

    for token in [&org, &own] {
        let mut viewer = terminal(addr, mine, token).await.unwrap_or_else(|status| panic!("{status}"));
        viewer.line("echo fr''om the instance").await;
        viewer.until("from the instance").await;
        viewer.line("exit").await;
        assert_eq!(viewer.finish().await.close.map(|(code, _)| code), Some(1000));
    }
    // An unknown token, a removed workspace's token, a revoked token.
    let path = format!("/workspaces/{mine}/terminal");
    for wrong in [&token("nobody"), &of_removed] {
        assert_eq!(terminal(addr, mine, wrong).await.err(), Some(401));
        let (status, body) = get(addr, &path, wrong).await;
        assert_eq!((status, body.as_str()), (401, r#"{"error":"invalid workspace auth token"}"#));
    }
    // Another workspace, a removed one and a missing one.
    assert!(matches!(terminal(addr, other, &own).await.err(), Some(401 | 403 | 404)));
    assert!(terminal(addr, removed, &org).await.is_err());
    assert_eq!(terminal(addr, WorkspaceId::random(), &org).await.err(), Some(404));
    database.run("UPDATE org_api_tokens SET revoked_at = now()");
    assert_eq!(terminal(addr, mine, &org).await.err(), Some(401));

    let (status, body) = get(addr, "/workspaces", &own).await;
    assert_eq!(status, 200);
    assert!(body.contains("mine") && !body.contains("other"), "{body}");

    // The last rows are written during shutdown.
    let mut last = terminal(addr, mine, &own).await.unwrap_or_else(|status| panic!("{status}"));
    last.line("echo la''st").await;
    last.until("last").await;
    assert!(gateway.part.terminate().success());
    let rows = "SELECT method, count(*), count(request_body), count(response_body), count(duration_ms), \
                count(*) FILTER (WHERE status = 'ok' AND activity_type = 'agent_log') \
                FROM activity_logs WHERE workspace_id = ";
    let rows = database.run(&format!("{rows}'{mine}' GROUP BY method ORDER BY method"));
    assert_eq!(rows, "terminal.close|3|0|3|3|3\nterminal.open|3|3|0|3|3");
    let used = "SELECT count(*) FROM workspace_auth_tokens WHERE last_used_at IS NOT NULL";
    assert_eq!(database.run(used), "1");
}

/// Returns the number of directory answers so far.
async fn answers(gateway: SocketAddr) -> u64 {
    const SERIES: &str = "molecule_terminal_directory_query_duration_seconds_count{outcome=\"answered\"} ";
    let (status, body) = get(gateway, "/metrics", "").await;
    assert_eq!(status, 200, "{body}");
    body.lines().find_map(|line| line.strip_prefix(SERIES)).expect("it is counted").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn last_used_is_set_once_per_login() {
    let database = Postgres::shared().platform();
    let world = World::builtin().await;
    let id = add_remote(&database, "mine");
    let (org, own) = (token("org"), token("own"));
    add_org_token(&database, &org);
    add_workspace_token(&database, id, &own);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("serve.toml");
    std::fs::write(&config, "[gateway]\nrecheck_secs = 1\nrate_limit = 1000000\n").unwrap();
    let more = [("EICE_CONFIG", config.to_str().unwrap())];
    let mut gateway = serve(&world, &database.url(), &more);
    let addr = gateway.addr();
    let mut viewers = Vec::new();
    for token in [&org, &own] {
        viewers.push(terminal(addr, id, token).await.unwrap_or_else(|status| panic!("{status}")));
    }
    let used = "SELECT count(*) FROM (SELECT last_used_at FROM org_api_tokens \
                UNION ALL SELECT last_used_at FROM workspace_auth_tokens) AS tokens \
                WHERE last_used_at > now() - interval '1 hour'";
    eventually("both uses are written", || (database.run(used) == "2").then_some(()));

    for table in ["workspace_auth_tokens", "org_api_tokens"] {
        database.run(&format!("UPDATE {table} SET last_used_at = '2020-01-01'"));
    }
    // Each round looks up two tokens and a workspace.
    let (before, began) = (answers(addr).await, Instant::now());
    while answers(addr).await < before + 3 * 3 {
        assert!(began.elapsed() < PATIENCE, "nobody asks again");
        tokio::task::yield_now().await;
    }
    for viewer in &mut viewers {
        viewer.line("echo st''ill here").await;
        viewer.until("still here").await;
    }
    // Pending writes are complete when it has ended.
    assert!(gateway.part.terminate().success());
    assert_eq!(database.run(used), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_without_instance_is_local() {
    let database = Postgres::shared().platform();
    let world = World::builtin().await;
    let id = add_workspace(&database, "Plain One", &[("status", "'online'"), ("instance_id", "''")]);
    let org = token("org");
    add_org_token(&database, &org);

    // Without an engine: the platform's response, and no instance.
    let without = serve(&world, &database.url(), &[("DOCKER_HOST", "unix:///nonexistent/docker.sock")]);
    assert_eq!(terminal(without.addr(), id, &org).await.err(), Some(503));
    let (status, body) = upgrade(without.addr(), id, &org).await;
    assert_eq!((status, body.as_str()), (503, r#"{"error":"Docker not available"}"#));

    let with = serve(&world, &database.url(), &[("DOCKER_HOST", &Docker::shared().host())]);
    let (status, body) = upgrade(with.addr(), id, &org).await;
    assert_eq!((status, body.as_str()), (404, r#"{"error":"container not running"}"#));
    let name = format!("ws-{}", &id.to_string()[..12]);
    let _container = Container::start_as(&name, Docker::SH, &["--label", "molecule.platform.managed=true"]);
    let mut viewer = terminal(with.addr(), id, &org).await.unwrap_or_else(|status| panic!("{status}"));
    viewer.line("echo in $MOLECULE_WS_ID").await;
    viewer.until(&format!("in {id}")).await;
    viewer.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outage_is_503_until_recovery() {
    let mut postgres = Postgres::start();
    let (url, id, org) = {
        let database = postgres.platform();
        let org = token("org");
        add_org_token(&database, &org);
        (database.url_by_password("canary-5c0ffee5"), add_remote(&database, "mine"), org)
    };
    let world = World::builtin().await;
    postgres.stop();
    // It starts without the database.
    let gateway = serve(&world, &url, &[("EICE_LOG", "trace")]);
    let addr = gateway.addr();
    let path = format!("/workspaces/{id}/terminal");
    let is_outage = async || {
        for path in [path.as_str(), "/workspaces"] {
            let (status, body) = get(addr, path, &org).await;
            assert_eq!(status, 503, "{path}: {body}");
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body, serde_json::from_str::<serde_json::Value>(OUTAGE).unwrap(), "{path}");
        }
        assert_eq!(terminal(addr, id, &org).await.err(), Some(503), "neither 401 nor a container");
    };
    is_outage().await;
    assert_eq!(get(addr, "/health", "").await.0, 200, "the process is well");

    postgres.resume();
    let mut viewer = terminal(addr, id, &org).await.unwrap_or_else(|status| panic!("{status}"));
    viewer.line("echo be''fore").await;
    viewer.until("before").await;

    postgres.crash();
    is_outage().await;
    viewer.line("echo mean''while").await;
    viewer.until("meanwhile").await;

    postgres.resume();
    let mut again = terminal(addr, id, &org).await.unwrap_or_else(|status| panic!("{status}"));
    again.line("echo af''ter").await;
    again.until("after").await;

    let log = gateway.stderr();
    assert!(log.contains("directory outage") && log.contains("Connection refused"), "the cause is told");
    assert!(log.contains("sqlx"), "the log is of every library");
    assert!(!log.contains("canary") && !log.contains(&org), "no secret is");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_instance_id_is_500() {
    let database = Postgres::shared().platform();
    let org = token("org");
    add_org_token(&database, &org);
    let bad = add_workspace(&database, "bad", &[("instance_id", "'canary\u{1b}[2J'")]);
    let good = add_remote(&database, "good");
    let world = World::builtin().await;
    let gateway = serve(&world, &database.url(), &[("DOCKER_HOST", &Docker::shared().host())]);
    let addr = gateway.addr();
    assert_eq!(terminal(addr, bad, &org).await.err(), Some(500));
    for path in ["", "/terminal", "/terminal/diagnose", "/terminal/sessions"] {
        let (status, body) = get(addr, &format!("/workspaces/{bad}{path}"), &org).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let expected = serde_json::json!({
            "code": "workspace_unusable",
            "error": "the platform's entry of this workspace is wrong: an operator has to mend it",
        });
        assert_eq!((status, body), (500, expected), "{path}");
    }
    assert_eq!(get(addr, "/ready", "").await.0, 200, "the directory is well");
    // Other workspaces still work.
    let (status, list) = get(addr, "/workspaces", &org).await;
    assert!(status == 200 && list.contains("good") && !list.contains("bad"), "{list}");
    let mut viewer = terminal(addr, good, &org).await.unwrap_or_else(|status| panic!("{status}"));
    viewer.line("echo go''od").await;
    viewer.until("good").await;

    let log = gateway.stderr();
    let told =
        |line: &&str| line.contains("ERROR") && line.contains(&bad.to_string()) && line.contains("canary");
    assert!(log.lines().any(|line| told(&line)), "the log names the row: {log}");
    assert!(!log.contains("directory outage") && !log.contains("\u{1b}[2J"), "{log}");
    // Once fixed, it opens without a restart.
    database
        .run(&format!("UPDATE workspaces SET instance_id = '{}' WHERE id = '{bad}'", crate::lab::INSTANCE));
    let mut viewer = terminal(addr, bad, &org).await.unwrap_or_else(|status| panic!("{status}"));
    viewer.line("echo men''ded").await;
    viewer.until("mended").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_table_is_503_in_time() {
    let database = Postgres::shared().platform();
    let org = token("org");
    add_org_token(&database, &org);
    let id = add_remote(&database, "mine");
    let world = World::builtin().await;
    let gateway = serve(&world, &database.url(), &[]);
    let path = format!("/workspaces/{id}");
    assert_eq!(get(gateway.addr(), &path, &org).await.0, 200);
    let lock = database.lock_workspaces();
    let begun = std::time::Instant::now();
    let (status, body) = get(gateway.addr(), &path, &org).await;
    assert!(status == 503 && body.contains("platform_unavailable"), "{status} {body}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(lock);
    assert_eq!(get(gateway.addr(), &path, &org).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn default_region_is_the_platforms() {
    let database = Postgres::shared().platform();
    let org = token("org");
    add_org_token(&database, &org);
    let id = add_remote(&database, "mine");
    let config = eice::emulator::EmulatorConfig {
        region: "us-east-2".into(),
        ..eice::emulator::EmulatorConfig::default()
    };
    let world = World::with(config).await;
    let without = [("AWS_REGION", WITHOUT), ("AWS_DEFAULT_REGION", WITHOUT)];
    let gateway = serve(&world, &database.url(), &without);
    let mut viewer = terminal(gateway.addr(), id, &org).await.unwrap_or_else(|status| panic!("{status}"));
    viewer.line("echo th''ere").await;
    viewer.until("there").await;
}
