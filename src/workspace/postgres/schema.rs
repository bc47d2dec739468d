//! The version of the platform's schema, and how it differs from the checked ones.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sqlx::{PgConnection, query_as, query_scalar};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::PlatformVersion;
use super::known::{TABLES, april_migrations, checked_migrations};

/// How long a schema is used before it is read again: the platform may migrate its database at any time.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// How many unknown columns a warning names.
const MAX_NAMED: usize = 10;

/// The end of a token, in either table of tokens.
const EXPIRES_AT: &str = "expires_at";

/// Reads the columns of the tables that decide who gets in. `pg_attribute` shows columns that the role may not read;
/// `information_schema` would hide them, and with them a restriction.
const COLUMNS: &str = "SELECT c.relname::text, a.attname::text \
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
     WHERE a.attrelid IN (to_regclass('workspaces'), to_regclass('workspace_auth_tokens'), to_regclass('org_api_tokens')) \
     AND a.attnum > 0 AND NOT a.attisdropped";

/// Whether the role may read the names of the migrations; NULL without such a table.
const MAY_READ_MIGRATIONS: &str = "SELECT CASE WHEN EXISTS ( \
         SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass('schema_migrations') \
         AND attname = 'filename' AND NOT attisdropped) \
     THEN has_column_privilege(to_regclass('schema_migrations')::oid, 'filename', 'SELECT') END";

/// The newest migration that is not in `$1`, and whether any is not in `$2`.
const MIGRATIONS: &str = "SELECT max(filename COLLATE \"C\") FILTER (WHERE NOT filename = ANY($1)), \
     coalesce(bool_or(NOT filename = ANY($2)), false) \
     FROM schema_migrations WHERE filename NOT LIKE '%.down.sql'";

/// What the queries depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Schema {
    pub(super) version: PlatformVersion,
    /// Whether organization tokens have an `expires_at`.
    pub(super) organization_tokens_expire: bool,
    /// Whether workspace tokens have an `expires_at`. No checked schema has it; a later one may.
    pub(super) workspace_tokens_expire: bool,
    /// How the schema differs from the checked ones.
    pub(super) warnings: Vec<Warning>,
}

/// A difference to the checked schemas. A restriction that this version does not know may be in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Warning {
    /// A migration that was not checked, the newest one.
    NewerSchema(String),
    /// Columns that were not checked, as `table.column`.
    UnknownColumns(Vec<String>),
    /// The migrations cannot be compared.
    UnreadableMigrations,
}

impl Warning {
    /// The name in `/ready`.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NewerSchema(_) => "newer-schema",
            Self::UnknownColumns(_) => "unknown-columns",
            Self::UnreadableMigrations => "unreadable-migrations",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerSchema(newest) => {
                write!(
                    f,
                    "the platform's database has migration {newest:?}, which this version was not checked against"
                )
            }
            Self::UnknownColumns(columns) => write!(
                f,
                "the platform's database has columns that this version does not know and does not enforce: {}",
                columns.join(", ")
            ),
            Self::UnreadableMigrations => f.write_str(
                "the migrations of the platform's database cannot be compared with the checked ones: \
                 grant SELECT on schema_migrations",
            ),
        }
    }
}

impl Schema {
    /// Reads the schema.
    pub(super) async fn read(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let columns: Vec<(String, String)> = query_as(COLUMNS).fetch_all(&mut *connection).await?;
        let may_read: Option<bool> = query_scalar(MAY_READ_MIGRATIONS).fetch_one(&mut *connection).await?;
        let migrations = if may_read == Some(true) {
            let query = query_as(MIGRATIONS).bind(checked_migrations()).bind(april_migrations());
            Some(query.fetch_one(connection).await?)
        } else {
            None
        };
        Ok(Self::of(&columns, migrations))
    }

    /// The schema with these columns; `migrations` are the newest unknown one, and whether any is later than April.
    fn of(columns: &[(String, String)], migrations: Option<(Option<String>, bool)>) -> Self {
        let has = |table: &str, column: &str| columns.iter().any(|(t, c)| t == table && c == column);
        let mut unknown = Vec::new();
        for (table, column) in columns {
            let known = TABLES.iter().find(|known| known.name == table);
            let is_known = known.is_some_and(|known| {
                known.april.contains(&column.as_str()) || known.august.contains(&column.as_str())
            });
            // This one is enforced wherever it is.
            if !is_known && column != EXPIRES_AT {
                unknown.push(format!("{table}.{column}"));
            }
        }
        unknown.sort();
        unknown.truncate(MAX_NAMED);
        let has_august_column =
            TABLES.iter().any(|table| table.august.iter().any(|column| has(table.name, column)));
        let is_later = migrations.as_ref().is_some_and(|(_, is_later)| *is_later);
        let mut warnings = Vec::new();
        match migrations {
            Some((Some(newest), _)) => warnings.push(Warning::NewerSchema(newest)),
            Some((None, _)) => {}
            None => warnings.push(Warning::UnreadableMigrations),
        }
        if !unknown.is_empty() {
            warnings.push(Warning::UnknownColumns(unknown));
        }
        Self {
            // Any sign of a later schema than April's selects the stricter rules.
            version: if has_august_column || is_later {
                PlatformVersion::August2026
            } else {
                PlatformVersion::April2026
            },
            organization_tokens_expire: has("org_api_tokens", EXPIRES_AT),
            workspace_tokens_expire: has("workspace_auth_tokens", EXPIRES_AT),
            warnings,
        }
    }
}

