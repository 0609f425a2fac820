//! Whether the payment provider's ledger agrees with orders and payments.

use super::{Contradiction, worth_minor};
use crate::audit::facts::Saga;
use crate::audit::provider::Intent;

pub(super) fn charged_once(saga: &Saga) -> Option<Contradiction> {
    let succeeded: Vec<&Intent> = saga.intents.iter().filter(|intent| intent.succeeded()).collect();
    let overpaid = saga.intents.iter().any(|intent| intent.kept_minor() < 0 || intent.refunds > 1);
    (succeeded.len() > 1 || overpaid).then(|| {
        let show = |i: &Intent| {
            format!("{} {} {} (refunded {} in {})", i.id, i.status, i.amount_minor, i.refunded_minor, i.refunds)
        };
        let all: Vec<String> = saga.intents.iter().map(show).collect();
        ("at most one charge, and one refund not above it".to_owned(), all.join(", "))
    })
}

pub(super) fn money(saga: &Saga) -> Option<Contradiction> {
    let order = saga.order.as_ref()?;
    let worth = worth_minor(order)?;
    let expected = if order.method == "wallet" { 0 } else { worth };
    let kept: i64 = saga.intents.iter().map(Intent::kept_minor).sum();
    let foreign = saga.intents.iter().any(|i| i.kept_minor() != 0 && !i.currency.eq_ignore_ascii_case(&order.currency));
    (kept != expected || foreign).then(|| {
        let currencies: Vec<&str> = saga.intents.iter().map(|intent| intent.currency.as_str()).collect();
        (format!("{expected} {}", order.currency), format!("{kept} {}", currencies.join("+")))
    })
}

pub(super) fn status(saga: &Saga) -> Option<Contradiction> {
    // While the order is undecided, the provider may already know more than the payment's row.
    worth_minor(saga.order.as_ref()?)?;
    let payment = saga.payment.as_ref()?;
    let reference = payment.reference.as_deref();
    if payment.method == "wallet" {
        let outside = reference.is_some() || !saga.intents.is_empty();
        return outside
            .then(|| ("a wallet payment without the provider".to_owned(), format!("reference {reference:?}")));
    }

    let named = reference.and_then(|id| saga.intents.iter().find(|intent| intent.id == id));
    let amount = payment.amount_minor;
    let (expected, right) = match (payment.status.as_str(), named) {
        ("charged", Some(i)) => ("succeeded, nothing refunded", i.succeeded() && i.kept_minor() == amount),
        ("refunded", Some(i)) => ("succeeded, all refunded", i.succeeded() && i.refunded_minor == amount),
        ("voided", Some(i)) => ("canceled", i.status == "canceled"),
        ("declined", Some(i)) => ("not succeeded", !i.succeeded()),
        ("voided" | "declined", None) => ("no intent that the payment names", reference.is_none()),
        _ => ("an intent that the payment names", false),
    };
    (!right).then(|| {
        let actual = named.map(|i| format!("{} {} {}, refunded {}", i.id, i.status, i.amount_minor, i.refunded_minor));
        let actual = actual.unwrap_or_else(|| format!("reference {reference:?} is not in the ledger for this order"));
        (format!("{}: {expected}", payment.status), actual)
    })
}
