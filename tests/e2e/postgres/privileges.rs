//! The privileges of the gateway's role are sufficient and minimal.

use eice::workspace::{Access, Activity, Directory, Principal};

use super::{add_org_token, add_workspace, add_workspace_token, bearer, directory, token};
use crate::lab::Postgres;

const PAGE: &str = include_str!("../../../docs/postgres.md");

/// Returns the statements of the page that create the role.
fn statements() -> &'static str {
    let start = PAGE.find("```sql\n").expect("the page has them") + "```sql\n".len();
    &PAGE[start..start + PAGE[start..].find("```").unwrap()]
}

#[tokio::test]
async fn documented_grants_are_minimal() {
    let postgres = Postgres::start();
    let database = postgres.platform();
    // The page's database has the platform's usual name.
    let sql = statements().replace("molecule", &database.name);
    database.run(&format!("REVOKE ALL ON DATABASE {} FROM PUBLIC", database.name));
    database.run(&sql);
    let (org, mine) = (token("org"), token("mine"));
    let id = add_workspace(&database, "a", &[("status", "'online'")]);
    add_org_token(&database, &org);
    add_workspace_token(&database, id, &mine);

    let url = database.url_of("eice");
    let opened = || Activity {
        workspace: id,
        method: "terminal.open",
        summary: String::new(),
        details: serde_json::json!({}),
        took: None,
        error: None,
    };
    let enough = directory(&url);
    assert!(enough.authenticate(&bearer(&org)).await.unwrap().is_some());
    assert!(enough.authenticate(&bearer(&mine)).await.unwrap().is_some());
    assert!(enough.find(id).await.unwrap().is_some() && enough.lineage(id).await.unwrap().is_some());
    assert_eq!(enough.list(&Principal::new("a", Access::All)).await.unwrap().len(), 1);
    assert_eq!(enough.check().await.unwrap().warnings, <[&str; 0]>::default());
    enough.note(opened()).await;
    enough.settle().await;
    let written = "SELECT (SELECT count(last_used_at) FROM org_api_tokens), \
                   (SELECT count(last_used_at) FROM workspace_auth_tokens), (SELECT count(*) FROM activity_logs)";
    assert_eq!(database.run(written), "1|1|1");

    // All other statements are denied.
    let as_role = |sql: &str| database.try_run_as("eice", sql).status.success();
    assert!(as_role("SELECT id FROM workspaces"), "the role can do what it may");
    for sql in [
        "UPDATE workspaces SET status = 'removed'",
        "DELETE FROM workspaces",
        "UPDATE org_api_tokens SET revoked_at = NULL",
        "INSERT INTO org_api_tokens (token_hash, prefix) VALUES ('', '')",
        "SELECT * FROM activity_logs",
        "DELETE FROM activity_logs",
        "CREATE TABLE mine ()",
        "SELECT agent_card FROM workspaces",
        "SELECT created_by FROM org_api_tokens",
    ] {
        assert!(!as_role(sql), "{sql}");
    }

    // Without any one of them, a feature fails.
    for grant in sql.split(';').map(str::trim).filter(|sql| sql.starts_with("GRANT ")) {
        let revoke = grant.replacen("GRANT", "REVOKE", 1).replacen(" TO ", " FROM ", 1);
        database
            .run(&format!("{revoke}; UPDATE org_api_tokens SET last_used_at = NULL; TRUNCATE activity_logs"));
        database.run("UPDATE workspace_auth_tokens SET last_used_at = NULL");
        let less = directory(&url);
        let reads = less.authenticate(&bearer(&org)).await.is_ok()
            && less.authenticate(&bearer(&mine)).await.is_ok()
            && less.find(id).await.is_ok()
            && less.check().await.is_ok_and(|health| health.warnings.is_empty());
        less.note(opened()).await;
        less.settle().await;
        assert!(!reads || database.run(written) != "1|1|1", "{grant} is not needed");
        database.run(grant);
    }
}
