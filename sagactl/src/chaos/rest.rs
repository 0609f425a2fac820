//! After healing: waits until everything has come to rest, and says what did not in time.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::watch;
use crate::audit::{Check, Finding, MAX_FINDINGS};
use crate::client::Service;
use crate::stack::Stack;

/// No order may be undecided for longer than its deadline and this, after healing.
const ORDERS_AFTER_DEADLINE: Duration = Duration::from_secs(30);
/// No charge may have an unknown outcome for longer, after healing.
const CHARGES: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long things took after healing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// Until every order was confirmed or cancelled, in milliseconds; `None` if that did not happen in time.
    pub orders_ended_after_ms: Option<u64>,
    /// Until no charge and no refund had an unknown outcome, in milliseconds; `None` if that did not happen in time.
    pub charges_known_after_ms: Option<u64>,
}

/// Waits, and judges. Bounded by the deadline and half a minute, or a minute.
pub async fn wait(stack: &Stack, deadline: Duration) -> (Rest, Vec<Check>) {
    let orders = "select id::text, status from orders where status in ('pending', 'cancelling')";
    let charges = "select order_id::text, status from payments where status in ('charging', 'refunding')";
    let (patience, claim) =
        (deadline + ORDERS_AFTER_DEADLINE, "no order is undecided for its deadline and 30 s after healing");
    let (orders, charges) = tokio::join!(
        none_left(stack, Service::Order, orders, patience),
        none_left(stack, Service::Payment, charges, CHARGES),
    );
    let rest = Rest { orders_ended_after_ms: orders.0, charges_known_after_ms: charges.0 };
    let checks = vec![
        check("orders-end-in-time", claim, orders.1),
        check("charges-are-known-in-time", "no charge has an unknown outcome for 60 s after healing", charges.1),
    ];
    (rest, checks)
}

/// How long it took until the query found nothing, or what it still found.
async fn none_left(stack: &Stack, service: Service, sql: &str, patience: Duration) -> (Option<u64>, Vec<Finding>) {
    let begun = Instant::now();
    let finding = |id: &str, actual: String| Finding { id: id.to_owned(), expected: "an end".to_owned(), actual };
    loop {
        let left = match rows(stack, service, sql).await {
            Ok(rows) => rows.into_iter().map(|(id, status)| finding(&id, status)).collect(),
            Err(error) => vec![finding(service.name(), error.to_string())],
        };
        if left.is_empty() {
            return (u64::try_from(begun.elapsed().as_millis()).ok(), left);
        }
        if begun.elapsed() > patience {
            return (None, left);
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn rows(stack: &Stack, service: Service, sql: &str) -> Result<Vec<(String, String)>, watch::ReadError> {
    let database = watch::connect(stack, service).await?;
    Ok(database.query(sql, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn check(name: &str, claim: &str, mut findings: Vec<Finding>) -> Check {
    let violations = findings.len() as u64;
    findings.truncate(MAX_FINDINGS);
    Check { name: name.to_owned(), claim: claim.to_owned(), passed: violations == 0, violations, findings }
}
