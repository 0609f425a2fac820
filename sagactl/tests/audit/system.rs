//! A small order system at rest: the services' real tables, a few orders written by hand, and a provider.

use std::path::{Path, PathBuf};

use sagactl::audit::{self, AuditConfig, AuditReport, Database, DatabaseUrls, ProviderAccount};
use sagactl::stack::{Servers, session};
use tokio_postgres::Client;

use crate::ledger::{KEY, Ledger, Provider};

const CONFIRMED_BY_CARD: &str = "019a0000-0000-7000-8000-0000000000c3";
pub(crate) const CANCELLED_BY_CARD: &str = "019a0000-0000-7000-8000-0000000000d4";

pub(crate) struct System {
    pub(crate) config: AuditConfig,
    databases: Vec<(Database, Client)>,
    provider: Provider,
}

impl System {
    /// Databases of its own with every table, and nothing in them.
    pub(crate) async fn new() -> Self {
        let servers = Servers::shared().await.expect("servers for tests");
        let prefix = format!("audit{:08x}", rand::random::<u32>());
        let (mut databases, mut urls) = (Vec::new(), Vec::new());
        for database in Database::ALL {
            let url = servers.create_database(&format!("{prefix}_{database}")).await.expect("a database");
            let client = connect(&url).await;
            create_tables(&client, database).await;
            databases.push((database, client));
            urls.push(url);
        }
        let [orders, inventory, payment, notification] = <[String; 4]>::try_from(urls).expect("four databases");
        let urls = DatabaseUrls { orders, inventory, payment, notification };
        let provider = Provider::start().await;
        let account = ProviderAccount { url: provider.url.clone(), key: KEY.to_owned() };
        Self { config: AuditConfig::new(urls, Some(account)), databases, provider }
    }

    /// Throws away everything and writes the clean system again.
    pub(crate) async fn restore(&self) {
        for database in Database::ALL {
            self.restore_database(database).await;
        }
        self.provider.show(clean_ledger());
    }

    pub(crate) async fn restore_database(&self, database: Database) {
        let clean = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/audit/clean/{database}.sql"));
        let clean = std::fs::read_to_string(clean).expect("the clean system");
        self.sql(database, EMPTY).await;
        self.sql(database, &clean).await;
    }

    pub(crate) async fn sql(&self, database: Database, sql: &str) {
        let (_, client) = self.databases.iter().find(|(name, _)| *name == database).expect("all four are there");
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{database}: {sql}: {error:?}"));
    }

    pub(crate) fn provider_shows(&self, ledger: Ledger) {
        self.provider.show(ledger);
    }

    pub(crate) async fn audit(&self) -> AuditReport {
        audit::run(&self.config).await.expect("an audit")
    }
}

pub(crate) fn clean_ledger() -> Ledger {
    Ledger::default()
        .intent("pi_c3", CONFIRMED_BY_CARD, 3250, "succeeded")
        .intent("pi_d4", CANCELLED_BY_CARD, 990, "succeeded")
        .refund("re_d4", "pi_d4", 990)
}

const EMPTY: &str = "do $$ begin execute (
    select 'truncate ' || string_agg(format('%I.%I', schemaname, tablename), ', ') || ' restart identity cascade'
    from pg_tables where schemaname in ('public', 'saga') and tablename not like '%migrations'); end $$";

async fn connect(url: &str) -> Client {
    let client = session(url).await.expect("a connection");
    // What is written here need not survive a crash.
    client.batch_execute("set synchronous_commit = off").await.expect("a setting");
    client
}

/// From the migrations that the services run, so that the auditor's SQL meets the tables as they are.
async fn create_tables(client: &Client, database: Database) {
    let service = match database {
        Database::Orders => "order-svc",
        Database::Inventory => "inventory-svc",
        Database::Payment => "payment-svc",
        Database::Notification => "notification-svc",
    };
    client.batch_execute("create schema saga").await.expect("a schema");
    for migration in migrations("saga-common").into_iter().chain(migrations(service)) {
        let sql = std::fs::read_to_string(&migration).expect("a migration");
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{}: {error:?}", migration.display()));
    }
    let partition =
        "create table saga.every_key partition of saga.idempotency_keys for values from (minvalue) to (maxvalue);
         create table saga.every_word partition of saga.said for values from (minvalue) to (maxvalue)";
    client.batch_execute(partition).await.expect("a partition");
    if database == Database::Inventory {
        let emptied = "alter table stock_movements disable trigger append_only";
        client.batch_execute(emptied).await.expect("the log of stock");
    }
}

fn migrations(krate: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(krate).join("migrations");
    let entries = std::fs::read_dir(&folder).expect("a folder of migrations");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no migrations", folder.display());
    files
}
