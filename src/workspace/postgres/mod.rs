//! The directory in the platform's own database, PostgreSQL.
//!
//! The schema is the platform's, from migration 038 on, and is never changed here. What it has decides which version of
//! the platform's rules applies. Three tables are read. Two things are written, both asynchronously and best effort: when
//! a token was last used, and the rows of `activity_logs`. docs/postgres.md has the privileges that this takes.
//!
//! A database that is down, slow or wrong is a [`DirectoryError`] within seconds, and never reads as "not found". It may
//! be down when the gateway starts, and go and come back while it runs.

mod activity;
mod config;
mod containers;
mod database;
mod error;
mod known;
mod later;
mod organization;
mod schema;
mod token;
mod url;
mod workspaces;

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    Activity, BearerToken, Directory, DirectoryError, Health, Lineage, PlatformVersion, Principal, Workspace,
    WorkspaceId,
};
use activity::Activities;
use database::Database;
use later::Later;
use token::Used;

pub use config::{Config, InstanceDefaults};
pub use url::{DatabaseUrl, InvalidDatabaseUrl};

/// How many activities may wait to be written. More are lost, and counted.
const MAX_ACTIVITIES: usize = 256;
/// How many uses of tokens may wait to be written. More are lost: the next use writes the same.
const MAX_USES: usize = 64;

/// The directory in the platform's database.
pub struct PostgresDirectory {
    database: Arc<Database>,
    instance: InstanceDefaults,
    activities: Option<Later<Activity>>,
    uses: Option<Later<Used>>,
}

impl PostgresDirectory {
    /// The directory in `config`'s database, which is not dialled before it is asked something.
    ///
    /// # Panics
    /// Outside a Tokio runtime, which carries the connections.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let database = Arc::new(Database::new(&config));
        let activities = config.note_activity.then(|| {
            let activities = Activities::new(Arc::clone(&database));
            Later::start("activities", MAX_ACTIVITIES, move |activity| activities.clone().write(activity))
        });
        let uses = config.note_last_used.then(|| {
            let database = Arc::clone(&database);
            Later::start("uses of tokens", MAX_USES, move |used: Used| used.write(Arc::clone(&database)))
        });
        Self { database, instance: config.instance, activities, uses }
    }
}

impl fmt::Debug for PostgresDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresDirectory")
            .field("database", &self.database.place())
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

impl Directory for PostgresDirectory {
    fn authenticate<'a>(
        &'a self,
        token: &'a BearerToken,
    ) -> BoxFuture<'a, Result<Option<Principal>, DirectoryError>> {
        Box::pin(async move {
            let Some((principal, used)) = token::find(&self.database, token.digest()).await? else {
                return Ok(None);
            };
            if let Some(uses) = &self.uses {
                uses.add(used);
            }
            Ok(Some(principal))
        })
    }

    fn recheck<'a>(
        &'a self,
        token: &'a BearerToken,
    ) -> BoxFuture<'a, Result<Option<Principal>, DirectoryError>> {
        Box::pin(async move {
            let found = token::find(&self.database, token.digest()).await?;
            Ok(found.map(|(principal, _)| principal))
        })
    }

    fn find(&self, id: WorkspaceId) -> BoxFuture<'_, Result<Option<Workspace>, DirectoryError>> {
        Box::pin(workspaces::find(&self.database, &self.instance, id))
    }

    fn list<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Vec<Workspace>, DirectoryError>> {
        Box::pin(workspaces::list(&self.database, &self.instance, &principal.access))
    }

    fn lineage(&self, id: WorkspaceId) -> BoxFuture<'_, Result<Option<Lineage>, DirectoryError>> {
        Box::pin(workspaces::lineage(&self.database, id))
    }

    fn platform_version(&self) -> PlatformVersion {
        self.database.platform_version()
    }

    fn check(&self) -> BoxFuture<'_, Result<Health, DirectoryError>> {
        Box::pin(async move {
            workspaces::check(&self.database).await?;
            token::check(&self.database).await?;
            let schema = self.database.schema().await?;
            let warnings = schema.warnings.iter().map(schema::Warning::code).collect();
            Ok(Health { platform: Some(schema.version), warnings })
        })
    }

    fn note(&self, activity: Activity) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(activities) = &self.activities {
                activities.add(activity);
            }
        })
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(activities) = &self.activities {
                activities.settle().await;
            }
            if let Some(uses) = &self.uses {
                uses.settle().await;
            }
        })
    }
}
