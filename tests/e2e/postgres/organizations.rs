//! Tokens anchored at an organization.

use eice::workspace::{Access, CredentialKind, Directory, WorkspaceId};

use super::serve::{HOST, serve};
use super::{add_org_token, add_workspace, bearer, directory, token};
use crate::lab::{Database, INSTANCE, Postgres, Viewer, World, request};

const FORBIDDEN: &str = r#"{"error":"org token not authorized for this workspace's org"}"#;

/// Two organizations: a root with two levels below, and another root with one.
struct Tree {
    root: WorkspaceId,
    child: WorkspaceId,
    leaf: WorkspaceId,
    other: WorkspaceId,
    others_child: WorkspaceId,
}

impl Tree {
    fn plant(database: &Database<'_>) -> Self {
        let add = |name: &str, parent: Option<WorkspaceId>| {
            let parent = parent.map_or("NULL".to_owned(), |parent| format!("'{parent}'"));
            let instance = format!("'{INSTANCE}'");
            let columns =
                [("parent_id", parent.as_str()), ("instance_id", &instance), ("status", "'online'")];
            add_workspace(database, name, &columns)
        };
        let root = add("root", None);
        let child = add("child", Some(root));
        let leaf = add("leaf", Some(child));
        let other = add("other", None);
        let others_child = add("others-child", Some(other));
        Self { root, child, leaf, other, others_child }
    }

    fn mine(&self) -> Access {
        Access::Only([self.root, self.child, self.leaf].into())
    }
}

fn anchor(database: &Database<'_>, token: &str, at: &str) {
    database.run(&format!("UPDATE org_api_tokens SET org_id = '{at}' WHERE prefix = '{}'", &token[..8]));
}

#[tokio::test]
async fn anchor_opens_its_organization_only() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let tree = Tree::plant(&database);
    let org = token("org");
    add_org_token(&database, &org);
    let access = async || {
        let principal = directory.authenticate(&bearer(&org)).await.unwrap().unwrap();
        assert_eq!(principal.kind, CredentialKind::Organization);
        principal.access
    };
    assert_eq!(access().await, Access::All, "a token without an anchor");
    // The root, and a workspace below it: the workspace's root counts.
    for at in [tree.root, tree.child, tree.leaf] {
        anchor(&database, &org, &at.to_string());
        assert_eq!(access().await, tree.mine(), "{at}");
    }
    database.run(&format!("UPDATE workspaces SET status = 'removed' WHERE id = '{}'", tree.child));
    assert_eq!(access().await, tree.mine(), "a removed workspace keeps its position");
}

#[tokio::test]
async fn anchor_may_be_the_control_planes_id() {
    // uuid5(URL namespace, "molecule-platform-agent:" + the organization).
    const ORG: &str = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";
    const AGENT: &str = "16b5156e-879f-5c0a-8951-3bb311470946";
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let tree = Tree::plant(&database);
    let org = token("org");
    add_org_token(&database, &org);
    database.run("ALTER TABLE org_api_tokens DROP CONSTRAINT org_api_tokens_org_id_fkey");
    anchor(&database, &org, ORG);
    let access = async || directory.authenticate(&bearer(&org)).await.unwrap().unwrap().access;
    assert_eq!(access().await, Access::Only([].into()), "there is no such root");
    database.run(&format!("INSERT INTO workspaces (id, name) VALUES ('{AGENT}', 'agent')"));
    database.run(&format!("UPDATE workspaces SET parent_id = '{AGENT}' WHERE id = '{}'", tree.root));
    let agent: WorkspaceId = AGENT.parse().unwrap();
    let mine = Access::Only([agent, tree.root, tree.child, tree.leaf].into());
    assert_eq!(access().await, mine);
    // Below another root it is not a root itself.
    database.run(&format!("UPDATE workspaces SET parent_id = '{}' WHERE id = '{AGENT}'", tree.other));
    assert_eq!(access().await, Access::Only([].into()));
}

