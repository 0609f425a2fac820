//! Waiting until a system has come to rest.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::report::Finding;
use super::{AuditConfig, AuditError, AuditReport, Auditor, Database, queues};

/// Two scans this far apart must be identical. Longer than a message needs for a hop, since one that is in the broker alone
/// shows only by what it changes, unless queues are looked at, and not even then while somebody is handling it.
const PAUSE: Duration = Duration::from_millis(500);

const ENGINE: &str = "SELECT 'unsent messages', count(*), true FROM saga.unsent
    UNION ALL SELECT 'jobs', count(*), true FROM saga.jobs
    UNION ALL SELECT 'open announcements', count(*), true FROM saga.announcements
    UNION ALL SELECT 'waiting messages', count(*), true FROM saga.waiting WHERE state <> 'parked'
    UNION ALL SELECT 'parked messages', count(*), false FROM saga.waiting WHERE state = 'parked'
    UNION ALL SELECT 'guard rows', count(*), false FROM saga.idempotency_keys";

const ORDERS: &str =
    "SELECT 'orders ' || status, count(*), status IN ('pending', 'cancelling', 'returning') FROM orders GROUP BY status
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

/// Waits until two scans in a row are identical with nothing in flight, about `timeout` at most, then audits. If the system
/// has not come to rest by then, the failed check `quiescent` says what is in flight. A database that cannot be reached is
/// asked again until then: it may be restarting.
///
/// # Errors
/// As [`run`](super::run).
pub async fn until_quiescent(config: &AuditConfig, timeout: Duration) -> Result<AuditReport, AuditError> {
    let deadline = Instant::now() + timeout;
    let mut auditor = None;
    let mut previous: Option<Scan> = None;
    let restless = loop {
        match scan(config, &mut auditor).await {
            Ok(scan) => {
                let unchanged = previous.as_ref() == Some(&scan);
                if unchanged && scan.in_flight.is_empty() {
                    break Vec::new();
                }
                if previous.is_some() && Instant::now() >= deadline {
                    break scan.restlessness();
                }
                previous = Some(scan);
            }
            Err(error) if error.is_transient() && Instant::now() < deadline => (auditor, previous) = (None, None),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(PAUSE).await;
    };

    let mut report = match &mut auditor {
        Some(auditor) => auditor.audit(config).await?,
        None => super::run(config).await?,
    };
    report.add("quiescent", "the system has come to rest", restless.len() as u64, restless);
    Ok(report)
}

impl Scan {
    /// Why the system has not come to rest.
    fn restlessness(self) -> Vec<Finding> {
        let finding =
            |id: String, expected: &str, actual: String| Finding { id, expected: expected.to_owned(), actual };
        if self.in_flight.is_empty() {
            return vec![finding("counts of rows".to_owned(), "no change", "they still change".to_owned())];
        }
        self.in_flight.into_iter().map(|(what, count)| finding(what, "0", count.to_string())).collect()
    }
}

async fn scan(config: &AuditConfig, auditor: &mut Option<Auditor>) -> Result<Scan, AuditError> {
    let auditor = match auditor {
        Some(auditor) => auditor,
        None => auditor.insert(Auditor::connect(&config.databases).await?),
    };
    let mut scan = Scan::default();
    for connection in &mut auditor.connections {
        let snapshot = connection.snapshot().await?;
        let database = snapshot.database;
        let business = match database {
            Database::Orders => ORDERS,
            Database::Inventory => INVENTORY,
            Database::Payment => PAYMENT,
            Database::Notification => NOTIFICATION,
        };
        for row in snapshot.query("its counts", &format!("{ENGINE} UNION ALL {business}"), &[]).await? {
            let (what, count, in_flight): (&str, i64, bool) = (row.get(0), row.get(1), row.get(2));
            let what = format!("{database}: {what}");
            if in_flight && count > 0 {
                scan.in_flight.insert(what.clone(), count);
            }
            scan.counts.insert(what, count);
        }
    }
    if let Some(amqp_url) = &config.amqp_url {
        for (queue, messages) in queues::depths(amqp_url).await? {
            if let Some(messages @ 1..) = messages {
                scan.in_flight.insert(format!("broker: {queue}"), i64::from(messages));
            }
        }
    }
    Ok(scan)
}
