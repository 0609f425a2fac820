//! Checks inside one database: SQL queries that return offenders.
//!
//! Each query gives `id`, `expected` and `actual` as text, one row per offender, and may use `$1`, the grace in
//! seconds, and `$2`, the oldest saga id whose guard rows are still kept.

use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};

use super::database::Snapshot;
use super::report::{AuditReport, Finding, MAX_FINDINGS};
use super::{AuditError, Database};

/// A claim about the data of each of some databases.
struct Within {
    name: &'static str,
    claim: &'static str,
    databases: &'static [Database],
    offenders: &'static str,
}

const ORDERS: &[Database] = &[Database::Orders];
const INVENTORY: &[Database] = &[Database::Inventory];
const PAYMENT: &[Database] = &[Database::Payment];
const EVERY: &[Database] = &Database::ALL;

const CHECKS: &[Within] = &[
    // Stock.
    Within {
        name: "stock-balances",
        claim: "per article, everything ever put into stock is available, held or sold",
        databases: INVENTORY,
        offenders: include_str!("sql/stock_balances.sql"),
    },
    Within {
        name: "stock-totals",
        claim: "an article's reserved and sold totals are the sums of its reservations",
        databases: INVENTORY,
        offenders: include_str!("sql/stock_totals.sql"),
    },
    Within {
        name: "stock-not-oversold",
        claim: "nothing was promised that was not there",
        databases: INVENTORY,
        offenders: include_str!("sql/stock_not_oversold.sql"),
    },
    Within {
        name: "reservations-match-guards",
        claim: "reservations are what the verdicts of reserve-stock and commit-stock say, done and undone at most once",
        databases: INVENTORY,
        offenders: include_str!("sql/reservations_match_guards.sql"),
    },
    // Money in wallets.
    Within {
        name: "wallets-balance",
        claim: "a wallet holds what its movements add up to, and not less than nothing",
        databases: PAYMENT,
        offenders: include_str!("sql/wallets_balance.sql"),
    },
    Within {
        name: "orders-are-charged-once",
        claim: "an order has at most one charge and one refund, not above the charge",
        databases: PAYMENT,
        offenders: include_str!("sql/orders_are_charged_once.sql"),
    },
    Within {
        name: "payments-match-movements",
        claim: "a wallet payment's status is what its movements show",
        databases: PAYMENT,
        offenders: include_str!("sql/payments_match_movements.sql"),
    },
    Within {
        name: "payments-match-guards",
        claim: "payments are what the verdicts of charge-payment say, done and undone at most once",
        databases: PAYMENT,
        offenders: include_str!("sql/payments_match_guards.sql"),
    },
    // Orders.
    Within {
        name: "orders-have-lines",
        claim: "an order has lines, and costs what they cost",
        databases: ORDERS,
        offenders: include_str!("sql/orders_have_lines.sql"),
    },
    Within {
        name: "orders-end-once",
        claim: "an order has one end, nobody was told the other, and only a confirmed one is closed",
        databases: ORDERS,
        offenders: include_str!("sql/orders_end_once.sql"),
    },
    Within {
        name: "order-steps-agree",
        claim: "an order's status is what the verdicts of order-svc's own steps say",
        databases: ORDERS,
        offenders: include_str!("sql/order_steps_agree.sql"),
    },
    Within {
        name: "cancelled-orders-are-answered",
        claim: "an order is cancelled only when every participant that must answer has",
        databases: ORDERS,
        offenders: include_str!("sql/cancelled_orders_are_answered.sql"),
    },
    Within {
        name: "request-keys-have-orders",
        claim: "a request key stands for an order of the same customer",
        databases: ORDERS,
        offenders: include_str!("sql/request_keys_have_orders.sql"),
    },
    // Nothing is stuck.
    Within {
        name: "orders-finish",
        claim: "no order is undecided past its deadline",
        databases: ORDERS,
        offenders: include_str!("sql/orders_finish.sql"),
    },
    Within {
        name: "confirmed-orders-close",
        claim: "every confirmed order has its stock committed",
        databases: ORDERS,
        offenders: include_str!("sql/confirmed_orders_close.sql"),
    },
    Within {
        name: "guards-settle",
        claim: "no step is half-way, and every verdict is a known one",
        databases: EVERY,
        offenders: include_str!("sql/guards_settle.sql"),
    },
    Within {
        name: "outbox-drains",
        claim: "everything committed to be said has been said",
        databases: EVERY,
        offenders: include_str!("sql/outbox_drains.sql"),
    },
    Within {
        name: "jobs-finish",
        claim: "no job is left",
        databases: EVERY,
        offenders: include_str!("sql/jobs_finish.sql"),
    },
    Within {
        name: "announcements-close",
        claim: "no announcement waits for an answer",
        databases: EVERY,
        offenders: include_str!("sql/announcements_close.sql"),
    },
    Within {
        name: "waiting-empties",
        claim: "no message waits for another try",
        databases: EVERY,
        offenders: include_str!("sql/waiting_empties.sql"),
    },
];

/// Makes every check that concerns this database.
pub(super) async fn check(
    snapshot: &Snapshot<'_>,
    grace: Duration,
    report: &mut AuditReport,
) -> Result<(), AuditError> {
    let database = snapshot.database;
    let (grace_seconds, remembers_from) = (grace.as_secs_f64(), snapshot.remembers_from);
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&grace_seconds, Type::FLOAT8), (&remembers_from, Type::UUID)];
    for check in CHECKS.iter().filter(|check| check.databases.contains(&database)) {
        let first_offenders = format!(
            "SELECT id, expected, actual, count(*) OVER () FROM ({}) AS offenders ORDER BY id LIMIT {MAX_FINDINGS}",
            check.offenders
        );
        let rows = snapshot.query(check.name, &first_offenders, &params).await?;

        let violations = rows.first().map_or(0, |row| row.get::<_, i64>(3).unsigned_abs());
        let everywhere = check.databases.len() > 1;
        let finding = |row: &tokio_postgres::Row| {
            let id: &str = row.get(0);
            let id = if everywhere { format!("{database}: {id}") } else { id.to_owned() };
            Finding { id, expected: row.get(1), actual: row.get(2) }
        };
        report.add(check.name, check.claim, violations, rows.iter().map(finding).collect());
    }
    Ok(())
}
