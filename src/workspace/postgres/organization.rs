//! The workspaces of an organization, by the anchor of its token.

use std::collections::BTreeSet;

use sha1::{Digest as _, Sha1};
use sqlx::{PgConnection, query_scalar};
use uuid::{Builder, Uuid};

use super::super::WorkspaceId;

/// The most workspaces that an anchored token may open. With more, the token is refused as unusable.
pub(super) const MAX_WORKSPACES: usize = 20_000;

/// Reads every workspace under the organization's roots: the root above the anchor `$1`, which may be the anchor itself,
/// and the workspace `$2` if it is a root. `UNION` ends a cycle above the anchor; below a root there is none, since each
/// workspace has one parent.
const WORKSPACES: &str = "WITH RECURSIVE above AS ( \
         SELECT id, parent_id FROM workspaces WHERE id = $1 \
         UNION SELECT w.id, w.parent_id FROM workspaces w JOIN above a ON w.id = a.parent_id \
     ), below AS ( \
         SELECT id FROM workspaces WHERE parent_id IS NULL AND (id = $2 OR id IN (SELECT id FROM above)) \
         UNION ALL SELECT w.id FROM workspaces w JOIN below b ON w.parent_id = b.id \
     ) SELECT id FROM below LIMIT $3";

/// Precedes the organization in the name of its platform agent, whose id is a version 5 UUID.
const AGENT_NAME: &str = "molecule-platform-agent:";

/// Returns the workspaces that a token anchored at `anchor` opens, one more than [`MAX_WORKSPACES`] if there are too many.
/// An anchor without a root opens nothing.
pub(super) async fn workspaces(
    anchor: Uuid,
    connection: &mut PgConnection,
) -> sqlx::Result<BTreeSet<WorkspaceId>> {
    let limit = i64::try_from(MAX_WORKSPACES + 1).unwrap_or(i64::MAX);
    let query = query_scalar(WORKSPACES).bind(anchor).bind(platform_agent(anchor)).bind(limit);
    let ids: Vec<Uuid> = query.fetch_all(connection).await?;
    Ok(ids.into_iter().map(WorkspaceId::from).collect())
}

/// Returns the id of the platform agent of the organization `id`, which is the organization's root workspace.
fn platform_agent(id: Uuid) -> Uuid {
    let hash = Sha1::new()
        .chain_update(Uuid::NAMESPACE_URL.as_bytes())
        .chain_update(AGENT_NAME)
        .chain_update(id.hyphenated().to_string())
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Builder::from_sha1_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_agent_is_a_version_5_uuid() {
        // python3 -c "import uuid; print(uuid.uuid5(uuid.NAMESPACE_URL, 'molecule-platform-agent:' + ID))"
        let id: Uuid = "0A1B2C3D-4e5f-4071-8293-a4b5c6d7e8f9".parse().unwrap();
        assert_eq!(platform_agent(id).to_string(), "16b5156e-879f-5c0a-8951-3bb311470946");
    }
}
