//! The platform's table `workspaces` (docs/canvas.md, section 3).

use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StrDeserializer};
use sqlx::query_as;
use uuid::Uuid;

use super::super::{Access, DirectoryError, Lineage, Status, Workspace, WorkspaceId, local};
use super::InstanceDefaults;
use super::database::Database;
use super::error::InvalidInstance;
use crate::model::Target;

/// How many workspaces are listed; what comes after these by name is not.
const MAX_LISTED: i64 = 1000;
/// How much of an instance id that is none is told, in characters.
const MAX_EXCERPT: usize = 64;

/// What is read of a row. The status is a text before migration 043 and an enum from then on.
macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, name, status::text, runtime, parent_id, instance_id FROM workspaces ", $rest)
    };
}

/// Finds out that the table is there with every column that is read, and may be read.
const CHECK: &str = select!("LIMIT 0");
const FIND: &str = select!("WHERE id = $1");
const LIST_ALL: &str = select!("WHERE status::text <> 'removed' ORDER BY name, id LIMIT $1");
const LIST_SOME: &str =
    select!("WHERE id = ANY($2) AND status::text <> 'removed' ORDER BY name, id LIMIT $1");
const LINEAGE: &str = "SELECT parent_id FROM workspaces WHERE id = $1";

type Row = (Uuid, String, Option<String>, Option<String>, Option<Uuid>, Option<String>);

/// The workspace `id`.
pub(super) async fn find(
    database: &Database,
    instance: &InstanceDefaults,
    id: WorkspaceId,
) -> Result<Option<Workspace>, DirectoryError> {
    let id = *id.as_uuid();
    let ask = database.ask(move |connection| {
        Box::pin(async move { query_as(FIND).bind(id).fetch_optional(connection).await })
    });
    let row: Option<Row> = ask.await?;
    row.map(|row| workspace(row, instance)).transpose().map_err(DirectoryError::unusable)
}

/// The first [`MAX_LISTED`] workspaces within `access`, by name. One that cannot be reached for what its row says is
/// left out, with a warning.
pub(super) async fn list(
    database: &Database,
    instance: &InstanceDefaults,
    access: &Access,
) -> Result<Vec<Workspace>, DirectoryError> {
    let some: Option<Vec<Uuid>> = match access {
        Access::All => None,
        Access::Only(ids) => Some(ids.iter().map(|id| *id.as_uuid()).collect()),
    };
    let ask = database.ask(move |connection| {
        Box::pin(async move {
            match some {
                None => query_as(LIST_ALL).bind(MAX_LISTED).fetch_all(connection).await,
                Some(ids) => query_as(LIST_SOME).bind(MAX_LISTED).bind(ids).fetch_all(connection).await,
            }
        })
    });
    let rows: Vec<Row> = ask.await?;
    let read = rows.into_iter().map(|row| workspace(row, instance));
    Ok(read
        .filter_map(|read| read.map_err(|error| tracing::warn!(%error, "left out of the list")).ok())
        .collect())
}

/// Where the workspace `id` stands.
pub(super) async fn lineage(database: &Database, id: WorkspaceId) -> Result<Option<Lineage>, DirectoryError> {
    let id = *id.as_uuid();
    let ask = database.ask(move |connection| {
        Box::pin(async move { query_as(LINEAGE).bind(id).fetch_optional(connection).await })
    });
    let row: Option<(Option<Uuid>,)> = ask.await?;
    Ok(row.map(|(parent,)| Lineage { parent: parent.map(Into::into) }))
}

/// Whether workspaces can be looked up now.
pub(super) async fn check(database: &Database) -> Result<(), DirectoryError> {
    let ask = database.ask(|connection| {
        Box::pin(async move { query_as::<_, Row>(CHECK).fetch_optional(connection).await })
    });
    Ok(ask.await.map(drop)?)
}

/// The workspace that `row` is.
fn workspace(row: Row, instance: &InstanceDefaults) -> Result<Workspace, InvalidInstance> {
    let (id, name, status, runtime, parent, instance_id) = row;
    let id = WorkspaceId::from(id);
    let target: Target = match instance_id.filter(|text| !text.is_empty()) {
        None => local::target(id, &name).into(),
        Some(text) => match text.parse() {
            Ok(found) => instance.target(found).into(),
            Err(_) => {
                return Err(InvalidInstance {
                    workspace: id,
                    text: text.chars().take(MAX_EXCERPT).collect(),
                });
            }
        },
    };
    let name: String = name.chars().take(Workspace::MAX_NAME_LEN).collect();
    let mut workspace = Workspace::new(id, name, target).with_status(read_status(status.as_deref()));
    workspace.runtime = runtime;
    workspace.parent = parent.map(Into::into);
    Ok(workspace)
}

/// The status that `text` is. A word that we do not know keeps nobody out; a removed one does in any spelling.
fn read_status(text: Option<&str>) -> Status {
    let word = text.unwrap_or_default().trim().to_ascii_lowercase();
    let word: StrDeserializer<'_, ValueError> = word.as_str().into_deserializer();
    Status::deserialize(word).unwrap_or(Status::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: Option<&str>, instance: Option<&str>) -> Row {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        (Uuid::from_u128(1), "Lead One".into(), owned(status), None, None, owned(instance))
    }

    fn read(row: Row) -> Result<Workspace, InvalidInstance> {
        workspace(row, &InstanceDefaults::default())
    }

    #[test]
    fn a_status_is_read_for_what_it_is() {
        for (text, status) in [
            (Some("online"), Status::Online),
            (Some("hibernated"), Status::Hibernated),
            (Some("removed"), Status::Removed),
            (Some(" REMOVED\n"), Status::Removed),
            (Some("frozen"), Status::Unknown),
            (Some("unknown"), Status::Unknown),
            (Some(""), Status::Unknown),
            (None, Status::Unknown),
        ] {
            assert_eq!(read(row(text, None)).unwrap().status, status, "{text:?}");
        }
    }

    #[test]
    fn only_a_row_without_an_instance_is_a_local_workspace() {
        for nothing in [None, Some("")] {
            let read = read(row(None, nothing)).unwrap();
            let Target::Local(local) = read.target else { panic!("{nothing:?}: an instance") };
            assert_eq!(local.candidates.last().unwrap().as_str(), "lead-one");
        }
        let remote = read(row(None, Some("i-0123456789abcdef0"))).unwrap();
        assert_eq!(remote.target.instance().unwrap().os_user.as_str(), "ubuntu");
        for none in [" ", "i-", "i-0123 ", "mi-0123456789abcdef0", "i-1\nx", &"i".repeat(1000)] {
            let error = read(row(None, Some(none))).expect_err(none);
            assert!(error.to_string().len() < 300, "{error}");
        }
    }

    #[test]
    fn a_name_is_cut_where_the_files_are() {
        let mut long = row(None, None);
        long.1 = "\u{e9}".repeat(Workspace::MAX_NAME_LEN + 1);
        assert_eq!(read(long).unwrap().name.chars().count(), Workspace::MAX_NAME_LEN);
    }
}