/// The schema that was read last.
pub(super) struct SchemaCache {
    current: RwLock<Option<(Instant, Arc<Schema>)>>,
    /// The schema before that, for what cannot wait and for reporting changes.
    last: RwLock<Option<Arc<Schema>>>,
    /// Held by the one question that reads an old schema again, while others go on with it.
    refresh: Arc<Semaphore>,
}

/// What a question is asked with.
pub(super) enum Lookup {
    Known(Arc<Schema>),
    /// Read it first. The permit is there if others go on with an old schema meanwhile.
    Read(Option<OwnedSemaphorePermit>),
}

impl SchemaCache {
    pub(super) fn new() -> Self {
        Self { current: RwLock::new(None), last: RwLock::new(None), refresh: Arc::new(Semaphore::new(1)) }
    }

    /// Returns the schema, or that it is to be read first.
    pub(super) fn look_up(&self, now: Instant) -> Lookup {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        match current {
            None => Lookup::Read(None),
            Some((read_at, schema)) if now.saturating_duration_since(read_at) < REFRESH_INTERVAL => {
                Lookup::Known(schema)
            }
            Some((_, schema)) => match Arc::clone(&self.refresh).try_acquire_owned() {
                Ok(permit) => Lookup::Read(Some(permit)),
                Err(_) => Lookup::Known(schema),
            },
        }
    }

    /// Keeps `schema`, and logs how it differs from the one before.
    pub(super) fn store(&self, schema: Schema, now: Instant) -> Arc<Schema> {
        let schema = Arc::new(schema);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&schema)));
        let before = self.last.write().unwrap_or_else(PoisonError::into_inner).replace(Arc::clone(&schema));
        if before.as_deref() != Some(&schema) {
            tracing::info!(platform = schema.version.as_str(), "the platform of the database");
            for warning in &schema.warnings {
                tracing::warn!("{warning}");
            }
        }
        schema
    }

    /// Has the schema read again before the next question.
    pub(super) fn invalidate(&self) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns the version as far as it is known; August's rules apply before that.
    pub(super) fn version(&self) -> PlatformVersion {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|schema| schema.version).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(of: impl Fn(&super::super::known::Table) -> Vec<&'static str>) -> Vec<(String, String)> {
        let pairs = TABLES.iter().flat_map(|table| of(table).into_iter().map(|c| (table.name, c)));
        pairs.map(|(table, column)| (table.to_owned(), column.to_owned())).collect()
    }

    fn april() -> Vec<(String, String)> {
        columns(|table| table.april.to_vec())
    }

    fn august() -> Vec<(String, String)> {
        columns(|table| [table.april, table.august].concat())
    }

    #[test]
    fn april_has_no_expiry() {
        let schema = Schema::of(&april(), Some((None, false)));
        let version = PlatformVersion::April2026;
        assert_eq!(schema, Schema { version, ..Schema::default() });
    }

    #[test]
    fn august_has_expiry() {
        let schema = Schema::of(&august(), Some((None, true)));
        let version = PlatformVersion::August2026;
        assert_eq!(schema, Schema { version, organization_tokens_expire: true, ..Schema::default() });
    }

    #[test]
    fn any_later_sign_selects_august() {
        for table in &TABLES {
            for column in table.august {
                let mut columns = april();
                columns.push((table.name.into(), (*column).into()));
                let schema = Schema::of(&columns, None);
                assert_eq!(schema.version, PlatformVersion::August2026, "{column}");
            }
        }
        assert_eq!(Schema::of(&april(), Some((None, true))).version, PlatformVersion::August2026);
    }

    #[test]
    fn unknown_schema_is_a_warning() {
        let mut columns = august();
        columns.push(("org_api_tokens".into(), "allowed_ips".into()));
        columns.push(("workspace_auth_tokens".into(), EXPIRES_AT.into()));
        let schema = Schema::of(&columns, Some((Some("20990101000000_x.up.sql".into()), true)));
        assert!(schema.workspace_tokens_expire);
        let codes: Vec<_> = schema.warnings.iter().map(Warning::code).collect();
        assert_eq!(codes, ["newer-schema", "unknown-columns"]);
        let text = schema.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(
            text.contains("20990101000000_x.up.sql") && text.contains("org_api_tokens.allowed_ips"),
            "{text}"
        );
        assert!(!text.contains(EXPIRES_AT), "{text}");
        assert_eq!(Schema::of(&august(), None).warnings, [Warning::UnreadableMigrations]);
    }

    #[test]
    fn old_schema_is_read_by_one() {
        let cache = SchemaCache::new();
        let now = Instant::now();
        assert!(matches!(cache.look_up(now), Lookup::Read(None)));
        assert_eq!(cache.version(), PlatformVersion::August2026);
        cache.store(Schema { version: PlatformVersion::April2026, ..Schema::default() }, now);
        assert_eq!(cache.version(), PlatformVersion::April2026);
        assert!(matches!(cache.look_up(now), Lookup::Known(_)));
        let later = now + REFRESH_INTERVAL;
        let first = cache.look_up(later);
        assert!(matches!(first, Lookup::Read(Some(_))));
        assert!(matches!(cache.look_up(later), Lookup::Known(_)));
        drop(first);
        assert!(matches!(cache.look_up(later), Lookup::Read(Some(_))));
        cache.invalidate();
        assert!(matches!(cache.look_up(now), Lookup::Read(None)));
        assert_eq!(cache.version(), PlatformVersion::April2026, "the last one that was read");
    }
}
