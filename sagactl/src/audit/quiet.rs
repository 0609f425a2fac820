//! Waiting until a system has come to rest.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::database::Connection;
use super::report::Finding;
use super::{AuditConfig, AuditError, AuditReport, Database, run};

/// Two scans this far apart must be identical. Longer than a message needs for a hop, since one that is in the broker alone
/// shows only by what it changes.
const PAUSE: Duration = Duration::from_millis(500);

const ENGINE: &str = "SELECT 'unsent messages', count(*), true FROM saga.outbox
    UNION ALL SELECT 'jobs', count(*), true FROM saga.jobs
    UNION ALL SELECT 'open announcements', count(*), true FROM saga.announcements
    UNION ALL SELECT 'waiting messages', count(*), true FROM saga.waiting WHERE state <> 'parked'
    UNION ALL SELECT 'parked messages', count(*), false FROM saga.waiting WHERE state = 'parked'
    UNION ALL SELECT 'guard rows', count(*), false FROM saga.idempotency_keys";

const ORDERS: &str =
    "SELECT 'orders ' || status, count(*), status IN ('pending', 'cancelling') FROM orders GROUP BY status
    UNION ALL SELECT 'confirmed orders not closed', count(*), true FROM orders
        WHERE status IN ('confirmed', 'shipped', 'delivered') AND closed_at IS NULL";
const INVENTORY: &str = "SELECT 'held reservations', count(*), false FROM reservations WHERE state = 'held'";
const PAYMENT: &str =
    "SELECT 'payments ' || status, count(*), status IN ('charging', 'refunding') FROM payments GROUP BY status";
const NOTIFICATION: &str = "SELECT 'notifications', count(*), false FROM notifications";

/// Counts of everything that moves.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scan {
    counts: BTreeMap<String, i64>,
    /// Those of them that say that work is under way.
    in_flight: BTreeMap<String, i64>,
}

/// Waits until two scans in a row are identical with nothing in flight, at most `timeout`, then audits. If the system has not
/// come to rest by then, the failed check `quiescent` says what was in flight. Databases that cannot be reached for a while
/// are asked again until then.
///
/// # Errors
/// As [`run`].
pub async fn until_quiescent(config: &AuditConfig, timeout: Duration) -> Result<AuditReport, AuditError> {
    let deadline = Instant::now() + timeout;
    let mut previous: Option<Scan> = None;
    let in_flight = loop {
        let scan = match scan(config).await {
            Ok(scan) => Some(scan),
            Err(error) if error.is_transient() && Instant::now() < deadline => None,
            Err(error) => return Err(error),
        };
        if let Some(scan) = &scan {
            if scan.in_flight.is_empty() && Some(scan) == previous.as_ref() {
                break BTreeMap::new();
            }
            if Instant::now() >= deadline {
                break scan.in_flight.clone();
            }
        }
        previous = scan;
        tokio::time::sleep(PAUSE).await;
    };

    let mut report = run(config).await?;
    let finding =
        |(what, count): (String, i64)| Finding { id: what, expected: "0".to_owned(), actual: count.to_string() };
    let findings: Vec<Finding> = in_flight.into_iter().map(finding).collect();
    report.add("quiescent", "the system has come to rest", findings.len() as u64, findings);
    Ok(report)
}

async fn scan(config: &AuditConfig) -> Result<Scan, AuditError> {
    let mut scan = Scan::default();
    for database in Database::ALL {
        let business = match database {
            Database::Orders => ORDERS,
            Database::Inventory => INVENTORY,
            Database::Payment => PAYMENT,
            Database::Notification => NOTIFICATION,
        };
        let mut connection = Connection::open(database, &config.databases).await?;
        let rows =
            connection.snapshot().await?.query("its counts", &format!("{ENGINE} UNION ALL {business}"), &[]).await?;
        for row in rows {
            let (what, count, in_flight): (&str, i64, bool) = (row.get(0), row.get(1), row.get(2));
            let what = format!("{database}: {what}");
            if in_flight && count > 0 {
                scan.in_flight.insert(what.clone(), count);
            }
            scan.counts.insert(what, count);
        }
    }
    Ok(scan)
}
