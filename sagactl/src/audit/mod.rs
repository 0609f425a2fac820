//! Reads the services' databases, and the payment provider's list of charges, and says what contradicts what.
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

use std::time::Duration;

use uuid::Uuid;

mod across;
mod database;
mod error;
mod facts;
mod provider;
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
}

impl AuditConfig {
    /// The strictest audit: nothing may be under way, nothing parked.
    #[must_use]
    pub fn new(databases: DatabaseUrls, provider: Option<ProviderAccount>) -> Self {
        Self { databases, provider, grace: Duration::ZERO, parked: ExpectedParked::Nothing }
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
    Connection::open_all(databases).await.map(drop)
}

/// Audits once, now.
///
/// # Errors
/// When something cannot be read: a database or the provider is unreachable, a table is missing. What is wrong *in* the data
/// is in the report, not an error.
pub async fn run(config: &AuditConfig) -> Result<AuditReport, AuditError> {
    let mut connections = Connection::open_all(&config.databases).await?;
    let mut report = AuditReport::default();
    let mut facts = Facts::default();

    for connection in &mut connections {
        let snapshot = connection.snapshot().await?;
        within::check(&snapshot, config.grace, &mut report).await?;
        facts.read(&snapshot).await?;
    }
    facts.mark_forgotten();
    if let Some(provider) = &config.provider {
        facts.add_ledger(provider.ledger().await?);
    }

    // A participant's snapshot may know orders that were placed after the first one was taken. Those are under way; what is
    // still without an order then is a phantom.
    let [orders, ..] = &mut connections;
    facts.forget_later_orders(&orders.snapshot().await?).await?;

    across::check(&facts, &config.parked, &mut report);
    report.counts = facts.counts();
    Ok(report)
}
