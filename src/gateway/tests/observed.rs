//! What is counted, recorded and noted of terminals, over real sockets.

use std::path::Path;
use std::sync::Mutex;

use futures_util::SinkExt as _;
use serde_json::{Value, json};

use super::*;
use crate::gateway::AuditFile;
use crate::model::{Fault, HostIds, Stage, StageError};
use crate::workspace::Activity;

fn ids() -> HostIds {
    HostIds {
        key_push: Some("push-1".into()),
        tunnel: Some("tunnel-1".into()),
        endpoint: Some("eice-1".into()),
    }
}

fn identified(mode: Mode) -> Script {
    let mut script = script(mode);
    script.ids = ids();
    script
}

fn refused() -> StageError {
    StageError::new(Stage::KeyPush, Fault::Denied, "AWS refuses the key\u{1b}[2J")
}

/// The value of one line of `/metrics`.
async fn counted(server: &Server, series: &str) -> f64 {
    let answer = server.http("GET /metrics", &[]).await;
    assert_eq!(answer.status, 200);
    let line =
        answer.body.lines().find_map(|line| line.strip_prefix(&format!("molecule_terminal_{series} ")));
    line.unwrap_or_else(|| panic!("no {series} in {}", answer.body)).parse().unwrap()
}

/// Waits until that value is `expected`.
async fn until_counted(server: &Server, series: &str, expected: f64) {
    let all = async {
        while counted(server, series).await != expected {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, all).await.unwrap_or_else(|_| panic!("{series} did not become {expected}"));
}

#[tokio::test]
async fn terminal_metrics_cover_its_life() {
    let server = Server::start(identified(Mode::Open)).await;
    assert_eq!(counted(&server, "sessions{state=\"open\"}").await, 0.0);
    let mut socket = server.terminal().await;
    until_counted(&server, "sessions{state=\"open\"}", 1.0).await;
    assert_eq!(counted(&server, "tunnels{endpoint=\"eice-1\"}").await, 1.0);
    assert_eq!(counted(&server, "viewers{protocol=\"legacy\"}").await, 1.0);
    socket.send(Message::text("abc")).await.unwrap();
    server.script.until("input", |seen| seen.written == b"abc").await;
    server.script.say(b"hello");
    server.script.exit(3);
    assert_eq!(read_to_close(&mut socket).await.2.unwrap().0, 1000);
    server.idle().await;
    drop(socket);
    until_counted(&server, "viewers{protocol=\"legacy\"}", 0.0).await;
    for (series, value) in [
        ("sessions{state=\"connecting\"}", 0.0),
        ("sessions{state=\"open\"}", 0.0),
        ("sessions{state=\"closing\"}", 0.0),
        ("sessions_limit", 1000.0),
        ("tunnels{endpoint=\"eice-1\"}", 0.0),
        ("tunnels_limit", 20.0),
        ("session_ends_total{end=\"exit\"}", 1.0),
        ("session_duration_seconds_count", 1.0),
        ("closes_total{code=\"1000\"}", 1.0),
        ("first_byte_seconds_count", 1.0),
        ("bytes_total{direction=\"in\"}", 3.0),
        ("bytes_total{direction=\"out\"}", 5.0),
        ("http_requests_total{method=\"GET\",route=\"/workspaces/{id}/terminal\",status=\"101\"}", 1.0),
        ("http_request_duration_seconds_count{method=\"GET\",route=\"/workspaces/{id}/terminal\"}", 1.0),
        ("directory_query_duration_seconds_count{outcome=\"answered\"}", 2.0),
        ("draining", 0.0),
    ] {
        assert_eq!(counted(&server, series).await, value, "{series}");
    }
}

#[tokio::test]
async fn request_time_ends_at_the_upgrade() {
    let server = Server::start(identified(Mode::Open)).await;
    let socket = server.terminal().await;
    while server.gateway.sessions().list()[0].age.as_secs_f64() < 0.3 {
        tokio::task::yield_now().await;
    }
    drop(socket);
    server.idle().await;
    let route = "method=\"GET\",route=\"/workspaces/{id}/terminal\"";
    assert_eq!(counted(&server, &format!("http_request_duration_seconds_count{{{route}}}")).await, 1.0);
    let sum = counted(&server, &format!("http_request_duration_seconds_sum{{{route}}}")).await;
    let session = counted(&server, "session_duration_seconds_sum").await;
    // The two clocks of a session begin a moment apart.
    assert!(sum < session && session > 0.2, "{sum} s and {session} s");
}

#[tokio::test]
async fn failures_are_counted_by_reason() {
    let server = Server::start(identified(Mode::Fail(refused))).await;
    read_to_close(&mut server.terminal().await).await;
    server.idle().await;
    assert_eq!(counted(&server, "connect_failures_total{fault=\"denied\",stage=\"key-push\"}").await, 1.0);
    assert_eq!(counted(&server, "session_ends_total{end=\"failed\"}").await, 1.0);
    until_counted(&server, "closes_total{code=\"4500\"}", 1.0).await;
    let path = format!("GET /workspaces/{MINE}/terminal");
    for (headers, reason) in [
        (&[("Host", "elsewhere")][..], "host"),
        (&[("Origin", "https://evil.example"), ("Authorization", "Bearer abc")], "origin"),
        (&[("Authorization", "Bearer wrong")], "invalid-token"),
        (&[], "missing-token"),
        (&[("Authorization", "Bearer abc")], "not-websocket"),
    ] {
        server.http(&path, headers).await;
        assert_eq!(counted(&server, &format!("denials_total{{reason=\"{reason}\"}}")).await, 1.0, "{reason}");
    }
    // What a client makes up is no label.
    server.http("MADEUP /nowhere/at/all", &[]).await;
    assert_eq!(
        counted(&server, "http_requests_total{method=\"other\",route=\"page\",status=\"405\"}").await,
        1.0
    );

    let server = Server::with(script(Mode::Open), Arc::new(Down), |_| {}, |_| Router::new()).await;
    server.http(&path, &[("Authorization", "Bearer abc")]).await;
    assert_eq!(counted(&server, "denials_total{reason=\"directory\"}").await, 1.0);
    assert_eq!(counted(&server, "directory_query_duration_seconds_count{outcome=\"failed\"}").await, 1.0);
}

#[tokio::test]
async fn metrics_ignore_host_header() {
    let server = Server::start(script(Mode::Open)).await;
    let answer = server.http("GET /metrics", &[("Host", "10.0.0.7:8080")]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4"));
    for secret in [MINE, "abc", "ci"] {
        assert!(!answer.body.contains(secret), "{secret}");
    }
    let off = |config: &mut Config| config.metrics = false;
    let server = Server::with(script(Mode::Open), directory(), off, |_| Router::new()).await;
    assert_eq!(server.http("GET /metrics", &[]).await.status, 404);
}

/// The records of the file so far.
fn records(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A gateway that records into the file, and where that is.
async fn audited(script: Script) -> (Server, tempfile::TempDir, std::path::PathBuf) {
    let server = Server::start(script).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    server.gateway.audit().write_to(Some(AuditFile::open(&path).unwrap()), false).unwrap();
    (server, dir, path)
}

#[tokio::test]
async fn audit_log_covers_a_terminal() {
    let (server, _dir, path) = audited(identified(Mode::Open)).await;
    let mut socket = server.terminal().await;
    socket.send(Message::text("secret typed")).await.unwrap();
    server.script.until("input", |seen| !seen.written.is_empty()).await;
    server.script.say(b"said");
    server.script.exit(3);
    read_to_close(&mut socket).await;
    server.idle().await;
    server.gateway.audit().flush().await;
    let all = records(&path);
    let [request, open, close] = &all[..] else { panic!("{all:?}") };
    for (record, event) in [(request, "terminal.request"), (open, "terminal.open"), (close, "terminal.close")]
    {
        assert_eq!(record["event"], event);
        for (key, value) in [
            ("principal", "ci"),
            ("credential", "workspace-token"),
            ("peer", "127.0.0.1"),
            ("origin", ORIGIN),
            ("workspace", MINE),
            ("instance", "i-1"),
            ("container", "ws-mine"),
            ("protocol", "legacy"),
        ] {
            assert_eq!(record[key], value, "{key} of {event}");
        }
        assert_eq!(record["session"], request["session"]);
        let time = record["time"].as_str().unwrap();
        assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
    }
    for record in [open, close] {
        assert_eq!(record["tunnel_request_id"], "tunnel-1");
        assert_eq!(
            (&record["key_push_request_id"], &record["endpoint"]),
            (&json!("push-1"), &json!("eice-1"))
        );
    }
    assert_eq!(
        (&close["end"], &close["exit_code"], &close["close_code"]),
        (&json!("exit"), &json!(3), &json!(1000))
    );
    assert_eq!((&close["input_bytes"], &close["output_bytes"]), (&json!(12), &json!(4)));
    assert!(close["duration_ms"].is_u64() && close["connect_ms"].is_u64());
    // The session's id is random, and may well have the token's letters in it.
    let text = std::fs::read_to_string(&path).unwrap().replace(request["session"].as_str().unwrap(), "");
    assert!(!text.contains("secret typed") && !text.contains("abc"), "{text}");
}

#[tokio::test]
async fn audit_lines_are_escaped() {
    let (server, _dir, path) = audited(identified(Mode::Fail(refused))).await;
    read_to_close(&mut server.terminal().await).await;
    server.idle().await;
    let path_of = format!("GET /workspaces/{MINE}/terminal");
    let origin = "https://evil.example\u{9b}31m";
    server.http(&path_of, &[("Origin", origin), ("Authorization", "Bearer abc")]).await;
    server.http("GET /workspaces", &[]).await;
    server.gateway.audit().flush().await;
    let all = records(&path);
    let [request, close, denied] = &all[..] else { panic!("{all:?}") };
    assert_eq!((&request["event"], &close["event"]), (&json!("terminal.request"), &json!("terminal.close")));
    assert_eq!(
        (&close["stage"], &close["fault"], &close["end"]),
        (&json!("key-push"), &json!("denied"), &json!("failed"))
    );
    assert_eq!(close["close_code"], 4500);
    assert_eq!(
        (&denied["event"], &denied["reason"], &denied["status"]),
        (&json!("denied"), &json!("origin"), &json!(403))
    );
    assert_eq!((&denied["origin"], &denied["workspace"]), (&json!(origin), &json!(MINE)));
    assert_eq!(
        (&denied["route"], &denied["peer"]),
        (&json!("/workspaces/{id}/terminal"), &json!("127.0.0.1"))
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

#[tokio::test]
async fn denial_names_the_caller() {
    let (server, _dir, path) = audited(script(Mode::Open)).await;
    let mut config = Config::new(vec![ORIGIN.parse().unwrap()]);
    config.platform.admin_token = BearerToken::new("canary-admin").map(|token| token.digest());
    server.gateway.reconfigure(config);
    let ci = Some(("ci", "workspace-token"));
    let org = Some(("org", "org-token"));
    let (abc, all) = (("Authorization", "Bearer abc"), ("Authorization", "Bearer all"));
    let admin = ("Authorization", "Bearer canary-admin");
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, Option<(&'a str, &'a str)>);
    let cases: [Case<'_>; 10] = [
        (OTHERS, &[abc], "invalid-token", ci),
        (MINE, &[abc, ("X-Workspace-ID", OTHERS)], "wrong-claim", ci),
        (MINE, &[abc, ("X-Workspace-ID", "acme")], "malformed-claim", ci),
        (MINE, &[all, ("X-Workspace-ID", NOWHERE)], "unrelated", org),
        (NOWHERE, &[all], "not-found", org),
        (MINE, &[admin, ("X-Workspace-ID", OTHERS)], "wrong-claim", Some(("admin-token", "admin-token"))),
        (MINE, &[abc], "not-websocket", ci),
        (MINE, &[("Authorization", "Bearer canary-wrong")], "invalid-token", None),
        (MINE, &[], "missing-token", None),
        (MINE, &[abc, ("Origin", "https://evil.example")], "origin", None),
    ];
    for (workspace, headers, ..) in &cases {
        server.http(&format!("GET /workspaces/{workspace}/terminal"), headers).await;
    }
    server.gateway.audit().flush().await;
    let all = records(&path);
    assert_eq!(all.len(), cases.len());
    for (record, (workspace, _, reason, who)) in all.iter().zip(cases) {
        let (principal, credential) = who.unzip();
        let expected = json!([reason, workspace, principal, credential]);
        let [reason, workspace, principal, credential] =
            ["reason", "workspace", "principal", "credential"].map(|key| &record[key]);
        assert_eq!(json!([reason, workspace, principal, credential]), expected);
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("canary") && !text.contains("Bearer") && !text.contains("abc"), "{text}");
}

#[tokio::test]
async fn a_flood_of_denials_does_not_fill_the_file() {
    let (server, _dir, path) = audited(script(Mode::Open)).await;
    let path_of = format!("GET /workspaces/{MINE}/terminal");
    for _ in 0..100 {
        server.http(&path_of, &[("Origin", "https://evil.example")]).await;
    }
    server.gateway.audit().flush().await;
    let recorded = records(&path).len();
    assert_eq!(recorded, 20, "a peer's share");
    assert_eq!(counted(&server, "denials_total{reason=\"origin\"}").await, 100.0);
}

#[tokio::test]
async fn violation_is_audited_with_code() {
    let (server, _dir, path) = audited(identified(Mode::Open)).await;
    let few = |config: &mut Config| config.max_control_rate = 5;
    let mut config = Config::new(vec![ORIGIN.parse().unwrap()]);
    few(&mut config);
    server.gateway.reconfigure(config);
    let mut socket = server.terminal().await;
    for _ in 0..20 {
        let _ = socket.send(Message::Ping(bytes::Bytes::new())).await;
    }
    assert_eq!(read_to_close(&mut socket).await.2.unwrap().0, 1008);
    server.idle().await;
    server.gateway.audit().flush().await;
    let close = records(&path).pop().unwrap();
    assert_eq!((&close["end"], &close["close_code"]), (&json!("viewer-left"), &json!(1008)));
    assert_eq!(counted(&server, "closes_total{code=\"1008\"}").await, 1.0);
}

#[tokio::test]
async fn required_audit_blocks_terminals() {
    let server = Server::start(script(Mode::Open)).await;
    let audit = server.gateway.audit();
    audit.write_to(Some(AuditFile::open(Path::new("/dev/full")).unwrap()), true).unwrap();
    let path = format!("/workspaces/{MINE}/terminal");
    let bearer = [("Authorization", "Bearer abc")];
    let Err(answer) = server.socket(&path, &bearer).await else { panic!("it opened") };
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("audit_unavailable")));
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(server.script.seen().connects, 0, "nothing was dialled");
    assert_eq!(counted(&server, "denials_total{reason=\"unrecorded\"}").await, 1.0);
    server.idle().await;
    // Where it is not, the terminal opens and the failure is counted.
    audit.write_to(Some(AuditFile::open(Path::new("/dev/full")).unwrap()), false).unwrap();
    drop(server.socket(&path, &bearer).await.unwrap());
    server.idle().await;
    audit.flush().await;
    assert!(counted(&server, "audit_records_total{outcome=\"failed\"}").await >= 2.0);
}

/// A directory that keeps what it is asked to note.
struct Noting {
    inner: Arc<dyn Directory>,
    notes: Mutex<Vec<Activity>>,
}

impl Directory for Noting {
    fn authenticate<'a>(
        &'a self,
        token: &'a BearerToken,
    ) -> BoxFuture<'a, Result<Option<Principal>, DirectoryError>> {
        self.inner.authenticate(token)
    }
    fn find(&self, id: WorkspaceId) -> BoxFuture<'_, Result<Option<Workspace>, DirectoryError>> {
        self.inner.find(id)
    }
    fn list<'a>(&'a self, of: &'a Principal) -> BoxFuture<'a, Result<Vec<Workspace>, DirectoryError>> {
        self.inner.list(of)
    }
    fn note(&self, activity: Activity) -> BoxFuture<'_, ()> {
        self.notes.lock().unwrap().push(activity);
        Box::pin(ready(()))
    }
}

#[tokio::test]
async fn drain_waits_for_activities() {
    for (mode, expected) in [
        (Mode::Open, &[("terminal.open", false), ("terminal.close", false)][..]),
        (Mode::Fail(refused), &[("terminal.open", true)]),
    ] {
        let directory = Arc::new(Noting { inner: directory(), notes: Mutex::default() });
        let opens = matches!(mode, Mode::Open);
        let mut server = Server::with(identified(mode), directory.clone(), |_| {}, |_| Router::new()).await;
        let mut socket = server.terminal().await;
        if opens {
            server.script.until("the terminal", |seen| !seen.requests.is_empty()).await;
            server.script.exit(0);
        }
        read_to_close(&mut socket).await;
        drop(socket);
        server.drain();
        timeout(SOON, &mut server.task).await.unwrap().unwrap().unwrap();
        let notes = directory.notes.lock().unwrap();
        let noted: Vec<_> = notes.iter().map(|note| (note.method, note.error.is_some())).collect();
        assert_eq!(noted, expected);
        for note in notes.iter() {
            assert_eq!(note.workspace.to_string(), MINE);
            assert_eq!(note.details["principal"], "ci");
            assert!(note.took.is_some() && note.summary.contains("ci"), "{}", note.summary);
        }
    }
}
