//! The workspace that a caller claims to be: the platform's own test cases (docs/canvas.md, section 6,
//! terminal_test.go), which ends there at the container or the dial and here at the upgrade.

use axum::http::header::CONTENT_LENGTH;
use serde_json::{Value, json};

use super::memory::Memory;
use super::*;

const ADMIN: &str = "admin-token-of-the-platform";

/// A tree of workspaces: `a` and `b` are siblings, `far` is a cousin, `root` is above them all.
struct Tree {
    server: Server,
    memory: Arc<Memory>,
    root: WorkspaceId,
    a: WorkspaceId,
    b: WorkspaceId,
    far: WorkspaceId,
}

async fn tree() -> Tree {
    let memory = Arc::new(Memory::default());
    let root = memory.workspace(None);
    let (left, right) = (memory.workspace(Some(root)), memory.workspace(Some(root)));
    let (a, b, far) =
        (memory.workspace(Some(left)), memory.workspace(Some(left)), memory.workspace(Some(right)));
    memory.token("org", &[]);
    memory.token("of-a", &[a]);
    memory.token("of-a-and-b", &[a, b]);
    memory.token("of-a-and-far", &[a, far]);
    let configure = |config: &mut Config| {
        config.platform.admin_token = BearerToken::new(ADMIN).map(|token| token.digest());
    };
    let directory = Arc::clone(&memory) as Arc<dyn Directory>;
    let server = Server::with(script(Mode::Open), directory, configure, |_| Router::new()).await;
    Tree { server, memory, root, a, b, far }
}

impl Tree {
    /// Returns the status and body of a terminal in `target`, opened with `token` and the claim `caller`; 101 if it opens.
    async fn terminal(&self, target: WorkspaceId, token: &str, caller: &str) -> (u16, Value) {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("X-Workspace-ID", caller)];
        self.memory.asked();
        match self.server.socket(&format!("/workspaces/{target}/terminal"), &headers).await {
            Ok(_) => (101, Value::Null),
            Err(answer) => (answer.status, answer.json()),
        }
    }
}

fn wrong_claim() -> (u16, Value) {
    (401, json!({"error": "invalid token for claimed workspace"}))
}

fn unrelated() -> (u16, Value) {
    (403, json!({"error": "not authorized to access this workspace's terminal"}))
}

