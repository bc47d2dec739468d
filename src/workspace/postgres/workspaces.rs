//! The platform's table `workspaces`.

use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StrDeserializer};
use sqlx::{PgConnection, query_as};
use uuid::Uuid;

use super::super::{Access, DirectoryError, Lineage, PlatformVersion, Status, Workspace, WorkspaceId, local};
use super::InstanceDefaults;
use super::containers::{Claims, Row};
use super::database::Database;
use super::error::InvalidInstance;
use crate::model::{ContainerName, LocalTarget, Target};

/// The most workspaces that are listed, the first ones by name.
const MAX_LISTED: i64 = 1000;
/// The most characters of an invalid `instance_id` that are logged.
const MAX_EXCERPT: usize = 64;
/// Precedes the id of an instance. August's platform takes any other value for the name of a container.
const INSTANCE_PREFIX: &str = "i-";

/// The columns that are read. The status is a text before migration 043 and an enum from then on.
macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, name, status::text, runtime, parent_id, instance_id FROM workspaces ", $rest)
    };
}

/// Fails unless the table is there and every column may be read.
const CHECK: &str = select!("LIMIT 0");
const FIND: &str = select!("WHERE id = $1");
const LIST_ALL: &str = select!("WHERE status::text <> 'removed' ORDER BY name, id LIMIT $1");
const LIST_SOME: &str =
    select!("WHERE id = ANY($2) AND status::text <> 'removed' ORDER BY name, id LIMIT $1");
const LINEAGE: &str = "SELECT parent_id FROM workspaces WHERE id = $1";

type Columns = (Uuid, String, Option<String>, Option<String>, Option<Uuid>, Option<String>);

/// Returns the workspace `id`.
pub(super) async fn find(
    database: &Database,
    instance: &InstanceDefaults,
    id: WorkspaceId,
) -> Result<Option<Workspace>, DirectoryError> {
    let (id, instance) = (*id.as_uuid(), instance.clone());
    let ask = database.ask_by_schema(move |schema, connection| {
        Box::pin(async move {
            let columns: Option<Columns> = query_as(FIND).bind(id).fetch_optional(&mut *connection).await?;
            settle(columns, &instance, schema.version, connection).await
        })
    });
    ask.await?.pop().transpose().map_err(DirectoryError::unusable)
}

/// Returns the first [`MAX_LISTED`] workspaces within `access`, by name. One whose row is invalid is left out, with a
/// warning.
pub(super) async fn list(
    database: &Database,
    instance: &InstanceDefaults,
    access: &Access,
) -> Result<Vec<Workspace>, DirectoryError> {
    let some: Option<Vec<Uuid>> = match access {
        Access::All => None,
        Access::Only(ids) => Some(ids.iter().map(|id| *id.as_uuid()).collect()),
    };
    let instance = instance.clone();
    let ask = database.ask_by_schema(move |schema, connection| {
        Box::pin(async move {
            let query = match some {
                None => query_as(LIST_ALL).bind(MAX_LISTED),
                Some(ids) => query_as(LIST_SOME).bind(MAX_LISTED).bind(ids),
            };
            let columns: Vec<Columns> = query.fetch_all(&mut *connection).await?;
            settle(columns, &instance, schema.version, connection).await
        })
    });
    let read = ask.await?.into_iter();
    Ok(read
        .filter_map(|read| read.map_err(|error| tracing::warn!(%error, "left out of the list")).ok())
        .collect())
}

/// Returns the workspaces of these rows, each with the containers that only it claims.
async fn settle(
    columns: impl IntoIterator<Item = Columns>,
    instance: &InstanceDefaults,
    version: PlatformVersion,
    connection: &mut PgConnection,
) -> sqlx::Result<Vec<Result<Workspace, InvalidInstance>>> {
    let read: Vec<_> = columns.into_iter().map(|columns| read(columns, instance, version)).collect();
    let claims = Claims::of(read.iter().filter_map(|read| read.as_ref().ok()), connection).await?;
    Ok(read.into_iter().map(|read| claims.settle(read?)).collect())
}

/// Returns the parent of the workspace `id`.
pub(super) async fn lineage(database: &Database, id: WorkspaceId) -> Result<Option<Lineage>, DirectoryError> {
    let id = *id.as_uuid();
    // The schema is read as well: the caller goes on to ask for the platform's version.
    let ask = database.ask_by_schema(move |_, connection| {
        Box::pin(async move { query_as(LINEAGE).bind(id).fetch_optional(connection).await })
    });
    let row: Option<(Option<Uuid>,)> = ask.await?;
    Ok(row.map(|(parent,)| Lineage { parent: parent.map(Into::into) }))
}

/// Fails unless workspaces can be looked up now.
pub(super) async fn check(database: &Database) -> Result<(), DirectoryError> {
    let ask = database.ask(|connection| {
        Box::pin(async move { query_as::<_, Columns>(CHECK).fetch_optional(connection).await })
    });
    Ok(ask.await.map(drop)?)
}

