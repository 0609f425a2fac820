//! The four databases, read through read-only snapshots.

use std::fmt;
use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, IsolationLevel, NoTls, Row, Transaction};
use uuid::Uuid;

use super::AuditError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Long enough for a scan of millions of rows; a frozen server must not hang the audit for ever.
const QUERY_TIMEOUT: Duration = Duration::from_secs(300);

/// One of the four databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Database {
    /// Of order-svc.
    Orders,
    /// Of inventory-svc.
    Inventory,
    /// Of payment-svc.
    Payment,
    /// Of notification-svc.
    Notification,
}

impl Database {
    /// All of them; orders first, because what is decided there must already be true of the others.
    pub const ALL: [Database; 4] = [Database::Orders, Database::Inventory, Database::Payment, Database::Notification];
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Database::Orders => "orders",
            Database::Inventory => "inventory",
            Database::Payment => "payment",
            Database::Notification => "notification",
        })
    }
}

/// Where the databases are: `postgres://role:password@host:port/database` each.
#[derive(Clone)]
pub struct DatabaseUrls {
    /// Of order-svc.
    pub orders: String,
    /// Of inventory-svc.
    pub inventory: String,
    /// Of payment-svc.
    pub payment: String,
    /// Of notification-svc.
    pub notification: String,
}

impl DatabaseUrls {
    fn of(&self, database: Database) -> &str {
        match database {
            Database::Orders => &self.orders,
            Database::Inventory => &self.inventory,
            Database::Payment => &self.payment,
            Database::Notification => &self.notification,
        }
    }
}

/// The URLs hold passwords.
impl fmt::Debug for DatabaseUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrls(..)")
    }
}

/// Every check looks at all rows. The planner takes the checks' conditions, which hold for hardly any row, for choosy ones, and joins
/// a hundred thousand sagas with a hundred thousand in nested loops: minutes instead of a second. Where it cannot do without one, the
/// plan looks endless, and compiling it first would take longer than running it does.
const PLANS: &str = "-c enable_nestloop=off -c jit=off -c work_mem=64MB";

/// A connection of the auditor's own.
pub(super) struct Connection {
    database: Database,
    client: Client,
}

impl Connection {
    /// One to each, in the order of [`Database::ALL`].
    pub(super) async fn open_all(urls: &DatabaseUrls) -> Result<[Self; 4], AuditError> {
        let [a, b, c, d] = Database::ALL.map(|database| Self::open(database, urls));
        let (a, b, c, d) = tokio::try_join!(a, b, c, d)?;
        Ok([a, b, c, d])
    }

    async fn open(database: Database, urls: &DatabaseUrls) -> Result<Self, AuditError> {
        let unreachable = |error| AuditError::unreachable(database, &error);
        let mut config: Config = urls.of(database).parse().map_err(unreachable)?;
        config.application_name("saga-audit").connect_timeout(CONNECT_TIMEOUT);
        if config.get_options().is_none() {
            config.options(PLANS);
        }
        let connected = config.connect(NoTls).await;
        let (client, connection) = connected.map_err(|error| AuditError::unconnected(database, &config, &error))?;
        // Ends when the client is dropped; what breaks it also fails the query under way, which reports it.
        tokio::spawn(connection);
        Ok(Self { database, client })
    }

    /// One consistent view, until it is dropped.
    pub(super) async fn snapshot(&mut self) -> Result<Snapshot<'_>, AuditError> {
        let database = self.database;
        let begin = self.client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let transaction = begin.start().await.map_err(|error| AuditError::unreachable(database, &error))?;
        let mut snapshot = Snapshot { database, remembers_from: Uuid::nil(), transaction };
        let oldest = snapshot.query("its oldest partition", OLDEST_PARTITION, &[]).await?;
        if let Some(bound) = oldest.first().and_then(|row| row.get::<_, Option<Uuid>>(0)) {
            snapshot.remembers_from = bound;
        }
        Ok(snapshot)
    }
}

/// The lower bound of the oldest partition of guard rows; none if it has none.
const OLDEST_PARTITION: &str = r"SELECT substring(pg_get_expr(c.relpartbound, c.oid) from 'FROM \(''([0-9a-f-]{36})''\)')::uuid AS bound
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'saga.idempotency_keys'::regclass
      ORDER BY bound NULLS FIRST LIMIT 1";

/// A consistent, read-only view of one database.
pub(super) struct Snapshot<'a> {
    pub(super) database: Database,
    /// Guard rows of older sagas have been dropped with their partition.
    pub(super) remembers_from: Uuid,
    transaction: Transaction<'a>,
}

impl Snapshot<'_> {
    /// Runs one query.
    pub(super) async fn query(
        &self,
        purpose: &str,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, AuditError> {
        let failed = |error| AuditError::query(self.database, purpose, &error);
        // Types are given, so that a query need not use every parameter.
        let answer = tokio::time::timeout(QUERY_TIMEOUT, self.transaction.query_typed(sql, params)).await;
        let silent = || AuditError::Unreachable {
            database: self.database,
            reason: format!("no answer about {purpose} within {} s", QUERY_TIMEOUT.as_secs()),
        };
        answer.map_err(|_| silent())?.map_err(failed)
    }
}
