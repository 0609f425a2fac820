//! The service's database: connections for transactions, their classification of trouble, the checks before the start.

mod migrate;
mod statement;
mod tx;

pub(crate) use migrate::grant;
pub use migrate::migrate;
pub(crate) use statement::Answer;
use statement::Bracket;
pub use statement::Statement;
pub use tx::Tx;

use crate::faults::Fault;
use crate::ids::UnitId;
use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, QueueMode, RecyclingMethod, Runtime, Status,
};
use std::future::Future;
use std::time::Duration;
use tokio_postgres::error::SqlState;
use tokio_postgres::{NoTls, Row};

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A statement failed.
    #[error("database: {}", crate::error::chain(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// No connection was to be had.
    #[error("database: no connection: {}", crate::error::chain(.0))]
    Pool(#[from] PoolError),
    /// The URL is none.
    #[error("the database URL cannot be used: {0}")]
    Url(String),
    /// A migration failed.
    #[error("the migration of the database failed: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A read or a connection of sqlx failed.
    #[error("database: {0}")]
    Sqlx(#[from] sqlx::Error),
    /// The server may lose what it has committed.
    #[error("refusing to start: the PostgreSQL setting {0} is off, so a commit could be lost after a crash")]
    NotDurable(String),
    /// No answer in time: the outcome is unknown, the connection is given up.
    #[error("database: no answer within {} s", ANSWER_LIMIT.as_secs())]
    Silent,
    /// A fault was injected.
    #[error("database: {0}")]
    Injected(#[from] Fault),
    /// A statement of the engine did not hit what it had to hit.
    #[error("{0}")]
    Broken(String),
}

/// What a failed statement means for the work it belonged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The connection or the server is gone: says nothing about the message.
    Gone,
    /// Serialisation failure, deadlock or lock timeout: passes by itself.
    Passing,
    /// Anything else.
    Own,
}

/// Finds the database's error in a chain of causes and tells what it means.
#[must_use]
pub fn trouble(error: &(dyn std::error::Error + 'static)) -> Trouble {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<PoolError>().is_some() || matches!(error.downcast_ref(), Some(DbError::Silent)) {
            return Trouble::Gone;
        }
        if let Some(fault) = error.downcast_ref::<Fault>() {
            return if *fault == Fault::Dropped { Trouble::Gone } else { Trouble::Own };
        }
        if let Some(error) = error.downcast_ref::<tokio_postgres::Error>() {
            return of_postgres(error);
        }
        cause = error.source();
    }
    Trouble::Own
}

fn of_postgres(error: &tokio_postgres::Error) -> Trouble {
    let Some(state) = error.code() else {
        // No SQL state: either the answer never came, or the statement's own values are at fault.
        let source = std::error::Error::source(error);
        let io = source.is_some_and(|source| source.is::<std::io::Error>());
        let silent = error.to_string() == "timeout waiting for server";
        return if error.is_closed() || io || silent { Trouble::Gone } else { Trouble::Own };
    };
    let passing = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE];
    if passing.contains(state) {
        return Trouble::Passing;
    }
    if is_gone(state.code()) { Trouble::Gone } else { Trouble::Own }
}

/// Does this SQLSTATE mean that the connection or the server is gone?
pub(crate) fn is_gone(sql_state: &str) -> bool {
    // 08: connection, 53: out of resources, 57: operator intervention (but not a statement's own timeout), 58: system.
    let class = sql_state.get(..2).unwrap_or_default();
    let gone = matches!(class, "08" | "53" | "57" | "58") && sql_state != SqlState::QUERY_CANCELED.code();
    // 25P03: the server ended an idle transaction, and with it the connection.
    gone || sql_state == "25P03"
}

/// Longest wait for an answer of the database, or for all answers to what was sent together: longer than the server's own
/// limit for a statement. A server or proxy that takes what is sent and never answers must not hold a queue for ever; a
/// series that waits for locks for so long, statement after statement, is done again.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Statements on guard rows name the partition of their day, and what a connection has prepared it keeps: so it is replaced
/// before that adds up.
const CONNECTION_AGE_LIMIT: Duration = Duration::from_secs(86_400);

/// Awaits the database, but not for ever.
async fn answered<T>(answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, DbError> {
    match tokio::time::timeout(ANSWER_LIMIT, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(DbError::Silent),
    }
}

/// Gives the connection back to the pool, unless an answer may still come on it.
fn kept<T>(client: Object, answer: Result<T, DbError>) -> Result<T, DbError> {
    if matches!(answer, Err(DbError::Silent)) {
        drop(Object::take(client));
    }
    answer
}

/// The pool behind all transactions of a service. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
}

