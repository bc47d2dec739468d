//! Containers that several workspaces claim.
//!
//! A workspace's container is named by its `instance_id`, or derived from its id, or, as the platform's last resort, from its
//! name, which its users choose. A container that two workspaces claim opens from neither: one of them would be a shell
//! in the other's. A name that a user chose claims nothing from a workspace that has the container by its row or id.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, query_as};

use super::super::Workspace;
use super::error::InvalidInstance;
use crate::model::Target;

/// Counts the workspaces that claim each container of `$1`: by `instance_id` or id, and by anything. Letters are folded
/// as [`super::super::local`] folds them, in ASCII.
const CLAIMS: &str = "WITH live AS ( \
         SELECT id, coalesce(instance_id, '') AS instance, lower(replace(name, ' ', '-') COLLATE \"C\") AS named \
         FROM workspaces WHERE status::text <> 'removed' \
     ), claims AS ( \
         SELECT id, instance AS container, true AS is_own FROM live WHERE instance <> '' \
         UNION ALL SELECT id, 'ws-' || left(id::text, 12), true FROM live WHERE instance = '' \
         UNION ALL SELECT id, 'ws-' || id::text, true FROM live WHERE instance = '' \
         UNION ALL SELECT id, named, false FROM live WHERE instance = '' \
     ) SELECT container, count(DISTINCT id) FILTER (WHERE is_own), count(DISTINCT id) FROM claims \
     WHERE container = ANY($1) GROUP BY container";

/// How many workspaces claim each container.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<String, Count>);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Those that have it by `instance_id` or id.
    own: i64,
    /// Those that have it by anything.
    all: i64,
}

/// A workspace as its row has it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) workspace: Workspace,
    /// Whether `instance_id` names its container.
    pub(super) is_named: bool,
}

impl Claims {
    /// Counts the claims to the containers of `rows`.
    pub(super) async fn of<'a>(
        rows: impl Iterator<Item = &'a Row>,
        connection: &mut PgConnection,
    ) -> sqlx::Result<Self> {
        let names: BTreeSet<String> = rows.flat_map(|row| candidates(&row.workspace)).collect();
        if names.is_empty() {
            return Ok(Self::default());
        }
        let names: Vec<String> = names.into_iter().collect();
        let counts: Vec<(String, i64, i64)> = query_as(CLAIMS).bind(names).fetch_all(connection).await?;
        Ok(Self(counts.into_iter().map(|(name, own, all)| (name, Count { own, all })).collect()))
    }

    /// Returns the workspace of `row` with the containers that are its own.
    pub(super) fn settle(&self, row: Row) -> Result<Workspace, InvalidInstance> {
        let Row { mut workspace, is_named } = row;
        let id = workspace.id;
        let by_id = [format!("ws-{id}"), format!("ws-{}", id.to_string().get(..12).unwrap_or_default())];
        let Target::Local(local) = &mut workspace.target else { return Ok(workspace) };
        let count = |name: &str| self.0.get(name).copied().unwrap_or_default();
        if is_named {
            return match local.candidates.iter().find(|name| count(name.as_str()).own > 1) {
                Some(name) => {
                    Err(InvalidInstance::Contested { workspace: id, name: name.as_str().to_owned() })
                }
                None => Ok(workspace),
            };
        }
        local.candidates.retain(|name| {
            let Count { own, all } = count(name.as_str());
            let claims = if by_id.iter().any(|by_id| by_id == name.as_str()) { own } else { all };
            if claims > 1 {
                tracing::warn!(workspace = %id, container = name.as_str(), "several workspaces claim a container");
            }
            claims <= 1
        });
        Ok(workspace)
    }
}

fn candidates(workspace: &Workspace) -> Vec<String> {
    match &workspace.target {
        Target::Local(local) => local.candidates.iter().map(|name| name.as_str().to_owned()).collect(),
        Target::Instance(_) => Vec::new(),
    }
}