/// Reads one row.
fn read(
    columns: Columns,
    instance: &InstanceDefaults,
    version: PlatformVersion,
) -> Result<Row, InvalidInstance> {
    let (id, name, status, runtime, parent, instance_id) = columns;
    let id = WorkspaceId::from(id);
    let instance_id = instance_id.filter(|text| !text.is_empty());
    let target: Target = match &instance_id {
        None => local::target(id, &name).into(),
        Some(text) => named(text, instance, version).ok_or_else(|| InvalidInstance::Malformed {
            workspace: id,
            text: text.chars().take(MAX_EXCERPT).collect(),
        })?,
    };
    let name: String = name.chars().take(Workspace::MAX_NAME_LEN).collect();
    let mut workspace = Workspace::new(id, name, target).with_status(read_status(status.as_deref()));
    workspace.runtime = runtime;
    workspace.parent = parent.map(Into::into);
    Ok(Row { workspace, is_named: instance_id.is_some() })
}

/// Returns what an `instance_id` names.
fn named(text: &str, instance: &InstanceDefaults, version: PlatformVersion) -> Option<Target> {
    if text.starts_with(INSTANCE_PREFIX) || version == PlatformVersion::April2026 {
        return Some(instance.target(text.parse().ok()?).into());
    }
    let container: ContainerName = text.parse().ok()?;
    Some(LocalTarget::new(vec![container]).into())
}

/// Parses a status. An unknown word prevents nothing; `removed` does in any spelling.
fn read_status(text: Option<&str>) -> Status {
    let word = text.unwrap_or_default().trim().to_ascii_lowercase();
    let word: StrDeserializer<'_, ValueError> = word.as_str().into_deserializer();
    Status::deserialize(word).unwrap_or(Status::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    use PlatformVersion::{April2026, August2026};

    fn columns(status: Option<&str>, instance: Option<&str>) -> Columns {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        (Uuid::from_u128(1), "Lead One".into(), owned(status), None, None, owned(instance))
    }

    fn read_in(version: PlatformVersion, columns: Columns) -> Result<Workspace, InvalidInstance> {
        read(columns, &InstanceDefaults::default(), version).map(|row| row.workspace)
    }

    #[test]
    fn status_words() {
        for (text, status) in [
            (Some("online"), Status::Online),
            (Some("hibernated"), Status::Hibernated),
            (Some("hibernating"), Status::Hibernating),
            (Some("awaiting_agent"), Status::AwaitingAgent),
            (Some("removed"), Status::Removed),
            (Some(" REMOVED\n"), Status::Removed),
            (Some("frozen"), Status::Unknown),
            (Some("unknown"), Status::Unknown),
            (Some(""), Status::Unknown),
            (None, Status::Unknown),
        ] {
            assert_eq!(read_in(August2026, columns(text, None)).unwrap().status, status, "{text:?}");
        }
    }

    #[test]
    fn empty_instance_id_is_a_local_workspace() {
        for version in [April2026, August2026] {
            for empty in [None, Some("")] {
                let read = read_in(version, columns(None, empty)).unwrap();
                let Target::Local(local) = read.target else { panic!("{empty:?}: an instance") };
                assert_eq!(local.candidates.last().unwrap().as_str(), "lead-one");
            }
            let remote = read_in(version, columns(None, Some("i-0123456789abcdef0"))).unwrap();
            assert_eq!(remote.target.instance().unwrap().os_user.as_str(), "ubuntu");
        }
    }

    #[test]
    fn malformed_instance_id_opens_nothing() {
        for version in [April2026, August2026] {
            for bad in [" ", "i-", "i-0123 ", "i-x/../y", "i-1\nx", "-x", "a/b", &"i".repeat(1000)] {
                let error = read_in(version, columns(None, Some(bad))).expect_err(bad);
                assert!(error.to_string().len() < 300, "{error}");
            }
        }
    }

    #[test]
    fn container_name_in_instance_id() {
        for name in ["mol-ws-test5-a9f3044fa3f2", "pending", "mi-0123456789abcdef0", "I-1"] {
            let read = read_in(August2026, columns(None, Some(name))).unwrap();
            let Target::Local(local) = read.target else { panic!("{name}: an instance") };
            let candidates: Vec<_> = local.candidates.iter().map(ContainerName::as_str).collect();
            assert_eq!(candidates, [name]);
            assert!(read_in(April2026, columns(None, Some(name))).is_err(), "{name}");
        }
    }

    #[test]
    fn long_name_is_cut() {
        let mut long = columns(None, None);
        long.1 = "\u{e9}".repeat(Workspace::MAX_NAME_LEN + 1);
        let read = read_in(August2026, long).unwrap();
        assert_eq!(read.name.chars().count(), Workspace::MAX_NAME_LEN);
    }
}
