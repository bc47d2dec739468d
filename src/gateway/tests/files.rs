//! Requests that write files, up to the connection: a refused request opens none.

use serde_json::{Value, json};

use super::*;
use crate::files::workspace::MAX_FILES;
use crate::model::{Fault, Stage, StageError};

const BEARER: (&str, &str) = ("Authorization", "Bearer abc");

fn one(path: &str) -> String {
    format!("PUT /workspaces/{MINE}/files/{path}")
}

fn several() -> String {
    format!("PUT /workspaces/{MINE}/files")
}

async fn put(server: &Server, request: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let length = body.len().to_string();
    let headers: Vec<_> = headers.iter().copied().chain([("Content-Length", length.as_str())]).collect();
    server.http_with_body(request, &headers, body).await
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, error: &str, what: &str) {
    assert_eq!((answer.status, answer.json()), (status, json!({"error": error})), "{what}");
}

#[tokio::test]
async fn escaping_paths_are_refused() {
    let server = Server::start(script(Mode::Open)).await;
    let body = r#"{"content":"x"}"#;
    for path in [
        "",
        ".",
        "%2e",
        "..%2fetc%2fshadow",
        "%2e%2e/%2e%2e/etc/shadow",
        "%2e%2e%2fetc",
        "a/../../etc",
        "a%2f..%2fb",
        "a/%2E%2E/b",
        "foo..bar",
        "/etc/shadow",
        "%2fetc%2fshadow",
        "a%00b",
        "a%0ab",
        "%ff%fe",
        "..%5c..%5cetc",
        &"a/".repeat(3000),
    ] {
        let answer = put(&server, &one(path), &[BEARER], body).await;
        assert_refused(&answer, 400, "invalid path", path);
    }
    for path in ["../x", "/etc/x", "", "a/../b", "a\nb", "a\0b", "foo..bar"] {
        let body = json!({"files": {path: "x", "fine": "y"}}).to_string();
        let answer = put(&server, &several(), &[BEARER], &body).await;
        assert_refused(&answer, 400, "invalid request body", path);
    }
    let twice = json!({"files": {"a/b": "x", "a//b": "y"}}).to_string();
    let answer = put(&server, &several(), &[BEARER], &twice).await;
    assert_refused(&answer, 400, "invalid request body", "two spellings of one path");
    assert_eq!(server.script.seen().connects, 0);
}

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let server = Server::start(script(Mode::Open)).await;
    for body in
        ["", "x", "{}", r#"{"content":1}"#, r#"{"content":"x"#, r#"{"files":{"a":"b"}}"#, "[]", "null"]
    {
        let answer = put(&server, &one("a"), &[BEARER], body).await;
        assert_refused(&answer, 400, "invalid request body", body);
    }
    for body in
        ["", "{}", r#"{"files":null}"#, r#"{"files":["a"]}"#, r#"{"files":{"a":1}}"#, r#"{"content":"x"}"#]
    {
        let answer = put(&server, &several(), &[BEARER], body).await;
        assert_refused(&answer, 400, "invalid request body", body);
    }
    let files: serde_json::Map<String, Value> =
        (0..=MAX_FILES).map(|n| (format!("{n}"), json!("x"))).collect();
    let answer = put(&server, &several(), &[BEARER], &json!({"files": files}).to_string()).await;
    assert_refused(&answer, 400, "too many files (201), max 200", "one more than may be");
    let answer = put(&server, &several(), &[BEARER], r#"{"files":{}}"#).await;
    let nothing = json!({"status": "replaced", "workspace": MINE, "files": 0, "source": "ec2-ssh"});
    assert_eq!((answer.status, answer.json()), (200, nothing));
    assert_eq!(server.script.seen().connects, 0);
}

#[tokio::test]
async fn writes_need_workspace_access() {
    let server = Server::start(script(Mode::Open)).await;
    for path in ["files", "files/a", "files/%2e%2e", "files/%ff"] {
        for (id, headers, status) in NOT_ADMITTED {
            if path == "files/%ff" && (status == 404 || headers == [BEARER]) {
                // A path that is not text is invalid for any workspace.
                continue;
            }
            let request = format!("PUT /workspaces/{id}/{path}");
            let answer = put(&server, &request, headers, r#"{"content":"x","files":{"a":"b"}}"#).await;
            assert_eq!(answer.status, status, "{request} {headers:?}");
        }
    }
    assert_eq!(server.http(&format!("GET /workspaces/{MINE}/files/a"), &[BEARER]).await.status, 405);
    assert_eq!(server.script.seen().connects, 0);
}

#[tokio::test]
async fn file_bodies_have_their_own_limit() {
    let configure = |config: &mut Config| {
        config.max_body = 64;
        config.max_files_body = 1000;
    };
    let server = Server::with(script(Mode::Fail(unreached)), directory(), configure, |_| Router::new()).await;
    let body = |length: usize| json!({"content": "x".repeat(length - 14)}).to_string();
    // It gets as far as connecting.
    let answer = put(&server, &one("a"), &[BEARER], &body(1000)).await;
    assert_eq!(answer.status, 500, "{answer:?}");
    let answer = put(&server, &one("a"), &[BEARER], &body(1001)).await;
    assert_refused(&answer, 413, "the body is larger than 1000 bytes", "announced");
    // The same without a Content-Length.
    let chunked = format!("3e9\r\n{}\r\n0\r\n\r\n", body(1001));
    let headers = [BEARER, ("Transfer-Encoding", "chunked")];
    let answer = server.http_with_body(&one("a"), &headers, &chunked).await;
    assert_refused(&answer, 413, "the body is larger than 1000 bytes", "not announced");
    assert_eq!(server.script.seen().connects, 1);
}

fn unreached() -> StageError {
    StageError::new(Stage::Upgrade, Fault::Denied, "no\u{1b}[31m".repeat(1000))
        .with_source(std::io::Error::other("arn:aws:iam::123456789012:role/secret"))
        .with_hint("allow it")
}

#[tokio::test]
async fn write_errors_are_bounded_and_escaped() {
    let server = Server::start(script(Mode::Fail(unreached))).await;
    for (request, body) in [(one("a"), r#"{"content":"x"}"#), (several(), r#"{"files":{"a":"x"}}"#)] {
        let answer = put(&server, &request, &[BEARER], body).await;
        assert_eq!(answer.status, 500);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with("failed to write file: upgrade: no\\u{1b}[31m"), "{error}");
        assert!(error.len() < 600 && !error.contains('\u{1b}') && !error.contains("arn:"), "{error}");
    }
}

#[tokio::test]
async fn excess_writes_get_429() {
    let configure = |config: &mut Config| config.max_file_requests = 1;
    let server = Server::with(script(Mode::Hang), directory(), configure, |_| Router::new()).await;
    let request = format!(
        "{} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer abc\r\nContent-Length: 15\r\n\r\n",
        one("a")
    );
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(format!("{request}{}", r#"{"content":"x"}"#).as_bytes()).await.unwrap();
    server.script.until("the connection", |seen| seen.connects == 1).await;
    let second = put(&server, &one("b"), &[BEARER], r#"{"content":"x"}"#).await;
    assert_eq!((second.status, second.header("retry-after")), (429, "2"));
    // A client that leaves releases its slot.
    drop(first);
    server.script.until("the end of it", |seen| seen.abandoned == 1).await;
    let mut third = TcpStream::connect(server.address).await.unwrap();
    third.write_all(format!("{request}{}", r#"{"content":"x"}"#).as_bytes()).await.unwrap();
    server.script.until("the next connection", |seen| seen.connects == 2).await;
}

#[tokio::test]
async fn unreachable_workspace_times_out() {
    let configure = |config: &mut Config| config.files_timeout = std::time::Duration::from_millis(50);
    let server = Server::with(script(Mode::Hang), directory(), configure, |_| Router::new()).await;
    let answer = put(&server, &one("a"), &[BEARER], r#"{"content":"x"}"#).await;
    assert_refused(&answer, 500, "failed to write file: not connected within 50ms", "");
    assert_eq!(server.script.seen().abandoned, 1);
}
