//! Reads the services' databases, and the payment provider's list of charges, and says what contradicts what.
//!
//! With a [history](AuditConfig::history) it also holds what clients were told against the data, and with the broker's URL it looks
//! whether anything is left in a queue.
//!
//! The auditor trusts nobody: it imports no project crate, has SQL of its own, recomputes every balance from movements, and
//! reads on connections of its own in read-only transactions. It judges the system's *data*, so it can be wrong only together
//! with the contract, never together with the engine.
//!
//! A check comes in one of two forms: `within` one database an SQL query that returns offenders; `across` databases a pure
//! function over one compact record per saga.
//!
//! A running system can be audited, with a grace: what is younger is under way, not stuck. Each database is read in one
//! snapshot, orders first, so that whatever is decided there must be true of the participants' later snapshots. A system at
//! rest is audited with no grace at all, after [`until_quiescent`] has seen it come to rest.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

mod across;
mod database;
mod error;
mod facts;
mod history;
mod provider;
mod queues;
mod quiet;
mod report;
mod rows;
mod within;

pub use database::{Database, DatabaseUrls};
pub use error::AuditError;
pub use provider::ProviderAccount;
pub use quiet::until_quiescent;
pub use report::{AuditReport, Check, Finding, MAX_FINDINGS};

use database::Connection;
use facts::Facts;
use history::Reader;

/// What to audit, and what to put up with.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// The services' databases. A role that can only read is enough.
    pub databases: DatabaseUrls,
    /// The payment provider; without it the money outside is not checked.
    pub provider: Option<ProviderAccount>,
    /// What is younger than this is under way, not stuck. Zero for a system at rest.
    pub grace: Duration,
    /// Which messages should be parked.
    pub parked: ExpectedParked,
    /// What clients asked and were told, as they wrote it down: of *all* clients, since an order that it does not explain is wrong.
    pub history: Option<PathBuf>,
    /// From when on everything worked. If given, an order must have ended 30 s after that or after its deadline.
    pub working_since: Option<DateTime<Utc>>,
    /// If given, connections to the databases are looked at too.
    pub connections: Option<ConnectionLimits>,
    /// The broker's virtual host, as an AMQP URL; without it queues are not looked at.
    pub amqp_url: Option<String>,
}

impl AuditConfig {
    /// The strictest audit: nothing may be under way, nothing parked.
    #[must_use]
    pub fn new(databases: DatabaseUrls, provider: Option<ProviderAccount>) -> Self {
        Self {
            databases,
            provider,
            grace: Duration::ZERO,
            parked: ExpectedParked::Nothing,
            history: None,
            working_since: None,
            connections: None,
            amqp_url: None,
        }
    }
}

/// What connections to one database may be like. The auditor's own do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// How many there may be.
    pub connections: u32,
    /// How long a transaction may be idle.
    pub idle_in_transaction: Duration,
}

/// As many as PostgreSQL allows by itself, and 5 s.
impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { connections: 100, idle_in_transaction: Duration::from_secs(5) }
    }
}

/// Which messages should be parked. Exactly these: a poison message that is not parked is as wrong as a good one that is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ExpectedParked {
    /// None.
    #[default]
    Nothing,
    /// This many, over all services.
    Count(usize),
    /// The messages with these ids, at whatever service and step.
    Messages(Vec<Uuid>),
}

/// Connects to all databases, and no more: an auditor that is going to wait should know first that there is somebody to wait for.
///
/// # Errors
/// When a database cannot be reached.
pub async fn reach(databases: &DatabaseUrls) -> Result<(), AuditError> {
    Auditor::connect(databases).await.map(drop)
}

/// Audits once, now.
///
/// # Errors
/// As [`Auditor::audit`], and when a database cannot be reached.
pub async fn run(config: &AuditConfig) -> Result<AuditReport, AuditError> {
    Auditor::connect(&config.databases).await?.audit(config).await
}

/// Connections of the auditor's own, one to each database, for one audit or several.
pub struct Auditor {
    /// In the order of [`Database::ALL`].
    connections: [Connection; 4],
}

impl Auditor {
    /// Connects.
    ///
    /// # Errors
    /// When a database cannot be reached.
    pub async fn connect(databases: &DatabaseUrls) -> Result<Self, AuditError> {
        Ok(Self { connections: Connection::open_all(databases).await? })
    }

    /// Audits once, now.
    ///
    /// # Errors
    /// When something cannot be read: a database, the provider or the broker is gone, a table is missing, the history is none.
    /// What is wrong *in* the data is in the report, not an error.
    pub async fn audit(&mut self, config: &AuditConfig) -> Result<AuditReport, AuditError> {
        // What clients were told before the databases are looked at must be in them; what they ask meanwhile may be.
        let history = config.history.as_deref().map(Reader::open).transpose()?;
        let mut report = AuditReport::default();
        let facts = self.read(config, &mut report).await?;

        across::check(&facts, &config.parked, &mut report);
        // In a system at work there are always some.
        if let (Some(amqp_url), true) = (&config.amqp_url, config.grace.is_zero()) {
            queues::check(&queues::depths(amqp_url).await?, &mut report);
        }
        if let Some(history) = history {
            history::check(&history.read()?, &facts, &mut report);
        }
        report.counts = facts.counts();
        Ok(report)
    }

    /// Makes the checks within databases, and gathers the facts for the others.
    async fn read(&mut self, config: &AuditConfig, report: &mut AuditReport) -> Result<Facts, AuditError> {
        let mut facts = Facts::default();
        // All at almost the same time, however long reading them takes.
        let mut snapshots = Vec::with_capacity(self.connections.len());
        for connection in &mut self.connections {
            snapshots.push(connection.snapshot().await?);
        }
        for snapshot in &snapshots {
            within::check(snapshot, config, report).await?;
            facts.read(snapshot, config.grace).await?;
            if config.history.is_some() && snapshot.database == Database::Orders {
                facts.read_request_keys(snapshot).await?;
            }
        }
        drop(snapshots);
        facts.mark_forgotten();
        if let Some(provider) = &config.provider {
            facts.add_ledger(provider.ledger().await?);
        }
        // A participant's snapshot may know orders that were placed after the first one was taken. Those are under way; what is
        // still without an order then is a phantom.
        let [orders, ..] = &mut self.connections;
        facts.forget_later(&orders.snapshot().await?).await?;
        Ok(facts)
    }
}