impl Db {
    /// Prepares a pool; connects only when used.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(url: &str, connections: usize) -> Result<Self, DbError> {
        let mut config: tokio_postgres::Config =
            url.parse().map_err(|e: tokio_postgres::Error| DbError::Url(crate::error::chain(&e)))?;
        // Every wait is bounded, also by the server: a vanished client must not hold row locks. Plans are for tables
        // that grow from nothing: one cached while they were empty would scan them when they are full. They are made once
        // for each connection: with a partition for each day, making one takes longer than what it is for.
        config
            .options(
                "-c statement_timeout=15s -c lock_timeout=10s -c idle_in_transaction_session_timeout=30s \
                 -c default_transaction_isolation=read\\ committed -c default_transaction_deferrable=off -c jit=off \
                 -c plan_cache_mode=force_generic_plan \
                 -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off",
            )
            .connect_timeout(Duration::from_secs(5))
            .keepalives_idle(Duration::from_secs(10))
            .tcp_user_timeout(Duration::from_secs(15));
        let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let bound = Some(Duration::from_secs(10));
        let pool = Pool::builder(manager)
            .max_size(connections)
            // The connection that was used last: its server process has its plans, and its pages, still in the processor's caches.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(bound)
            .create_timeout(bound)
            .recycle_timeout(bound)
            .pre_recycle(Hook::sync_fn(|_, metrics| {
                let old = metrics.age() > CONNECTION_AGE_LIMIT;
                if old { Err(HookError::message("the connection is a day old")) } else { Ok(()) }
            }))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| DbError::Url(e.to_string()))?;
        Ok(Self { pool })
    }

    /// How many connections there are, and who waits for one.
    pub(crate) fn status(&self) -> Status {
        self.pool.status()
    }

    /// Begins a transaction (READ COMMITTED) that belongs to no unit of work.
    ///
    /// # Errors
    /// When no connection can be had in 10 s.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        Ok(self.begin_with(&[]).await?.0)
    }

    /// Begins the transaction of a unit of work.
    pub(crate) async fn begin_unit(&self, unit: UnitId) -> Result<Tx, DbError> {
        let named = Statement::new("select saga.begin_unit($1)").with(unit.as_uuid());
        Ok(self.begin_with(&[named]).await?.0)
    }

    /// Begins a transaction, and runs its first statements in the same round trip; returns what each of them came to.
    pub(crate) async fn begin_with(&self, first: &[Statement<'_>]) -> Result<(Tx, Vec<Answer>), DbError> {
        // A pooled connection may have died unnoticed; one that is new has not.
        for _ in 0..2 {
            let client = self.pool.get().await?;
            match Tx::begin(client, first).await {
                // Silence has taken its time already.
                Err(error) if trouble(&error) == Trouble::Gone && !matches!(error, DbError::Silent) => continue,
                begun => return begun,
            }
        }
        Tx::begin(self.pool.get().await?, first).await
    }

    /// One statement outside of any transaction, already with its values.
    pub(crate) async fn run(&self, statement: &Statement<'_>) -> Result<Vec<Row>, DbError> {
        let client = self.pool.get().await?;
        let rows = answered(statement::send(&client, &[statement], Bracket::None)).await;
        kept(client, rows.map(|answers| answers.into_iter().flat_map(|answer| answer.rows).collect()))
    }

    /// One statement outside of any transaction.
    ///
    /// # Errors
    /// As the statement's.
    pub async fn execute(
        &self,
        sql: &str,
        params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<u64, DbError> {
        let client = self.pool.get().await?;
        let hit = answered(async { client.execute(&client.prepare_cached(sql).await?, params).await }).await;
        kept(client, hit)
    }

    /// One query outside of any transaction.
    ///
    /// # Errors
    /// As the query's.
    pub async fn query(
        &self,
        sql: &str,
        params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<Row>, DbError> {
        let client = self.pool.get().await?;
        let rows = answered(async { client.query(&client.prepare_cached(sql).await?, params).await }).await;
        kept(client, rows)
    }

    /// Refuses a server that may forget what it has committed.
    ///
    /// # Errors
    /// [`DbError::NotDurable`], or what asking cost.
    pub async fn require_durability(&self) -> Result<(), DbError> {
        let off = "select name from pg_settings
                   where name in ('fsync', 'synchronous_commit', 'full_page_writes') and setting = 'off'";
        match self.query(off, &[]).await?.first() {
            Some(row) => Err(DbError::NotDurable(row.get(0))),
            None => Ok(()),
        }
    }
}

/// At most so many connections for single-statement reads, which sqlx checks at compile time. For those behind HTTP there is
/// [`Service::reads`](crate::Service::reads).
///
/// # Errors
/// When the URL is none.
pub fn reads(url: &str, connections: u32) -> Result<sqlx::PgPool, DbError> {
    let options = url.parse::<sqlx::postgres::PgConnectOptions>().map_err(|error| DbError::Url(error.to_string()))?;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .connect_lazy_with(options.options([("statement_timeout", "5s")]));
    Ok(pool)
}
