//! Checks inside one database: SQL queries that return offenders.
//!
//! Each query gives `id`, `expected` and `actual` as text, one row per offender, and may use `$1`, the grace in
//! seconds, `$2`, the oldest saga id whose guard rows are still kept, and what was asked for: `$3`, when everything worked
//! again, `$4`, for how many seconds a transaction may be idle, and `$5`, how many connections there may be.

use std::time::SystemTime;

use tokio_postgres::types::{ToSql, Type};

use super::database::Snapshot;
use super::report::{AuditReport, Finding, MAX_FINDINGS};
use super::{AuditConfig, AuditError, Database};

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
const NOTIFICATION: &[Database] = &[Database::Notification];
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
        name: "stock-movements-add-up",
        claim: "no line of the log of stock is missing, too many or changed",
        databases: INVENTORY,
        offenders: include_str!("sql/stock_movements_add_up.sql"),
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
    Within {
        name: "restocks-match-guards",
        claim: "what came back came back whole and once, by restock-return",
        databases: INVENTORY,
        offenders: include_str!("sql/restocks_match_guards.sql"),
    },
    // Money in wallets.
    Within {
        name: "wallets-balance",
        claim: "a wallet holds what its movements add up to, and not less than nothing",
        databases: PAYMENT,
        offenders: include_str!("sql/wallets_balance.sql"),
    },
    Within {
        name: "wallets-open-once",
        claim: "a wallet is opened once, before anything else moves",
        databases: PAYMENT,
        offenders: include_str!("sql/wallets_open_once.sql"),
    },
    Within {
        name: "orders-are-charged-once",
        claim: "an order has at most one charge and one refund, after the charge and not above it",
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
    Within {
        name: "refunds-match-guards",
        claim: "what was given back for a return was given back once, by refund-return",
        databases: PAYMENT,
        offenders: include_str!("sql/refunds_match_guards.sql"),
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
        name: "ends-are-said-once",
        claim: "the end of a decided order was said, once",
        databases: ORDERS,
        offenders: include_str!("sql/ends_are_said_once.sql"),
    },
    Within {
        name: "order-steps-agree",
        claim: "an order's status is what the verdicts of order-svc's own steps say",
        databases: ORDERS,
        offenders: include_str!("sql/order_steps_agree.sql"),
    },
    Within {
        name: "orders-move-on-in-order",
        claim: "an order was shipped, delivered and taken back one after another, each once and on record",
        databases: ORDERS,
        offenders: include_str!("sql/orders_move_on_in_order.sql"),
    },
    Within {
        name: "return-steps-agree",
        claim: "a return's row is what the verdicts of its steps in order-svc say, and its end was said once",
        databases: ORDERS,
        offenders: include_str!("sql/return_steps_agree.sql"),
    },
    Within {
        name: "cancelled-orders-are-answered",
        claim: "an order is cancelled only when every participant that must answer has",
        databases: ORDERS,
        offenders: include_str!("sql/cancelled_orders_are_answered.sql"),
    },
    Within {
        name: "placed-orders-exist",
        claim: "what was placed is an order",
        databases: ORDERS,
        offenders: include_str!("sql/placed_orders_exist.sql"),
    },
    Within {
        name: "request-keys-have-orders",
        claim: "a request key stands for an order of the same customer",
        databases: ORDERS,
        offenders: include_str!("sql/request_keys_have_orders.sql"),
    },
    // Customers.
    Within {
        name: "notifications-match-guards",
        claim: "a notification was written by the step that handled its message",
        databases: NOTIFICATION,
        offenders: include_str!("sql/notifications_match_guards.sql"),
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
        name: "returns-close",
        claim: "no return is open for ever",
        databases: ORDERS,
        offenders: include_str!("sql/returns_close.sql"),
    },
    Within {
        name: "guards-settle",
        claim: "no step is half-way, and every verdict is a known one",
        databases: EVERY,
        offenders: include_str!("sql/guards_settle.sql"),
    },
    Within {
        name: "guards-have-their-words",
        claim: "what a step has said is on record",
        databases: EVERY,
        offenders: include_str!("sql/guards_have_their_words.sql"),
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

/// Made only if it is said when everything worked again.
const IN_TIME: Within = Within {
    name: "orders-end-in-time",
    claim: "no order is undecided for longer than its deadline and 30 s, once everything works",
    databases: ORDERS,
    offenders: include_str!("sql/orders_end_in_time.sql"),
};

/// Made only if it is said how many connections there may be.
const CONNECTIONS: [Within; 2] = [
    Within {
        name: "transactions-move-on",
        claim: "no transaction is idle",
        databases: EVERY,
        offenders: include_str!("sql/transactions_move_on.sql"),
    },
    Within {
        name: "connections-are-bounded",
        claim: "no connection has leaked",
        databases: EVERY,
        offenders: include_str!("sql/connections_are_bounded.sql"),
    },
];

/// Makes every check that concerns this database.
pub(super) async fn check(
    snapshot: &Snapshot<'_>,
    config: &AuditConfig,
    report: &mut AuditReport,
) -> Result<(), AuditError> {
    let database = snapshot.database;
    let (grace_seconds, remembers_from) = (config.grace.as_secs_f64(), snapshot.remembers_from);
    let working_since = config.working_since.map(SystemTime::from);
    let limits = config.connections.unwrap_or_default();
    let (idle_seconds, connections) = (limits.idle_in_transaction.as_secs_f64(), i64::from(limits.connections));
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&grace_seconds, Type::FLOAT8),
        (&remembers_from, Type::UUID),
        (&working_since, Type::TIMESTAMPTZ),
        (&idle_seconds, Type::FLOAT8),
        (&connections, Type::INT8),
    ];
    let in_time = config.working_since.is_some().then_some(&IN_TIME);
    let asked_for = in_time.into_iter().chain(CONNECTIONS.iter().filter(|_| config.connections.is_some()));
    for check in CHECKS.iter().chain(asked_for).filter(|check| check.databases.contains(&database)) {
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
