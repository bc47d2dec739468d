//! Access to workspaces, seen from outside: the behaviors that the platform's tests assert of its terminal
//! (docs/canvas.md, section 6), with a real database.

use std::net::SocketAddr;

use eice::workspace::WorkspaceId;

use super::serve::{HOST, serve};
use super::{add_org_token, add_workspace, add_workspace_token, token};
use crate::lab::{Database, INSTANCE, Postgres, Program, Viewer, World, request};

/// Workspaces of one organization and an unrelated one, each with a token, all on the instance.
struct Scene {
    database: Database<'static>,
    /// The instance's account; it must outlive its terminals.
    _world: World,
    gateway: Program,
    org: String,
    lead: WorkspaceId,
    left: WorkspaceId,
    right: WorkspaceId,
    stranger: WorkspaceId,
}

impl Scene {
    /// Starts a gateway; `more` is added to its environment.
    async fn start(more: &[(&'static str, &str)]) -> Self {
        let database = Postgres::shared().platform();
        let add = |name: &str, parent: Option<WorkspaceId>| {
            let parent = parent.map_or("NULL".to_owned(), |parent| format!("'{parent}'"));
            let instance = format!("'{INSTANCE}'");
            let columns =
                [("parent_id", parent.as_str()), ("instance_id", &instance), ("status", "'online'")];
            let id = add_workspace(&database, name, &columns);
            add_workspace_token(&database, id, &token(name));
            id
        };
        let lead = add("lead-of-them", None);
        let [left, right] = ["left-one", "right-one"].map(|name| add(name, Some(lead)));
        let other = add("other-lead", None);
        let stranger = add("stranger", Some(other));
        let org = token("organisation");
        add_org_token(&database, &org);
        let world = World::builtin().await;
        let gateway = serve(&world, &database.url(), more);
        Self { database, _world: world, gateway, org, lead, left, right, stranger }
    }

    /// Requests the terminal of `target` without WebSocket and returns the response: 426 means that access is granted.
    async fn ask(
        &self,
        target: WorkspaceId,
        bearer: Option<&str>,
        claim: Option<WorkspaceId>,
    ) -> (u16, String) {
        let (addr, target) = (self.gateway.addr(), target.to_string());
        ask(addr, &target, bearer, claim.map(|claim| claim.to_string()).as_deref()).await
    }

    fn used(&self, table: &str) -> String {
        self.database.run(&format!("SELECT count(*) FROM {table} WHERE last_used_at IS NOT NULL"))
    }
}

async fn ask(gateway: SocketAddr, target: &str, bearer: Option<&str>, claim: Option<&str>) -> (u16, String) {
    let bearer = bearer.map(|bearer| format!("Bearer {bearer}"));
    let mut headers = vec![("host", HOST)];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    headers.extend(claim.map(|claim| ("x-workspace-id", claim)));
    request(gateway, "GET", &format!("/workspaces/{target}/terminal"), &headers, "").await
}

const ADMITTED: u16 = 426;
const INVALID: &str = r#"{"error":"invalid workspace auth token"}"#;
const WRONG_CLAIM: &str = r#"{"error":"invalid token for claimed workspace"}"#;
const UNRELATED: &str = r#"{"error":"not authorized to access this workspace's terminal"}"#;

#[track_caller]
fn refused(answer: &(u16, String), status: u16, body: &str) {
    assert_eq!((answer.0, answer.1.as_str()), (status, body));
}

#[tokio::test(flavor = "multi_thread")]
async fn org_token_claims_within_family() {
    let scene = Scene::start(&[]).await;
    let Scene { lead, left, right, stranger, .. } = scene;
    let org = Some(scene.org.as_str());
    for (target, claim) in [
        (left, None),
        (left, Some(left)),
        (left, Some(right)),
        (left, Some(lead)),
        (lead, Some(right)),
        (stranger, None),
    ] {
        assert_eq!(scene.ask(target, org, claim).await.0, ADMITTED, "{claim:?} to {target}");
    }
    refused(&scene.ask(left, org, Some(stranger)).await, 403, UNRELATED);
    refused(&scene.ask(stranger, org, Some(left)).await, 403, UNRELATED);
    refused(&scene.ask(left, org, Some(WorkspaceId::random())).await, 403, UNRELATED);
    scene.database.run(&format!("UPDATE workspaces SET status = 'removed' WHERE id = '{right}'"));
    assert_eq!(scene.ask(left, org, Some(right)).await.0, ADMITTED, "its status is no matter");
    refused(&scene.ask(right, org, None).await, 404, r#"{"error":"workspace not found"}"#);
    for odd in ["x", "../left", "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f"] {
        let (status, _) = ask(scene.gateway.addr(), &left.to_string(), org, Some(odd)).await;
        assert!((400..500).contains(&status) && status != ADMITTED, "{odd}: {status}");
    }

    let Scene { mut gateway, database, .. } = scene;
    assert!(gateway.part.terminate().success());
    assert_eq!(database.run("SELECT count(last_used_at) FROM org_api_tokens"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn workspace_token_claims_only_itself() {
    let scene = Scene::start(&[]).await;
    let Scene { lead, left, right, .. } = scene;
    let (own, brothers) = (token("left-one"), token("right-one"));
    assert_eq!(scene.ask(left, Some(&own), None).await.0, ADMITTED);
    assert_eq!(scene.ask(left, Some(&own), Some(left)).await.0, ADMITTED);
    refused(&scene.ask(left, Some(&own), Some(right)).await, 401, WRONG_CLAIM);
    // Neither a sibling's token nor the lead's opens it, whatever the claim.
    for (bearer, claim) in [(&brothers, None), (&brothers, Some(right)), (&token("lead-of-them"), Some(lead))]
    {
        refused(&scene.ask(left, Some(bearer), claim).await, 401, INVALID);
    }
    refused(&scene.ask(left, Some(&token("nobody")), Some(right)).await, 401, INVALID);
    refused(&scene.ask(left, None, Some(right)).await, 401, r#"{"error":"missing workspace auth token"}"#);
    assert_eq!(scene.used("org_api_tokens"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn development_mode_still_checks_claim() {
    let scene = Scene::start(&[("MOLECULE_ENV", "development")]).await;
    let Scene { lead, left, right, stranger, .. } = scene;
    for claim in [None, Some(left), Some(right), Some(lead)] {
        assert_eq!(scene.ask(left, None, claim).await.0, ADMITTED, "{claim:?}");
    }
    refused(&scene.ask(left, None, Some(stranger)).await, 403, UNRELATED);
    refused(&scene.ask(left, Some(&token("nobody")), None).await, 401, INVALID);
    assert_eq!(scene.used("workspace_auth_tokens"), "0", "no token was shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_claim_is_an_outage() {
    let scene = Scene::start(&[]).await;
    let Scene { left, right, .. } = scene;
    let org = Some(scene.org.as_str());
    assert_eq!(scene.ask(left, org, Some(right)).await.0, ADMITTED);
    scene.database.run("ALTER TABLE workspaces RENAME COLUMN parent_id TO elsewhere");
    let (status, body) = scene.ask(left, org, Some(right)).await;
    assert!(status == 503 && body.contains("platform_unavailable"), "{status} {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_token_closes_terminal() {
    let scene = Scene::start(&[]).await;
    let bearer = format!("Bearer {}", token("left-one"));
    let headers = [("host", HOST), ("authorization", bearer.as_str())];
    let mut viewer = Viewer::try_open(scene.gateway.addr(), &scene.left.to_string(), &headers).await.unwrap();
    viewer.line("echo he''re").await;
    viewer.until("here").await;
    scene.database.run("UPDATE workspace_auth_tokens SET revoked_at = now()");
    let begun = std::time::Instant::now();
    // `finish` fails after 30 s without a frame.
    let farewell = viewer.finish().await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(31), "{:?}", begun.elapsed());
    assert_eq!(farewell.close, Some((4403, "access revoked".into())), "{farewell:?}");
}
