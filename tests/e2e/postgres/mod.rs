//! The PostgreSQL directory, on a real server.

mod access;
mod activities;
mod containers;
mod expiry;
mod organizations;
mod outages;
mod privileges;
mod schema;
mod serve;
mod tls;
mod tokens;
mod workspaces;

use eice::workspace::postgres::{Config, PostgresDirectory};
use eice::workspace::{BearerToken, WorkspaceId};

use crate::lab::{Database, INSTANCE};

/// Returns the directory in the database at `url`.
fn directory(url: &str) -> PostgresDirectory {
    tuned(url, |_| {})
}

fn tuned(url: &str, tune: impl FnOnce(&mut Config)) -> PostgresDirectory {
    let mut config = Config::new(url.parse().unwrap());
    tune(&mut config);
    PostgresDirectory::new(config)
}

/// Returns a token in the platform's format: 43 characters.
fn token(of: &str) -> String {
    format!("{of}-{}", "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG").chars().take(43).collect()
}

fn bearer(text: &str) -> BearerToken {
    BearerToken::new(text).unwrap()
}

/// Returns the stored form of `token`, as SQL.
fn hash(token: &str) -> String {
    format!("'\\x{}'", bearer(token).digest())
}

/// Returns a row of `workspaces` with more columns, as SQL.
fn add_workspace(database: &Database<'_>, name: &str, columns: &[(&str, &str)]) -> WorkspaceId {
    let id = WorkspaceId::random();
    let names: String = columns.iter().map(|(column, _)| format!(", {column}")).collect();
    let values: String = columns.iter().map(|(_, value)| format!(", {value}")).collect();
    database.run(&format!("INSERT INTO workspaces (id, name{names}) VALUES ('{id}', '{name}'{values})"));
    id
}

/// Returns a row for the instance of the emulator's world.
fn add_remote(database: &Database<'_>, name: &str) -> WorkspaceId {
    add_workspace(database, name, &[("status", "'online'"), ("instance_id", &format!("'{INSTANCE}'"))])
}

fn add_workspace_token(database: &Database<'_>, of: WorkspaceId, token: &str) {
    let (hash, prefix) = (hash(token), &token[..8]);
    database.run(&format!(
        "INSERT INTO workspace_auth_tokens (workspace_id, token_hash, prefix) VALUES ('{of}', {hash}, '{prefix}')"
    ));
}

fn add_org_token(database: &Database<'_>, token: &str) {
    let (hash, prefix) = (hash(token), &token[..8]);
    database.run(&format!("INSERT INTO org_api_tokens (token_hash, prefix) VALUES ({hash}, '{prefix}')"));
}

/// Expires `token` of an organization now.
fn expire(database: &Database<'_>, token: &str) {
    database.run(&format!("UPDATE org_api_tokens SET expires_at = now() WHERE prefix = '{}'", &token[..8]));
}
