//! An allowed page of another origin than the gateway's (docs/canvas.md, section 1.3).

use super::*;

const CANVAS: &str = "https://canvas.test";

async fn start() -> Server {
    let configure = |config: &mut Config| {
        config.allowed_origins.push(CANVAS.parse().unwrap());
        config.platform.org_id = Some("org".into());
    };
    Server::with(script(Mode::Open), directory(), configure, |_| Router::new()).await
}

fn varies_by_origin(answer: &Answer) -> bool {
    let mut names =
        answer.headers.get_all("vary").iter().flat_map(|value| value.to_str().unwrap().split(','));
    names.any(|name| name.trim().eq_ignore_ascii_case("origin"))
}

#[tokio::test]
async fn preflight_needs_no_credential() {
    let server = start().await;
    for request in routes_to(MINE) {
        let (method, path) = request.split_once(' ').unwrap();
        let headers = [
            ("Origin", CANVAS),
            ("Access-Control-Request-Method", method),
            ("Access-Control-Request-Headers", "authorization,content-type,x-workspace-id"),
        ];
        let answer = server.http(&format!("OPTIONS {path}"), &headers).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{request}");
        assert_eq!(answer.header("access-control-allow-origin"), CANVAS);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        let methods = answer.header("access-control-allow-methods");
        assert!(methods.split(',').any(|allowed| allowed == method), "{request}: {methods}");
        let allowed = answer.header("access-control-allow-headers");
        assert_eq!(
            allowed,
            "origin,content-type,x-workspace-id,x-molecule-org-id,x-molecule-org-slug,x-confirm-name,authorization"
        );
        assert!(methods.split(',').any(|allowed| allowed == "PATCH"), "{methods}");
        assert!(varies_by_origin(&answer), "{answer:?}");
    }
}

#[tokio::test]
async fn foreign_preflight_is_refused() {
    let server = start().await;
    let path = format!("OPTIONS /workspaces/{MINE}/terminal/ticket");
    let ask = ("Access-Control-Request-Method", "POST");
    for origin in ["https://evil.test", "http://canvas.test", "https://canvas.test:444", "null", "*"] {
        let answer = server.http(&path, &[("Origin", origin), ask]).await;
        assert_eq!(answer.status, 403, "{origin}");
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{answer:?}");
    }
    assert_eq!(server.http(&path, &[("Origin", CANVAS), ask, ("Host", "evil.test")]).await.status, 403);
    assert_eq!(server.http(&path, &[ask]).await.status, 400, "it names no tenant");
}

#[tokio::test]
async fn cors_headers_only_for_allowed_pages() {
    let server = start().await;
    let bearer = ("Authorization", "Bearer abc");
    let org = ("X-Molecule-Org-Id", "org");
    for (headers, status) in [(vec![bearer], 200), (vec![], 401), (vec![("Authorization", "Bearer no")], 401)]
    {
        let headers = [headers, vec![("Origin", CANVAS)]].concat();
        let answer = server.http("GET /workspaces", &headers).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), CANVAS);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert!(answer.header("access-control-expose-headers").contains("retry-after"));
        assert!(varies_by_origin(&answer));
    }
    let ours = server.http("GET /workspaces", &[bearer, org]).await;
    assert_eq!((ours.status, ours.header("access-control-allow-origin")), (200, ""));
    assert!(varies_by_origin(&ours), "a cache must not show it to the other page");
    let evil = server.http("GET /workspaces", &[bearer, ("Origin", "https://evil.test")]).await;
    assert_eq!((evil.status, evil.header("access-control-allow-origin")), (403, ""));
}

#[tokio::test]
async fn cross_origin_client_opens_terminal() {
    let server = start().await;
    let path = format!("/workspaces/{MINE}/terminal");
    let headers = [("Origin", CANVAS), ("Authorization", "Bearer abc"), ("Content-Length", "0")];
    let answer = server.http(&format!("POST {path}/ticket"), &headers).await;
    let offers = format!("eicterm.v1, ticket.{}", answer.json()["ticket"].as_str().unwrap());
    // It is valid on the page that it was issued to, and on no other.
    let stolen = [("Origin", ORIGIN), ("Sec-WebSocket-Protocol", offers.as_str())];
    assert_eq!(server.socket(&path, &stolen).await.unwrap_err().status, 401);
    let answer = server.http(&format!("POST {path}/ticket"), &headers).await;
    let offers = format!("eicterm.v1, ticket.{}", answer.json()["ticket"].as_str().unwrap());
    let page = [("Origin", CANVAS), ("Sec-WebSocket-Protocol", offers.as_str())];
    assert!(server.socket(&path, &page).await.is_ok());
}
