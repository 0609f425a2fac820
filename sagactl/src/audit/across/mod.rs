//! Checks across databases: pure functions over one record per saga.
//!
//! Only decided orders are judged: what others do before the decision is under way, and an order that is never decided is
//! found as stuck.

use super::ExpectedParked;
use super::facts::{End, Facts, Order, Parked, Saga};
use super::report::{AuditReport, Finding};

mod agreement;
mod ledger;
mod messages;
mod returns;

/// What should be, and what is.
type Contradiction = (String, String);

/// Judges one saga; `None`: nothing to object.
type Judge = fn(&Saga) -> Option<Contradiction>;

const CHECKS: &[(&str, &str, Judge)] = &[
    (
        "confirmed-orders-have-their-stock",
        "a confirmed order's articles are sold, or held until it is closed, unless it comes back",
        agreement::confirmed_stock,
    ),
    ("confirmed-orders-are-paid", "a confirmed order is charged, unless it comes back", agreement::confirmed_payment),
    (
        "returned-orders-are-restocked",
        "a returned order's articles are on the shelf again, all of them, by its return; of one on its way back all or none",
        returns::restocked,
    ),
    (
        "returned-orders-are-refunded",
        "a returned order's payment is refunded, for its return; one on its way back is charged, or that is being done",
        returns::refunded,
    ),
    ("confirmed-orders-agree", "every participant has done its part of a confirmed order", agreement::confirmed_guards),
    ("cancelled-orders-keep-no-stock", "a cancelled order's reservations are released", agreement::cancelled_stock),
    (
        "cancelled-orders-keep-no-money",
        "a cancelled order's payment is none, declined, refunded or voided",
        agreement::cancelled_payment,
    ),
    (
        "cancelled-orders-agree",
        "every participant has undone its part of a cancelled order, and answered",
        agreement::cancelled_guards,
    ),
    (
        "wallets-pay-confirmed-orders",
        "what wallets paid for an order is its amount if confirmed and not returned, else nothing",
        agreement::wallet_money,
    ),
    (
        "payments-match-orders",
        "a payment is of its order's customer, amount, currency and method",
        agreement::payment_terms,
    ),
    ("reservations-match-orders", "what was reserved for an order is what it asked for", agreement::reserved_contents),
    ("notifications-agree", "nobody was told of an end that the order did not take", agreement::notifications),
    (
        "customers-are-told-once",
        "an order has one notification of its end at most, and one of each step after it",
        agreement::told_once,
    ),
    ("no-phantoms", "every reservation, payment and notification has an order", agreement::phantom),
    (
        "messages-were-said",
        "every message that took effect had been said, by whom and in the saga where it was heard",
        messages::were_said,
    ),
    (
        "events-are-handled",
        "every event that somebody needs has been handled there: confirmations, commits, refusals, answers, returns",
        messages::are_handled,
    ),
];

/// What a correct system can have after a misfortune of its broker, and not without.
const WARNINGS: &[(&str, &str, Judge)] = &[
    ("events-arrive", "no event was lost, not even one whose loss is healed or harms nobody", messages::arrived),
    ("no-strangers", "no message was refused or obeyed that nobody is on record to have said", messages::strangers),
];

const LEDGER_CHECKS: &[(&str, &str, Judge)] = &[
    (
        "provider-charges-once",
        "the provider charged an order at most once, and gave back no more",
        ledger::charged_once,
    ),
    (
        "provider-pays-confirmed-orders",
        "what the provider kept is the amount of a confirmed order that was not returned, else nothing",
        ledger::money,
    ),
    (
        "payments-match-provider",
        "a card payment's status and reference are what the provider's ledger shows",
        ledger::status,
    ),
];

/// Makes every check that concerns more than one database.
pub(super) fn check(facts: &Facts, expected: &ExpectedParked, report: &mut AuditReport) {
    let ledger_checks = if facts.has_ledger { LEDGER_CHECKS } else { &[] };
    for (name, claim, judge) in CHECKS.iter().chain(ledger_checks) {
        add(report, name, claim, contradictions(facts, *judge));
    }
    for (name, claim, judge) in WARNINGS {
        report.warn(name, claim, contradictions(facts, *judge));
    }
    add(report, "parked-as-expected", "exactly the expected messages are parked", parked(&facts.parked, expected));
}

fn contradictions(facts: &Facts, judge: Judge) -> Vec<Finding> {
    let found = facts.sagas.iter().filter_map(|(id, saga)| {
        let (expected, actual) = judge(saga)?;
        Some(Finding { id: id.to_string(), expected, actual })
    });
    found.collect()
}

fn add(report: &mut AuditReport, name: &str, claim: &str, findings: Vec<Finding>) {
    report.add(name, claim, findings.len() as u64, findings);
}

/// The saga's order, if it ended that way.
fn ended(saga: &Saga, end: End) -> Option<&Order> {
    saga.order.as_ref().filter(|order| order.end == end)
}

/// The saga's order, if it was confirmed and does not come back.
fn kept(saga: &Saga) -> Option<&Order> {
    ended(saga, End::Confirmed).filter(|order| !matches!(order.status.as_str(), RETURNING | RETURNED))
}

/// Statuses of an order that comes back, and of one that has.
const RETURNING: &str = "returning";
const RETURNED: &str = "returned";

/// What the order is worth: its amount once confirmed, nothing once cancelled or returned.
fn worth_minor(order: &Order) -> Option<i64> {
    match (order.end, order.status.as_str()) {
        (_, RETURNING) | (End::Undecided, _) => None,
        (_, RETURNED) | (End::Cancelled, _) => Some(0),
        (End::Confirmed, _) => Some(order.amount_minor),
    }
}

fn parked(found: &[Parked], expected: &ExpectedParked) -> Vec<Finding> {
    let unexpected = |parked: &Parked| Finding {
        id: format!("{}: {} for {}", parked.database, parked.message_id, parked.step),
        expected: "not parked".to_owned(),
        actual: parked.reason.clone(),
    };
    match expected {
        ExpectedParked::Nothing => found.iter().map(unexpected).collect(),
        ExpectedParked::Count(count) if *count == found.len() => Vec::new(),
        ExpectedParked::Count(count) => {
            let (expected, actual) = (format!("{count} parked"), format!("{} parked", found.len()));
            vec![Finding { id: "all services".to_owned(), expected, actual }]
        }
        ExpectedParked::Messages(ids) => {
            let missing = ids.iter().filter(|id| !found.iter().any(|parked| parked.message_id == **id));
            let missing = missing.map(|id| Finding {
                id: id.to_string(),
                expected: "parked".to_owned(),
                actual: "not parked".to_owned(),
            });
            found.iter().filter(|parked| !ids.contains(&parked.message_id)).map(unexpected).chain(missing).collect()
        }
    }
}

#[cfg(test)]
mod tests;
