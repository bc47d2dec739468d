//! Whose token it is (docs/canvas.md, section 1.6).

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::query_as;
use uuid::Uuid;

use super::super::{Access, Principal, TokenDigest, WorkspaceId};
use super::database::Database;
use super::error::Error;

/// An organisation's token. Its `org_id` is not looked at: the platform lets one without it pass as well.
const ORGANISATION: &str =
    "SELECT id, prefix FROM org_api_tokens WHERE token_hash = $1 AND revoked_at IS NULL";

/// A workspace's token. A workspace that is removed has none any more.
const WORKSPACE: &str = "SELECT t.id, t.workspace_id FROM workspace_auth_tokens t \
     JOIN workspaces w ON w.id = t.workspace_id \
     WHERE t.token_hash = $1 AND t.revoked_at IS NULL AND w.status::text <> 'removed'";

const USED_ORGANISATION: &str = "UPDATE org_api_tokens SET last_used_at = now() WHERE id = $1";
const USED_WORKSPACE: &str = "UPDATE workspace_auth_tokens SET last_used_at = now() WHERE id = $1";

/// How much of a token its `prefix` is, in characters. More than that is not shown, whatever the row says.
const PREFIX_LEN: usize = 8;

/// A token that was shown: its row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Used {
    Organisation(Uuid),
    Workspace(Uuid),
}

/// Whose token `digest` is of; the organisation's are looked at before the workspaces'.
pub(super) async fn find(
    database: &Database,
    digest: TokenDigest,
) -> Result<Option<(Principal, Used)>, Error> {
    let ask = database.ask(move |connection| {
        Box::pin(async move {
            let hash = &digest.as_bytes()[..];
            let found: Option<(Uuid, String)> =
                query_as(ORGANISATION).bind(hash).fetch_optional(&mut *connection).await?;
            if let Some((id, prefix)) = found {
                return Ok(Some((organisation(&prefix), Used::Organisation(id))));
            }
            let found: Option<(Uuid, Uuid)> =
                query_as(WORKSPACE).bind(hash).fetch_optional(connection).await?;
            Ok(found.map(|(id, of)| (workspace(of.into()), Used::Workspace(id))))
        })
    });
    ask.await
}

/// The platform's own name for somebody with an organisation's token.
fn organisation(prefix: &str) -> Principal {
    let prefix: String = prefix.chars().filter(char::is_ascii_graphic).take(PREFIX_LEN).collect();
    Principal::new(format!("org-token:{prefix}"), Access::All)
}

fn workspace(id: WorkspaceId) -> Principal {
    Principal::new(format!("workspace:{id}"), Access::Only(BTreeSet::from([id])))
}

impl Used {
    /// Writes that it was used just now.
    pub(super) fn write(self, database: Arc<Database>) -> BoxFuture<'static, Result<(), Error>> {
        let (sql, id) = match self {
            Self::Organisation(id) => (USED_ORGANISATION, id),
            Self::Workspace(id) => (USED_WORKSPACE, id),
        };
        Box::pin(async move {
            let ask = database.ask(move |connection| {
                Box::pin(async move { sqlx::query(sql).bind(id).execute(connection).await })
            });
            ask.await.map(drop)
        })
    }
}
