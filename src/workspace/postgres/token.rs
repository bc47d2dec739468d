//! The owner of a token, from the platform's tables of tokens.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use sqlx::{PgConnection, query_as};
use uuid::Uuid;

use super::super::{
    Access, CredentialKind, DirectoryError, PlatformVersion, Principal, TokenDigest, WorkspaceId,
};
use super::database::Database;
use super::error::{Error, TooManyWorkspaces};
use super::organization;
use super::schema::Schema;

/// Composes a query with and without the end of a token.
macro_rules! by_expiry {
    ($does_expire:expr, $before:literal, $expires:literal, $never:literal, $after:literal, $live:literal) => {
        if $does_expire {
            concat!($before, $expires, $after, $live)
        } else {
            concat!($before, $never, $after)
        }
    };
}

/// An organization token with its anchor and its end, in seconds since 1970.
fn select_organization(schema: &Schema) -> &'static str {
    // April's platform ignores the anchor, and a role that was made for it may not read it.
    if schema.version == PlatformVersion::April2026 {
        return "SELECT id, prefix, NULL::uuid, NULL::float8 FROM org_api_tokens \
                WHERE token_hash = $1 AND revoked_at IS NULL";
    }
    by_expiry!(
        schema.organization_tokens_expire,
        "SELECT id, prefix, org_id, ",
        "extract(epoch FROM expires_at)::float8",
        "NULL::float8",
        " FROM org_api_tokens WHERE token_hash = $1 AND revoked_at IS NULL",
        " AND (expires_at IS NULL OR expires_at > now())"
    )
}

/// A workspace token with its end. A removed workspace has no tokens.
fn select_workspace(schema: &Schema) -> &'static str {
    by_expiry!(
        schema.workspace_tokens_expire,
        "SELECT t.id, t.workspace_id, ",
        "extract(epoch FROM t.expires_at)::float8",
        "NULL::float8",
        " FROM workspace_auth_tokens t JOIN workspaces w ON w.id = t.workspace_id \
         WHERE t.token_hash = $1 AND t.revoked_at IS NULL AND w.status::text <> 'removed'",
        " AND (t.expires_at IS NULL OR t.expires_at > now())"
    )
}

fn update_organization(schema: &Schema) -> &'static str {
    by_expiry!(
        schema.organization_tokens_expire,
        "UPDATE org_api_tokens ",
        "SET last_used_at = now()",
        "SET last_used_at = now()",
        " WHERE id = $1",
        " AND (expires_at IS NULL OR expires_at > now())"
    )
}

fn update_workspace(schema: &Schema) -> &'static str {
    by_expiry!(
        schema.workspace_tokens_expire,
        "UPDATE workspace_auth_tokens ",
        "SET last_used_at = now()",
        "SET last_used_at = now()",
        " WHERE id = $1",
        " AND (expires_at IS NULL OR expires_at > now())"
    )
}

/// The length of a token's `prefix`, in characters. No more than that is shown, whatever the row has.
const PREFIX_LEN: usize = 8;

/// The row of a token that was presented.
#[derive(Clone, Copy, Debug)]
pub(super) enum Used {
    Organization(Uuid),
    Workspace(Uuid),
}

/// A valid token.
struct Found {
    name: String,
    access: Access,
    kind: CredentialKind,
    expires_at: Option<f64>,
    used: Used,
}

/// Returns the owner of the token with `digest`. Organization tokens are looked up before workspace tokens.
pub(super) async fn find(
    database: &Database,
    digest: TokenDigest,
) -> Result<Option<(Principal, Used)>, DirectoryError> {
    let ask = database.ask_by_schema(move |schema, connection| {
        Box::pin(async move { select(&schema, digest, connection).await })
    });
    let Some(Found { name, access, kind, expires_at, used }) = ask.await? else { return Ok(None) };
    if let Access::Only(ids) = &access
        && ids.len() > organization::MAX_WORKSPACES
    {
        return Err(DirectoryError::unusable(TooManyWorkspaces { token: name }));
    }
    let principal = Principal::of_kind(name, kind, access).expiring_at(expires_at.and_then(system_time));
    Ok(Some((principal, used)))
}

/// Fails unless tokens can be looked up now: a missing privilege shows before a token is presented.
pub(super) async fn check(database: &Database) -> Result<(), Error> {
    let no_token = TokenDigest::from([0; 32]);
    let ask = database.ask_by_schema(move |schema, connection| {
        Box::pin(async move { select(&schema, no_token, connection).await })
    });
    ask.await.map(drop)
}

async fn select(
    schema: &Schema,
    digest: TokenDigest,
    connection: &mut PgConnection,
) -> sqlx::Result<Option<Found>> {
    let hash = &digest.as_bytes()[..];
    let found: Option<(Uuid, String, Option<Uuid>, Option<f64>)> =
        query_as(select_organization(schema)).bind(hash).fetch_optional(&mut *connection).await?;
    if let Some((id, prefix, anchor, expires_at)) = found {
        let access = match anchor {
            None => Access::All,
            Some(anchor) => Access::Only(organization::workspaces(anchor, connection).await?),
        };
        let prefix: String = prefix.chars().filter(char::is_ascii_graphic).take(PREFIX_LEN).collect();
        return Ok(Some(Found {
            // The platform's own name for the bearer of an organization token.
            name: format!("org-token:{prefix}"),
            access,
            kind: CredentialKind::Organization,
            expires_at,
            used: Used::Organization(id),
        }));
    }
    let found: Option<(Uuid, Uuid, Option<f64>)> =
        query_as(select_workspace(schema)).bind(hash).fetch_optional(connection).await?;
    Ok(found.map(|(id, workspace, expires_at)| {
        let workspace = WorkspaceId::from(workspace);
        Found {
            name: format!("workspace:{workspace}"),
            access: Access::Only(BTreeSet::from([workspace])),
            kind: CredentialKind::Workspace,
            expires_at,
            used: Used::Workspace(id),
        }
    }))
}

/// Returns the time of `seconds` since 1970; `None` for infinity, which PostgreSQL has as well.
fn system_time(seconds: f64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

impl Used {
    /// Writes that the token was used just now, unless it has expired meanwhile.
    pub(super) fn write(self, database: Arc<Database>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let ask = database.ask_by_schema(move |schema, connection| {
                let (sql, id) = match self {
                    Self::Organization(id) => (update_organization(&schema), id),
                    Self::Workspace(id) => (update_workspace(&schema), id),
                };
                Box::pin(async move { sqlx::query(sql).bind(id).execute(connection).await })
            });
            ask.await.map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_a_condition_of_every_query() {
        let schema =
            Schema { organization_tokens_expire: true, workspace_tokens_expire: true, ..Schema::default() };
        let queries = [select_organization, select_workspace, update_organization, update_workspace];
        for query in queries {
            assert!(query(&schema).contains("expires_at > now()"), "{}", query(&schema));
            let never = query(&Schema::default());
            assert!(!never.contains("expires_at"), "{never}");
        }
        let april = Schema { version: PlatformVersion::April2026, ..Schema::default() };
        assert!(!select_organization(&april).contains("org_id"));
    }

    #[test]
    fn infinity_is_no_time() {
        assert_eq!(system_time(1.5), Some(UNIX_EPOCH + Duration::from_millis(1500)));
        for never in [f64::INFINITY, f64::NAN, f64::MAX] {
            assert_eq!(system_time(never), None);
        }
    }
}
