//! Expiring tokens, and the tickets and sessions derived from them.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use eice::workspace::{Directory, WorkspaceId};

use super::serve::{HOST, serve};
use super::{
    add_org_token, add_remote, add_workspace, add_workspace_token, bearer, directory, expire, token,
};
use crate::lab::{Postgres, Viewer, World, eventually, request, request_with_head};

const INVALID: &str = r#"{"error":"invalid workspace auth token"}"#;
const ORIGIN: &str = "http://gateway.test";
const USED: &str = "SELECT count(last_used_at) FROM org_api_tokens";

#[tokio::test]
async fn expired_token_is_invalid_and_not_used() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let (live, forever, expired) = (token("live"), token("forever"), token("expired"));
    for token in [&live, &forever, &expired] {
        add_org_token(&database, token);
    }
    database
        .run("UPDATE org_api_tokens SET expires_at = now() + interval '1 hour' WHERE prefix LIKE 'live%'");
    database.run("UPDATE org_api_tokens SET expires_at = 'infinity' WHERE prefix LIKE 'forever%'");
    expire(&database, &expired);
    assert!(directory.authenticate(&bearer(&expired)).await.unwrap().is_none());
    assert!(directory.recheck(&bearer(&expired)).await.unwrap().is_none());
    directory.settle().await;
    assert_eq!(database.run(USED), "0");

    let principal = directory.authenticate(&bearer(&live)).await.unwrap().unwrap();
    let left = principal.valid_for(SystemTime::now()).unwrap();
    assert!((3500..=3600).contains(&left.as_secs()), "{left:?}");
    let principal = directory.authenticate(&bearer(&forever)).await.unwrap().unwrap();
    assert_eq!(principal.expires_at, None);
    directory.settle().await;
    assert_eq!(database.run(USED), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn use_is_not_written_after_expiry() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let org = token("org");
    add_org_token(&database, &org);
    // Until this commits, the token is valid and recording its use waits for the row.
    let expiry = database.begin("UPDATE org_api_tokens SET expires_at = now()");
    assert!(directory.authenticate(&bearer(&org)).await.unwrap().is_some());
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the use waits", || (database.run(waiting) == "1").then_some(()));
    expiry.commit();
    directory.settle().await;
    assert_eq!(database.run(USED), "0");
}

#[tokio::test]
async fn workspace_tokens_may_expire_too() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let id = add_workspace(&database, "a", &[]);
    let own = token("own");
    add_workspace_token(&database, id, &own);
    database.run("ALTER TABLE workspace_auth_tokens ADD COLUMN expires_at timestamptz");
    assert!(directory.authenticate(&bearer(&own)).await.unwrap().is_some());
    database.run("UPDATE workspace_auth_tokens SET expires_at = now()");
    assert!(directory.authenticate(&bearer(&own)).await.unwrap().is_none());
}

/// Requests every route of the workspace.
async fn statuses(
    gateway: SocketAddr,
    id: WorkspaceId,
    headers: &[(&str, &str)],
) -> Vec<(String, u16, String)> {
    let of = |path: &str| format!("/workspaces/{id}{path}");
    let mut answers = Vec::new();
    for (method, path, body) in [
        ("GET", of("/terminal"), ""),
        ("POST", of("/terminal/ticket"), ""),
        ("GET", of("/terminal/diagnose"), ""),
        ("GET", of("/terminal/sessions"), ""),
        ("PUT", of("/files/a"), r#"{"content":"x"}"#),
        ("PUT", of("/files"), r#"{"files":{"a":"x"}}"#),
        ("GET", of(""), ""),
        ("GET", "/workspaces".into(), ""),
        ("GET", "/terminal/sessions".into(), ""),
        ("POST", "/auth/session".into(), ""),
        ("GET", "/auth/session".into(), ""),
    ] {
        let (status, body) = request(gateway, method, &path, headers, body).await;
        answers.push((format!("{method} {path}"), status, body));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_the_token() {
    let database = Postgres::shared().platform();
    let world = World::builtin().await;
    let id = add_remote(&database, "mine");
    let org = token("org");
    add_org_token(&database, &org);
    database.run("UPDATE org_api_tokens SET expires_at = now() + interval '1 hour'");
    let gateway = serve(&world, &database.url(), &[("EICE_ALLOWED_ORIGINS", ORIGIN)]);
    let addr = gateway.addr();
    let authorization = format!("Bearer {org}");
    let headers = [("host", HOST), ("authorization", authorization.as_str())];

    let page = [&headers[..], &[("origin", ORIGIN)]].concat();
    let (status, head, body) = request_with_head(addr, "POST", "/auth/session", &page, "").await;
    assert_eq!(status, 200, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!((3500..=3600).contains(&body["expires_in"].as_u64().unwrap()), "{body}");
    let set = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(set.contains(&format!("Max-Age={}", body["expires_in"])), "{set}");
    let cookie = set.split(';').next().unwrap();
    let by_cookie = [("host", HOST), ("origin", ORIGIN), ("cookie", cookie)];
    assert_eq!(request(addr, "GET", "/workspaces", &by_cookie, "").await.0, 200);

    let path = format!("/workspaces/{id}/terminal/ticket");
    let ticket = async || {
        let (_, body) = request(addr, "POST", &path, &headers, "").await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        format!("eicterm.v1, ticket.{}", body["ticket"].as_str().unwrap())
    };
    let open = async |offers: &str| {
        let headers = [("host", HOST), ("sec-websocket-protocol", offers)];
        Viewer::try_open(addr, &id.to_string(), &headers).await
    };
    open(&ticket().await).await.unwrap_or_else(|status| panic!("{status}")).leave().await;
    let mut viewers = Vec::new();
    let by_page = [("host", HOST), ("origin", ORIGIN), ("cookie", cookie)];
    for headers in [&headers[..], &by_page] {
        let viewer = Viewer::try_open(addr, &id.to_string(), headers).await;
        viewers.push(viewer.unwrap_or_else(|status| panic!("{status}")));
    }
    let unused = ticket().await;

    expire(&database, &org);
    database.run("UPDATE org_api_tokens SET last_used_at = NULL");
    for (request, status, body) in statuses(addr, id, &headers).await {
        assert_eq!((status, body.as_str()), (401, INVALID), "{request}");
    }
    for (request, status, body) in statuses(addr, id, &by_cookie).await {
        assert_eq!(status, 401, "{request}: {body}");
    }
    assert_eq!(open(&unused).await.err().map(|status| status.as_u16()), Some(401));
    let begun = std::time::Instant::now();
    for viewer in viewers {
        let farewell = viewer.finish().await;
        assert_eq!(farewell.close, Some((4403, "access revoked".into())), "{farewell:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(31), "{:?}", begun.elapsed());
    assert_eq!(database.run(USED), "0");
}
