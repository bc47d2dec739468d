//! Diagnosis by ordinary requests.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::model::{Check, CheckResult, Fault, Report, Stage, StageError, Subject};

const BEARER: (&str, &str) = ("Authorization", "Bearer abc");

fn request_of(id: &str) -> String {
    format!("GET /workspaces/{id}/terminal/diagnose")
}

fn denied() -> Report {
    let error = StageError::new(Stage::KeyPush, Fault::Denied, "no").with_request_id(Some("r-1".into()));
    let steps = BTreeMap::from([(Check::KeyPush, CheckResult::failed(Check::KeyPush, &error))]);
    Report::new(Subject::default(), steps, Duration::from_millis(12))
}

/// A connector that reports [`denied`], at once or when released.
fn diagnosing(at_once: bool) -> Script {
    let mut script = script(Mode::Open);
    script.report = Some(denied);
    script.may_report.send_replace(at_once);
    script
}

#[tokio::test]
async fn report_is_200_for_any_finding() {
    let server = Server::start(diagnosing(true)).await;
    let answer = server.http(&request_of(MINE), &[BEARER]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("cache-control"), "no-store");
    let report = answer.json();
    assert_eq!(report, serde_json::to_value(denied()).unwrap());
    assert_eq!((&report["ok"], &report["first_failure"]), (&json!(false), &json!("key-push")));
    assert_eq!((server.script.seen().connects, server.gateway.sessions().live()), (0, 0));
    // A later request runs a new diagnosis.
    server.http(&request_of(MINE), &[BEARER]).await;
    assert_eq!(server.script.seen().diagnoses, 2);
}

#[tokio::test]
async fn diagnosis_needs_terminal_access() {
    let server = Server::start(diagnosing(true)).await;
    for (id, headers, status) in NOT_ADMITTED {
        assert_eq!(server.http(&request_of(id), headers).await.status, status, "{id} {headers:?}");
    }
    assert_eq!(server.script.seen().diagnoses, 0);
}

#[tokio::test]
async fn missing_diagnosis_is_501() {
    let server = Server::start(script(Mode::Open)).await;
    let answer = server.http(&request_of(MINE), &[BEARER]).await;
    assert_eq!(answer.status, 501);
    assert_eq!(answer.json(), json!({"error": "this gateway has no way to diagnose such a workspace"}));
}

#[tokio::test]
async fn concurrent_diagnoses_are_shared() {
    let server = Server::start(diagnosing(false)).await;
    let request = request_of(MINE);
    let first = server.http(&request, &[BEARER]);
    let second = server.http(&request, &[BEARER]);
    let let_go = async {
        let both = async {
            while server.gateway.state.diagnoses.waiting(MINE.parse().unwrap()) < 2 {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, both).await.expect("both wait");
        server.script.may_report.send_replace(true);
    };
    let (first, second, ()) = tokio::join!(first, second, let_go);
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(server.script.seen().diagnoses, 1);
}

#[tokio::test]
async fn excess_diagnoses_get_429() {
    let configure = |config: &mut Config| config.max_diagnoses = 1;
    let directory = Arc::new(FileDirectory::parse(&every_workspace()).unwrap());
    let server = Server::with(diagnosing(false), directory, configure, |_| Router::new()).await;
    let (mine, others) = (request_of(MINE), request_of(OTHERS));
    let second = async {
        server.script.until("the walk", |seen| seen.diagnoses == 1).await;
        let answer = server.http(&others, &[BEARER]).await;
        server.script.may_report.send_replace(true);
        answer
    };
    let (first, second) = tokio::join!(server.http(&mine, &[BEARER]), second);
    assert_eq!((first.status, second.status), (200, 429));
    assert_eq!(second.header("retry-after"), "2");
    assert_eq!(second.json()["error"], "too many diagnoses are under way");
    assert_eq!(server.http(&others, &[BEARER]).await.status, 200);
}

/// A directory whose token opens every workspace.
fn every_workspace() -> String {
    let workspace = |id: &str| format!("[[workspace]]\nid = {id:?}\nname = \"w\"\ninstance = \"i-1\"\n");
    let digest = BearerToken::new("abc").unwrap().digest();
    let token = format!("[[token]]\nname = \"ci\"\nsha256 = \"{digest}\"\nworkspaces = \"*\"\n");
    workspace(MINE) + &workspace(OTHERS) + &token
}

#[tokio::test]
async fn leaving_abandons_diagnosis() {
    let server = Server::start(diagnosing(false)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request =
        format!("{} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer abc\r\n\r\n", request_of(MINE));
    stream.write_all(request.as_bytes()).await.unwrap();
    server.script.until("the walk", |seen| seen.diagnoses == 1).await;
    drop(stream);
    server.script.until("its end", |seen| seen.diagnoses_abandoned == 1).await;
}

#[tokio::test]
async fn diagnosis_has_its_own_deadline() {
    let configure = |config: &mut Config| {
        config.request_timeout = Duration::from_millis(20);
        config.diagnose_timeout = Duration::from_millis(200);
    };
    let server = Server::with(diagnosing(false), directory(), configure, |_| Router::new()).await;
    let answer = server.http(&request_of(MINE), &[BEARER]).await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(server.script.seen().diagnoses_abandoned, 1);
}
