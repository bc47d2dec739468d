//! Connections to the database, few and bounded, and questions on them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::PlatformVersion;
use super::Config;
use super::error::{Cause, Error};
use super::schema::{Lookup, Schema, SchemaCache};

/// What the database sees as the name of its client, unless the URL gives another.
const APPLICATION_NAME: &str = "eice";
/// How long a connection may be idle: the fewer, the fewer a fail-over leaves dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long finding out may take why there was no connection.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long giving a connection back may take.
const RETURN_TIMEOUT: Duration = Duration::from_secs(1);
/// What a query gets beyond the time after which the server itself gives it up.
const QUERY_GRACE: Duration = Duration::from_millis(500);

/// A pool of connections to one database.
pub(super) struct Database {
    pool: PgPool,
    options: PgConnectOptions,
    place: String,
    acquire_timeout: Duration,
    query_timeout: Duration,
    /// Only one at a time finds out why there is no connection.
    probe: Semaphore,
    schema: Arc<SchemaCache>,
}

impl Database {
    /// The database of `config`; nothing is dialled yet.
    pub(super) fn new(config: &Config) -> Self {
        let mut options = config.url.options().clone();
        if options.get_application_name().is_none() {
            options = options.application_name(APPLICATION_NAME);
        }
        let options = options.options([("statement_timeout", config.query_timeout.as_millis())]);
        // Each connection is tested before use (the pool's default), so that a restart of the database fails no question.
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(config.acquire_timeout)
            .idle_timeout(IDLE_TIMEOUT)
            .connect_lazy_with(options.clone());
        Self {
            pool,
            options,
            place: config.url.place(),
            acquire_timeout: config.acquire_timeout,
            query_timeout: config.query_timeout + QUERY_GRACE,
            probe: Semaphore::new(1),
            schema: Arc::new(SchemaCache::new()),
        }
    }

    /// Host, port and database.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Asks `question` on a connection of its own.
    pub(super) async fn ask<T, Q>(&self, question: Q) -> Result<T, Error>
    where
        Q: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>>,
    {
        let mut lease = Lease::default();
        let connection = lease.0.insert(self.connect().await?);
        match timeout(self.query_timeout, question(connection)).await {
            Ok(answer) => {
                if matches!(answer, Ok(_) | Err(sqlx::Error::Database(_))) {
                    lease.end();
                }
                answer.map_err(|error| Error::Query { place: self.place.clone(), source: error.into() })
            }
            Err(_) => Err(Error::Silent { place: self.place.clone(), waited: self.query_timeout }),
        }
    }

    /// Asks `question` that depends on the schema, which is read on the same connection first unless it is known. After a
    /// failure it is read again: the platform may have migrated meanwhile.
    pub(super) async fn ask_by_schema<T, Q>(&self, question: Q) -> Result<T, Error>
    where
        T: Send + 'static,
        Q: for<'c> FnOnce(Arc<Schema>, &'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>>
            + Send
            + 'static,
    {
        let (cache, lookup) = (Arc::clone(&self.schema), self.schema.look_up(Instant::now()));
        let asked = self.ask(move |connection| {
            Box::pin(async move {
                let schema = match lookup {
                    Lookup::Known(schema) => schema,
                    Lookup::Read(_permit) => cache.store(Schema::read(connection).await?, Instant::now()),
                };
                question(schema, connection).await
            })
        });
        let answer = asked.await;
        if answer.is_err() {
            self.schema.invalidate();
        }
        answer
    }

    /// Returns the schema, at most as old as the cache keeps one.
    pub(super) async fn schema(&self) -> Result<Arc<Schema>, Error> {
        self.ask_by_schema(|schema, _| Box::pin(std::future::ready(Ok(schema)))).await
    }

    /// Returns the platform's version as far as it is known.
    pub(super) fn platform_version(&self) -> PlatformVersion {
        self.schema.version()
    }

    async fn connect(&self) -> Result<PoolConnection<Postgres>, Error> {
        match self.pool.acquire().await {
            Ok(connection) => Ok(connection),
            Err(sqlx::Error::PoolTimedOut) => Err(self.why_none().await),
            Err(error) => Err(self.unreachable(error)),
        }
    }

    /// Why there was no connection in time. The pool tries on while it is refused, and keeps for itself why.
    async fn why_none(&self) -> Error {
        let busy =
            Error::Busy { max: self.pool.options().get_max_connections(), waited: self.acquire_timeout };
        let Ok(_permit) = self.probe.try_acquire() else { return busy };
        match timeout(PROBE_TIMEOUT, PgConnection::connect_with(&self.options)).await {
            Ok(Ok(connection)) => {
                let _ = timeout(PROBE_TIMEOUT, connection.close()).await;
                busy
            }
            Ok(Err(error)) => self.unreachable(error),
            Err(_) => Error::Silent { place: self.place.clone(), waited: self.acquire_timeout },
        }
    }

    fn unreachable(&self, error: impl Into<Cause>) -> Error {
        Error::Connect { place: self.place.clone(), source: error.into() }
    }
}

/// A connection that returns to the pool only after its last question was answered. One that was abandoned, by a timeout or
/// a dropped future, is closed: the pool would wait for its answer as long as the network is silent, with one connection
/// less.
#[derive(Default)]
struct Lease(Option<PoolConnection<Postgres>>);

impl Lease {
    /// Returns the connection. The pool tests it once more, which has no time limit when dropping the connection does it.
    fn end(mut self) {
        if let Some(mut connection) = self.0.take() {
            tokio::spawn(timeout(RETURN_TIMEOUT, connection.return_to_pool()));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}
