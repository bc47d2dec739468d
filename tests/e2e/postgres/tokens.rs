//! Token lookup, and the record of its use.

use eice::workspace::{Access, CredentialKind, Directory};

use super::{add_org_token, add_workspace, add_workspace_token, bearer, directory, hash, token, tuned};
use crate::lab::{Database, Postgres};

const ORG_USED: &str = "SELECT count(*) FROM org_api_tokens WHERE last_used_at > now() - interval '1 minute'";
const WORKSPACE_USED: &str =
    "SELECT count(*) FROM workspace_auth_tokens WHERE last_used_at > now() - interval '1 minute'";

/// Returns a database for each schema.
fn schemas() -> [Database<'static>; 3] {
    let postgres = Postgres::shared();
    [postgres.platform(), postgres.april(), postgres.platform_before_043()]
}

#[tokio::test]
async fn organization_token_opens_everything() {
    for database in schemas() {
        let directory = directory(&database.url());
        let org = token("org-plain");
        add_org_token(&database, &org);
        let principal = directory.authenticate(&bearer(&org)).await.unwrap().expect("it is valid");
        assert_eq!(
            (principal.name.as_str(), principal.kind),
            ("org-token:org-plai", CredentialKind::Organization)
        );
        assert_eq!((principal.access, principal.expires_at), (Access::All, None));
        directory.settle().await;
        assert_eq!(database.run(ORG_USED), "1");
    }
}

#[tokio::test]
async fn workspace_token_opens_its_workspace() {
    for database in schemas() {
        let directory = directory(&database.url());
        let [mine, other] = ["mine", "other"].map(|name| add_workspace(&database, name, &[]));
        let (token, others) = (token("mine"), token("other"));
        add_workspace_token(&database, mine, &token);
        add_workspace_token(&database, other, &others);
        let principal = directory.authenticate(&bearer(&token)).await.unwrap().expect("it is valid");
        assert_eq!(
            (principal.name.clone(), principal.kind),
            (format!("workspace:{mine}"), CredentialKind::Workspace)
        );
        assert!(principal.may_open(mine) && !principal.may_open(other));
        directory.settle().await;
        assert_eq!(database.run(WORKSPACE_USED), "1", "the other one was not used");
    }
}

#[tokio::test]
async fn unknown_and_revoked_tokens_fail() {
    for database in schemas() {
        let directory = directory(&database.url());
        let mine = add_workspace(&database, "mine", &[("status", "'online'")]);
        let (of_workspace, of_org) = (token("mine"), token("org"));
        add_workspace_token(&database, mine, &of_workspace);
        add_org_token(&database, &of_org);
        let is_valid = async |text: &str| directory.authenticate(&bearer(text)).await.unwrap().is_some();
        for wrong in [&of_workspace[..42], &of_workspace[..8], "x", &bearer(&of_org).digest().to_string()] {
            assert!(!is_valid(wrong).await, "{wrong}");
        }
        assert!(is_valid(&of_workspace).await && is_valid(&of_org).await);

        database.run("UPDATE workspaces SET status = 'removed'");
        assert!(!is_valid(&of_workspace).await && is_valid(&of_org).await, "its workspace is removed");
        database.run("UPDATE workspaces SET status = 'paused'");
        assert!(is_valid(&of_workspace).await);

        for table in ["workspace_auth_tokens", "org_api_tokens"] {
            database.run(&format!("UPDATE {table} SET revoked_at = now()"));
        }
        assert!(!is_valid(&of_workspace).await && !is_valid(&of_org).await, "revoked");
        directory.settle().await;
        database.run("UPDATE org_api_tokens SET last_used_at = NULL");
        assert!(!is_valid(&of_org).await);
        directory.settle().await;
        assert_eq!(database.run(ORG_USED), "0", "what is refused was not used");
    }
}

#[tokio::test]
async fn org_tokens_are_checked_first() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let mine = add_workspace(&database, "mine", &[]);
    let same = token("same");
    add_workspace_token(&database, mine, &same);
    add_org_token(&database, &same);
    let principal = directory.authenticate(&bearer(&same)).await.unwrap().unwrap();
    assert_eq!(principal.kind, CredentialKind::Organization);
}

#[tokio::test]
async fn whole_token_prefix_is_hidden() {
    let database = Postgres::shared().platform();
    let token = token("canary");
    database.run(&format!(
        "INSERT INTO org_api_tokens (token_hash, prefix) VALUES ({}, '{token}')",
        hash(&token)
    ));
    let principal = directory(&database.url()).authenticate(&bearer(&token)).await.unwrap().unwrap();
    assert_eq!(principal.name, format!("org-token:{}", &token[..8]));
}

#[tokio::test]
async fn last_used_writes_can_be_disabled() {
    let database = Postgres::shared().platform();
    let directory = tuned(&database.url(), |config| config.note_last_used = false);
    let org = token("org");
    add_org_token(&database, &org);
    assert!(directory.authenticate(&bearer(&org)).await.unwrap().is_some());
    directory.settle().await;
    assert_eq!(database.run(ORG_USED), "0");
}

#[tokio::test]
async fn recheck_does_not_count_as_use() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let mine = add_workspace(&database, "mine", &[]);
    let (of_workspace, of_org) = (token("mine"), token("org"));
    add_workspace_token(&database, mine, &of_workspace);
    add_org_token(&database, &of_org);
    for token in [&of_workspace, &of_org] {
        let shown = directory.authenticate(&bearer(token)).await.unwrap();
        assert!(shown.is_some());
        assert_eq!(directory.recheck(&bearer(token)).await.unwrap(), shown, "the same principal");
    }
    directory.settle().await;
    assert_eq!((database.run(ORG_USED), database.run(WORKSPACE_USED)), ("1".into(), "1".into()));
    for table in ["workspace_auth_tokens", "org_api_tokens"] {
        database.run(&format!("UPDATE {table} SET last_used_at = NULL"));
    }
    for token in [&of_workspace, &of_org] {
        assert!(directory.recheck(&bearer(token)).await.unwrap().is_some());
    }
    directory.settle().await;
    assert_eq!((database.run(ORG_USED), database.run(WORKSPACE_USED)), ("0".into(), "0".into()));

    for table in ["workspace_auth_tokens", "org_api_tokens"] {
        database.run(&format!("UPDATE {table} SET revoked_at = now()"));
    }
    for token in [&of_workspace, &of_org] {
        assert!(directory.recheck(&bearer(token)).await.unwrap().is_none(), "and it is noticed");
    }
}

#[tokio::test]
async fn failed_last_used_write_is_ignored() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let org = token("org");
    add_org_token(&database, &org);
    database.run("ALTER TABLE org_api_tokens RENAME COLUMN last_used_at TO used");
    for _ in 0..3 {
        assert!(directory.authenticate(&bearer(&org)).await.unwrap().is_some());
    }
    directory.settle().await;
}
