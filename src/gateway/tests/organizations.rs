//! Tokens of an organization that open its workspaces only, and expire.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::memory::Memory;
use super::*;

const BEARER: (&str, &str) = ("Authorization", "Bearer anchored");
const LENGTH: (&str, &str) = ("Content-Length", "0");

/// A gateway, a workspace of the token's organization and one of another.
async fn start(expires_at: Option<SystemTime>) -> (Server, WorkspaceId, WorkspaceId) {
    let memory = Arc::new(Memory::default());
    let (mine, other) = (memory.workspace(None), memory.workspace(None));
    memory.anchored_token("anchored", &[mine], expires_at);
    let server = Server::with(script(Mode::Open), memory, |_| {}, |_| Router::new()).await;
    (server, mine, other)
}

#[tokio::test]
async fn other_organization_gets_403() {
    let (server, mine, other) = start(None).await;
    let body = json!({"error": "org token not authorized for this workspace's org"});
    // A missing workspace is refused alike, on every route.
    for id in [other, WorkspaceId::random()] {
        for request in routes_to(&id.to_string()) {
            let answer = server.http(&request, &[BEARER, LENGTH]).await;
            assert_eq!((answer.status, answer.json()), (403, body.clone()), "{request}");
        }
    }
    assert_eq!(server.http(&format!("GET /workspaces/{mine}"), &[BEARER]).await.status, 200);
    // It claims to be a workspace of its own organization only.
    let claim = other.to_string();
    let answer = server.http(&format!("GET /workspaces/{mine}"), &[BEARER, ("X-Workspace-ID", &claim)]).await;
    assert_eq!(answer.status, 401);
    let list = server.http("GET /workspaces", &[BEARER]).await.json();
    let ids: Vec<_> = list.as_array().unwrap().iter().map(|workspace| workspace["id"].clone()).collect();
    assert_eq!(ids, [json!(mine)]);
    let metrics = server.http("GET /metrics", &[]).await.body;
    assert!(metrics.contains("reason=\"other-organization\""), "{metrics}");
}

#[tokio::test]
async fn derived_credentials_expire_too() {
    let (server, mine, _) = start(Some(SystemTime::now() + Duration::from_secs(20))).await;
    let is_short = |answer: &Answer| (1..=20).contains(&answer.json()["expires_in"].as_u64().unwrap());
    let answer = server.http("POST /auth/session", &[BEARER, LENGTH]).await;
    assert!(is_short(&answer), "{answer:?}");
    let seconds = &answer.json()["expires_in"];
    assert!(answer.header("set-cookie").ends_with(&format!("; Max-Age={seconds}")), "{answer:?}");
    let answer = server.http(&format!("POST /workspaces/{mine}/terminal/ticket"), &[BEARER, LENGTH]).await;
    assert!(is_short(&answer), "{answer:?}");
}
