//! Whether the participants agree with how an order ended.

use std::collections::BTreeSet;

use super::{Contradiction, ended, kept, worth_minor};
use crate::audit::Database::{self, Inventory, Payment};
use crate::audit::facts::{End, Guard, Movements, Reservations, Saga};
use crate::audit::provider::Intent;

pub(super) fn confirmed_stock(saga: &Saga) -> Option<Contradiction> {
    let order = kept(saga)?;
    let found = saga.reservations.clone().unwrap_or_default();
    let (sold, held) = (found.sold > 0 && found.held == 0, found.held > 0 && found.sold == 0);
    let gone = found.released + found.returned;
    let right = found.contents == order.contents && gone == 0 && (sold || (held && !order.closed));
    (!right).then(|| {
        let state = if order.closed { "sold" } else { "sold or held" };
        let Reservations { held, released, sold, returned, contents, .. } = found;
        let actual = format!("{contents}: {held} held, {released} released, {sold} sold, {returned} returned");
        (format!("{} {state}", order.contents), actual)
    })
}

pub(super) fn confirmed_payment(saga: &Saga) -> Option<Contradiction> {
    kept(saga)?;
    let status = saga.payment.as_ref().map_or("no payment", |payment| payment.status.as_str());
    (status != "charged").then(|| ("charged".to_owned(), status.to_owned()))
}

pub(super) fn confirmed_guards(saga: &Saga) -> Option<Contradiction> {
    ended(saga, End::Confirmed)?;
    disagreement(saga, [Inventory, Payment], "every step done", |guards| guards.iter().all(|it| it.verdict == "done"))
}

pub(super) fn cancelled_stock(saga: &Saga) -> Option<Contradiction> {
    ended(saga, End::Cancelled)?;
    let found = saga.reservations.as_ref()?;
    let Reservations { held, sold, returned, .. } = found;
    (held + sold + returned > 0)
        .then(|| ("all released".to_owned(), format!("{held} held, {sold} sold, {returned} returned")))
}

pub(super) fn cancelled_payment(saga: &Saga) -> Option<Contradiction> {
    ended(saga, End::Cancelled)?;
    let status = saga.payment.as_ref()?.status.as_str();
    let settled = matches!(status, "declined" | "refunded" | "voided");
    (!settled).then(|| ("declined, refunded or voided".to_owned(), status.to_owned()))
}

pub(super) fn cancelled_guards(saga: &Saga) -> Option<Contradiction> {
    let order = ended(saga, End::Cancelled)?;
    let expected = "an answer, and every step rejected, undone or fenced";
    let undone = |it: &Guard| matches!(it.verdict.as_str(), "rejected" | "undone" | "fenced" | "nothing-to-undo");
    disagreement(saga, participants(&order.required), expected, |guards| {
        guards.iter().any(|it| it.step == "compensate") && guards.iter().all(|it| undone(it))
    })
}

/// Those of them that the auditor has a database of.
pub(super) fn participants(names: &[String]) -> impl Iterator<Item = Database> {
    names.iter().filter_map(|name| match name.as_str() {
        "inventory" => Some(Inventory),
        "payment" => Some(Payment),
        _ => None,
    })
}

/// Those participants whose guard rows are not as they should be. Without any, they are not.
fn disagreement(
    saga: &Saga,
    participants: impl IntoIterator<Item = Database>,
    expected: &str,
    agrees: impl Fn(&[&Guard]) -> bool,
) -> Option<Contradiction> {
    if saga.guards_forgotten {
        return None;
    }
    let mut wrong = Vec::new();
    for participant in participants {
        let guards: Vec<&Guard> = saga.guards_at(participant).collect();
        if guards.is_empty() {
            wrong.push(format!("{participant}: no guard row"));
        } else if !agrees(&guards) {
            let rows: Vec<String> = guards.iter().map(|it| format!("{} {}", it.step, it.verdict)).collect();
            wrong.push(format!("{participant}: {}", rows.join(", ")));
        }
    }
    (!wrong.is_empty()).then(|| (expected.to_owned(), wrong.join("; ")))
}

pub(super) fn wallet_money(saga: &Saga) -> Option<Contradiction> {
    let order = saga.order.as_ref()?;
    let worth = worth_minor(order)?;
    let expected = if order.method == "wallet" { worth } else { 0 };
    let Movements { charged, refunded } = saga.movements.unwrap_or_default();
    (charged - refunded != expected).then(|| (expected.to_string(), format!("{charged} charged - {refunded} refunded")))
}

pub(super) fn reserved_contents(saga: &Saga) -> Option<Contradiction> {
    let (order, found) = (saga.order.as_ref()?, saga.reservations.as_ref()?);
    (found.contents != order.contents).then(|| (order.contents.clone(), found.contents.clone()))
}

pub(super) fn payment_terms(saga: &Saga) -> Option<Contradiction> {
    let (order, paid) = (saga.order.as_ref()?, saga.payment.as_ref()?);
    let show = |amount: i64, currency: &str, customer: &str, method: &str| {
        format!("{amount} {currency} of {customer} by {method}")
    };
    let expected = show(order.amount_minor, &order.currency, &order.customer_id, &order.method);
    let actual = show(paid.amount_minor, &paid.currency, &paid.customer_id, &paid.method);
    (expected != actual).then_some((expected, actual))
}

pub(super) fn told_once(saga: &Saga) -> Option<Contradiction> {
    let kinds: BTreeSet<&String> = saga.notified.iter().collect();
    let ends = saga.notified.iter().filter(|kind| kind.contains("confirmed") || kind.contains("cancelled")).count();
    let once = saga.notified.len() == kinds.len() && ends <= 1;
    (!once).then(|| ("one word of each kind, and of one end".to_owned(), saga.notified.join(", ")))
}

pub(super) fn notifications(saga: &Saga) -> Option<Contradiction> {
    let order = saga.order.as_ref()?;
    let never: &[&str] = match order.end {
        End::Confirmed => &["cancelled"],
        End::Cancelled => &["confirmed", "shipped", "delivered", "returned"],
        End::Undecided => return None,
    };
    let told = saga.notified.iter().any(|kind| never.iter().any(|never| kind.contains(never)));
    told.then(|| (format!("no word of {}", never.join(", ")), saga.notified.join(", ")))
}

pub(super) fn phantom(saga: &Saga) -> Option<Contradiction> {
    if saga.order.is_some() {
        return None;
    }
    let kept: i64 = saga.intents.iter().map(Intent::kept_minor).sum();
    let traces = [
        saga.reservations.as_ref().map(|_| "reservations".to_owned()),
        saga.payment.as_ref().map(|payment| format!("a payment ({})", payment.status)),
        saga.movements.map(|_| "wallet movements".to_owned()),
        (!saga.notified.is_empty()).then(|| "notifications".to_owned()),
        (kept != 0).then(|| format!("{kept} kept by the provider")),
    ];
    let traces: Vec<String> = traces.into_iter().flatten().collect();
    (!traces.is_empty()).then(|| ("an order".to_owned(), format!("{} and no order", traces.join(", "))))
}