#[tokio::test]
async fn anchor_in_a_cycle_opens_nothing() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let tree = Tree::plant(&database);
    let org = token("org");
    add_org_token(&database, &org);
    anchor(&database, &org, &tree.root.to_string());
    database.run(&format!("UPDATE workspaces SET parent_id = '{}' WHERE id = '{}'", tree.leaf, tree.root));
    let access = directory.authenticate(&bearer(&org)).await.unwrap().unwrap().access;
    assert_eq!(access, Access::Only([].into()));
}

#[tokio::test]
async fn anchor_is_ignored_in_april() {
    for database in [Postgres::shared().april(), Postgres::shared().platform_before_043()] {
        let directory = directory(&database.url());
        let root = add_workspace(&database, "root", &[]);
        let org = token("org");
        add_org_token(&database, &org);
        anchor(&database, &org, &root.to_string());
        let principal = directory.authenticate(&bearer(&org)).await.unwrap().unwrap();
        assert_eq!((principal.kind, principal.access), (CredentialKind::Organization, Access::All));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_organizations_are_forbidden_and_hidden() {
    let database = Postgres::shared().platform();
    let world = World::builtin().await;
    let tree = Tree::plant(&database);
    let (mine, all) = (token("mine"), token("unbound"));
    add_org_token(&database, &mine);
    add_org_token(&database, &all);
    anchor(&database, &mine, &tree.root.to_string());
    let gateway = serve(&world, &database.url(), &[]);
    let addr = gateway.addr();
    let ask = async |token: &str, path: &str, claim: Option<WorkspaceId>| {
        let (bearer, claim) = (format!("Bearer {token}"), claim.map(|claim| claim.to_string()));
        let mut headers = vec![("host", HOST), ("authorization", bearer.as_str())];
        headers.extend(claim.as_deref().map(|claim| ("x-workspace-id", claim)));
        request(addr, "GET", path, &headers, "").await
    };
    for id in [tree.root, tree.child, tree.leaf] {
        assert_eq!(ask(&mine, &format!("/workspaces/{id}/terminal"), None).await.0, 426, "{id}");
    }
    // A missing workspace is refused the same way.
    for id in [tree.other, tree.others_child, WorkspaceId::random()] {
        for route in ["", "/terminal", "/terminal/diagnose", "/terminal/sessions"] {
            let (status, body) = ask(&mine, &format!("/workspaces/{id}{route}"), None).await;
            assert_eq!((status, body.as_str()), (403, FORBIDDEN), "{route}");
        }
    }
    // Claims outside its organization are refused too.
    let path = format!("/workspaces/{}/terminal", tree.leaf);
    assert_eq!(ask(&mine, &path, Some(tree.child)).await.0, 426);
    assert_eq!(ask(&mine, &path, Some(tree.others_child)).await.0, 401);

    let list = ask(&mine, "/workspaces", None).await.1;
    assert!(list.contains("leaf") && !list.contains("other"), "{list}");
    assert!(ask(&all, "/workspaces", None).await.1.contains("others-child"));

    // The same rule filters the list of sessions, and sessions end when the anchor moves.
    let bearer = format!("Bearer {all}");
    let headers = [("host", HOST), ("authorization", bearer.as_str())];
    let _others = Viewer::try_open(addr, &tree.others_child.to_string(), &headers).await.unwrap();
    let bearer = format!("Bearer {mine}");
    let headers = [("host", HOST), ("authorization", bearer.as_str())];
    let viewer = Viewer::try_open(addr, &tree.leaf.to_string(), &headers).await.unwrap();
    let sessions = ask(&mine, "/terminal/sessions", None).await.1;
    assert!(sessions.contains(&tree.leaf.to_string()), "{sessions}");
    assert!(!sessions.contains(&tree.others_child.to_string()), "{sessions}");
    assert!(ask(&all, "/terminal/sessions", None).await.1.contains(&tree.others_child.to_string()));
    anchor(&database, &mine, &tree.other.to_string());
    assert_eq!(viewer.finish().await.close, Some((4403, "access revoked".into())));
}