#[tokio::test]
async fn own_workspace_claim_needs_no_query() {
    let tree = tree().await;
    let upper = tree.a.to_string().to_uppercase();
    for caller in ["", &tree.a.to_string(), &upper] {
        assert_eq!(tree.terminal(tree.a, "of-a", caller).await.0, 101, "{caller:?}");
        assert_eq!(tree.memory.asked(), ["authenticate", "find"], "{caller:?}");
    }
    // An empty header is no claim.
    let path = format!("GET /workspaces/{}", tree.a);
    let mut stream = TcpStream::connect(tree.server.address).await.unwrap();
    let request = format!(
        "{path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nAuthorization: Bearer of-a\r\nX-Workspace-ID:\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn related_workspace_is_admitted() {
    let tree = tree().await;
    let callers = [
        (tree.b, 101, "a sibling"),
        (tree.root, 101, "an ancestor"),
        (tree.far, 403, "a cousin"),
        (NOWHERE.parse().unwrap(), 403, "one that is not there"),
    ];
    for (caller, status, who) in callers {
        let (seen, body) = tree.terminal(tree.a, "org", &caller.to_string()).await;
        assert_eq!(seen, status, "{who}: {body}");
        if status == 403 {
            assert_eq!((seen, body), unrelated());
        }
    }
    assert_eq!(tree.server.script.seen().connects, 2);
}

#[tokio::test]
async fn claims_follow_the_token_kind() {
    let tree = tree().await;
    let (b, far) = (tree.b.to_string(), tree.far.to_string());
    // A claim that the token does not allow is refused before relations are queried.
    assert_eq!(tree.terminal(tree.a, "of-a", &b).await, wrong_claim());
    assert_eq!(tree.memory.asked(), ["authenticate"]);
    assert_eq!(tree.terminal(tree.a, "of-a-and-b", &b).await.0, 101);
    assert_eq!(tree.terminal(tree.a, "of-a-and-far", &far).await, unrelated());
    assert_eq!(tree.terminal(tree.a, "org", &b).await.0, 101, "the organisation's is believed");
    // A token of another workspace than the path's is refused earlier.
    let invalid = (401, json!({"error": "invalid workspace auth token"}));
    assert_eq!(tree.terminal(tree.b, "of-a", &tree.a.to_string()).await, invalid);
    assert_eq!(tree.terminal(tree.b, "nobodys", &tree.b.to_string()).await, invalid);
    // The administrator's token belongs to no workspace; without a claim it opens everything.
    assert_eq!(tree.terminal(tree.a, ADMIN, &b).await, wrong_claim());
    assert_eq!(tree.memory.asked(), [] as [&str; 0], "neither needs the directory");
    assert_eq!(tree.terminal(tree.a, ADMIN, "").await.0, 101);
}

#[tokio::test]
async fn malformed_claim_is_refused() {
    let tree = tree().await;
    let malformed = (400, json!({"error": "X-Workspace-ID must be one workspace's id"}));
    for caller in ["acme", "*", &format!("{},{}", tree.a, tree.b), &format!("{{{}}}", tree.b)] {
        assert_eq!(tree.terminal(tree.a, "org", caller).await, malformed, "{caller}");
    }
    let (a, b) = (tree.a.to_string(), tree.b.to_string());
    let path = format!("GET /workspaces/{a}");
    for twice in [[("X-Workspace-ID", b.as_str()); 2], [("X-Workspace-ID", a.as_str()); 2]] {
        let headers = [twice[0], twice[1], ("Authorization", "Bearer org")];
        let answer = tree.server.http(&path, &headers).await;
        assert_eq!((answer.status, answer.json()), malformed);
    }
    // An unknown caller learns nothing more.
    let unknown = tree.server.http(&path, &[("X-Workspace-ID", "acme")]).await;
    assert_eq!(unknown.status, 401);
    assert_eq!(tree.server.script.seen().connects, 0);
}

#[tokio::test]
async fn failed_relation_query_is_an_outage() {
    let tree = tree().await;
    // The administrator's token needs no directory; the claim of a member does.
    tree.memory.set_down(true);
    let (status, body) = tree.terminal(tree.a, "org", &tree.b.to_string()).await;
    assert_eq!((status, &body["code"]), (503, &json!("platform_unavailable")));
}

#[tokio::test]
async fn every_workspace_route_checks_claims() {
    let tree = tree().await;
    let far = tree.far.to_string();
    let headers = [("Authorization", "Bearer org"), ("X-Workspace-ID", far.as_str())];
    for request in routes_to(&tree.a.to_string()) {
        let answer =
            tree.server.http(&request, &[headers[0], headers[1], (CONTENT_LENGTH.as_str(), "0")]).await;
        assert_eq!((answer.status, answer.json()), unrelated(), "{request}");
    }
}

#[tokio::test]
async fn ticket_keeps_its_claim() {
    let tree = tree().await;
    let (a, b) = (tree.a.to_string(), tree.b.to_string());
    let path = format!("/workspaces/{a}/terminal");
    let issue = async |claim: &str| {
        let headers = [("Authorization", "Bearer org"), ("X-Workspace-ID", claim), ("Content-Length", "0")];
        let answer = tree.server.http(&format!("POST {path}/ticket"), &headers).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        format!("eicterm.v1, ticket.{}", answer.json()["ticket"].as_str().unwrap())
    };
    let ticket = issue(&b).await;
    let socket = tree.server.socket(&path, &[("Sec-WebSocket-Protocol", &ticket)]).await;
    assert!(socket.is_ok(), "{socket:?}");
    // A claim sent with it is checked as well.
    let ticket = issue(&b).await;
    let far = tree.far.to_string();
    let headers = [("Sec-WebSocket-Protocol", ticket.as_str()), ("X-Workspace-ID", &far)];
    let answer = tree.server.socket(&path, &headers).await.unwrap_err();
    assert_eq!((answer.status, answer.json()), unrelated());
}
