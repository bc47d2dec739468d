//! The tenant guard, with the cases of the platform's own tests (tenant_guard_test.go).

use serde_json::json;

use super::*;
use crate::workspace::PlatformVersion;

const ORG: &str = "org-abc";
const BEARER: (&str, &str) = ("Authorization", "Bearer abc");

async fn guarded(org: Option<&str>) -> Server {
    guarded_by(org, directory()).await
}

async fn guarded_by(org: Option<&str>, directory: Arc<dyn Directory>) -> Server {
    let configure = |config: &mut Config| config.platform.org_id = org.map(str::to_owned);
    Server::with(script(Mode::Open), directory, configure, |_| Router::new()).await
}

/// A directory of the platform of April 2026.
struct April;

impl Directory for April {
    always!(ready(Ok(Default::default())));
    fn platform_version(&self) -> PlatformVersion {
        PlatformVersion::April2026
    }
}

#[tokio::test]
async fn no_organization_guards_nothing() {
    let server = guarded(None).await;
    for path in ["GET /health", "GET /ready", "GET /metrics", "GET /workspaces"] {
        assert_eq!(server.http(path, &[BEARER]).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn naming_the_organization_passes() {
    let server = guarded(Some(ORG)).await;
    let path = format!("/workspaces/{MINE}/terminal");
    for (header, status) in [
        (("X-Molecule-Org-Id", ORG), 200),
        (("X-Molecule-Org-Id", "org-xyz"), 404),
        (("X-Molecule-Org-Id", "ORG-ABC"), 404),
        (("X-Molecule-Org-Id", "org-abc, org-xyz"), 404),
        (("X-Unrelated", "org-abc"), 400),
        (("Fly-Replay-Src", "instance=src-123;region=ord;t=1700000000000;state=org-abc"), 200),
        (("Fly-Replay-Src", "state=org-abc; instance=src-123"), 200),
        (("Fly-Replay-Src", "state=org-xyz"), 404),
        (("Fly-Replay-Src", "state=org-abcd"), 404),
        (("Fly-Replay-Src", "org-abc"), 404),
        (("Referer", "http://gateway.test:8080/"), 200),
        (("Referer", "http://gateway.test:8080/workspaces/1?x=y"), 200),
        (("Referer", "http://gateway.test:8080.evil.test/"), 400),
        (("Referer", "http://evil.test/http://gateway.test:8080/"), 400),
        (("Referer", "https://gateway.test:8080/"), 400),
        (("Origin", ORIGIN), 200),
    ] {
        let answer = server.http("GET /workspaces", &[BEARER, header]).await;
        assert_eq!(answer.status, status, "{header:?}");
        if status == 404 {
            assert_eq!((answer.body.as_str(), answer.header("content-type")), ("", ""), "{header:?}");
        }
        let opened = server.socket(&path, &[BEARER, header]).await;
        assert_eq!(opened.map_or_else(|answer| answer.status, |_| 200), status, "{header:?}");
    }
    let twice = [BEARER, ("X-Molecule-Org-Id", ORG), ("X-Molecule-Org-Id", "org-xyz")];
    assert_eq!(server.http("GET /workspaces", &twice).await.status, 404);
}

#[tokio::test]
async fn missing_tenant_header_gets_400() {
    let server = guarded(Some(ORG)).await;
    // The second request has the header, without a value.
    let empty = [BEARER, ("X-Molecule-Org-Id", " ")];
    for headers in [&[BEARER][..], &empty] {
        let answer = server.http("GET /workspaces", headers).await;
        assert_eq!(answer.status, 400, "{headers:?}");
        assert_eq!(answer.json()["code"], "TENANT_ORG_HEADER_REQUIRED");
        assert_eq!(answer.json()["required_header"], "X-Molecule-Org-Id");
    }
}

#[tokio::test]
async fn missing_header_is_404_in_april() {
    let server = guarded_by(Some(ORG), Arc::new(April)).await;
    let answer = server.http("GET /workspaces", &[BEARER]).await;
    assert_eq!((answer.status, answer.body.as_str()), (404, ""));
}

#[tokio::test]
async fn build_info_names_the_program() {
    let server = guarded(Some(ORG)).await;
    let answer = server.http("GET /buildinfo", &[("Host", "10.0.0.1")]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"name": "eice", "version": env!("CARGO_PKG_VERSION")}));
}

#[tokio::test]
async fn tenant_guard_matches_exact_paths() {
    let server = guarded(Some(ORG)).await;
    for path in ["GET /health", "GET /ready", "GET /metrics", "GET /buildinfo"] {
        assert_eq!(server.http(path, &[]).await.status, 200, "{path}");
    }
    let mut requests = routes_to(MINE);
    requests.extend(
        [
            "GET /health/",
            "GET /health/debug",
            "GET /Health",
            "GET //health",
            "GET /ready/x",
            "GET /metrics/x",
            "GET /buildinfo/x",
            "GET /",
            "GET /assets/x.js",
            "GET /workspaces//terminal",
            "POST /auth/session",
            "OPTIONS /workspaces",
        ]
        .map(str::to_owned),
    );
    for request in requests {
        let headers = [BEARER, ("Content-Length", "0")];
        assert_eq!(server.http(&request, &headers).await.status, 400, "{request}");
        let answer =
            server.http(&request, &[&headers[..], &[("X-Molecule-Org-Id", "org-xyz")]].concat()).await;
        assert_eq!((answer.status, answer.body.as_str()), (404, ""), "{request}");
    }
    // The page's files are for any origin, but not for any tenant.
    assert_eq!(server.http("GET /", &[("Origin", "https://evil.test")]).await.status, 400);
    assert_eq!(server.http("GET /", &[("Origin", ORIGIN)]).await.status, 200);
    let metrics = server.http("GET /metrics", &[]).await.body;
    for reason in ["wrong-tenant", "missing-tenant"] {
        assert!(metrics.contains(&format!("reason=\"{reason}\"")), "{metrics}");
    }
}

#[tokio::test]
async fn it_routes_and_lets_nobody_in() {
    let server = guarded(Some(ORG)).await;
    let path = format!("/workspaces/{MINE}/terminal");
    for header in [("X-Molecule-Org-Id", ORG), ("Fly-Replay-Src", "state=org-abc"), ("Origin", ORIGIN)] {
        let answer = server.socket(&path, &[header]).await.unwrap_err();
        assert_eq!(answer.status, 401, "{header:?}");
    }
    // The tenant is checked before the token, and counts as no wrong token.
    let wrong = ("Authorization", "Bearer no");
    assert_eq!(server.http("GET /workspaces", &[wrong]).await.status, 400);
    assert_eq!(server.script.seen().connects, 0);
}
