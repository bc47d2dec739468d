//! Detection of the platform's version by its database schema.

use eice::workspace::{Directory, Health, PlatformVersion};

use super::{add_org_token, add_workspace, bearer, directory, expire, token};
use crate::lab::{Database, Postgres};

async fn health(database: &Database<'_>) -> Health {
    directory(&database.url()).check().await.unwrap()
}

fn healthy(platform: PlatformVersion) -> Health {
    Health { platform: Some(platform), warnings: Vec::new() }
}

#[tokio::test]
async fn checked_schemas_have_no_warnings() {
    let postgres = Postgres::shared();
    assert_eq!(health(&postgres.platform()).await, healthy(PlatformVersion::August2026));
    assert_eq!(health(&postgres.april()).await, healthy(PlatformVersion::April2026));
}

#[tokio::test]
async fn unreadable_migrations_are_a_warning() {
    let postgres = Postgres::shared();
    let warned = |platform| Health { warnings: vec!["unreadable-migrations"], ..healthy(platform) };
    assert_eq!(health(&postgres.platform_before_043()).await, warned(PlatformVersion::April2026));
    // A table of the same name from another program.
    let database = postgres.platform();
    database
        .run("DROP TABLE schema_migrations; CREATE TABLE schema_migrations (version bigint, dirty boolean)");
    assert_eq!(health(&database).await, warned(PlatformVersion::August2026));
}

#[tokio::test]
async fn later_migrations_and_columns_are_warnings() {
    let database = Postgres::shared().platform();
    // Its number is lower than the newest checked one.
    database.run(
        "INSERT INTO schema_migrations (filename) VALUES ('20260801000000_later.up.sql'), ('001_x.down.sql')",
    );
    database.run("ALTER TABLE org_api_tokens ADD COLUMN allowed_networks text");
    let warnings = health(&database).await.warnings;
    assert_eq!(warnings, ["newer-schema", "unknown-columns"]);
}

#[tokio::test]
async fn one_later_migration_selects_august() {
    let database = Postgres::shared().april();
    database.run("INSERT INTO schema_migrations (filename) VALUES ('044_platform_inbound_secret.up.sql')");
    assert_eq!(health(&database).await, healthy(PlatformVersion::August2026));
}

#[tokio::test]
async fn migration_while_running_is_noticed() {
    let database = Postgres::shared().april();
    let directory = directory(&database.url());
    let org = token("org");
    add_org_token(&database, &org);
    assert!(directory.authenticate(&bearer(&org)).await.unwrap().is_some());
    assert_eq!(directory.platform_version(), PlatformVersion::April2026);
    database.run("ALTER TABLE org_api_tokens ADD COLUMN expires_at timestamptz");
    expire(&database, &org);
    let found = async {
        while directory.recheck(&bearer(&org)).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), found).await.expect("the token expires");
    assert_eq!(directory.platform_version(), PlatformVersion::August2026);

    // A dropped column is detected by the failing query.
    database.run("ALTER TABLE org_api_tokens DROP COLUMN expires_at");
    assert!(directory.authenticate(&bearer(&org)).await.is_err());
    assert!(directory.authenticate(&bearer(&org)).await.unwrap().is_some());
}

#[tokio::test]
async fn hidden_expiry_is_an_outage() {
    let postgres = Postgres::start();
    let database = postgres.platform();
    let org = token("org");
    add_org_token(&database, &org);
    expire(&database, &org);
    add_workspace(&database, "a", &[]);
    // The privileges for April's schema, which has no expires_at.
    database.run(
        "CREATE ROLE april LOGIN; GRANT SELECT ON workspaces, workspace_auth_tokens TO april; \
         GRANT SELECT (id, prefix, token_hash, revoked_at, org_id) ON org_api_tokens TO april",
    );
    let directory = directory(&database.url_of("april"));
    assert!(directory.authenticate(&bearer(&org)).await.unwrap_err().is_outage());
    assert!(directory.check().await.is_err(), "and readiness shows it");
}
