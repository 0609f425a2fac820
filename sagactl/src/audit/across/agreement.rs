//! Whether the participants agree with how an order ended.

use super::{Contradiction, ended, worth_minor};
use crate::audit::facts::{End, Guards, Movements, Reservations, Saga};
use crate::audit::provider::Intent;

pub(super) fn confirmed_stock(saga: &Saga) -> Option<Contradiction> {
    let order = ended(saga, End::Confirmed)?;
    let found = saga.reservations.clone().unwrap_or_default();
    let (sold, held) = (found.sold > 0 && found.held == 0, found.held > 0 && found.sold == 0);
    let right = found.contents == order.contents && found.released == 0 && (sold || (held && !order.closed));
    (!right).then(|| {
        let state = if order.closed { "sold" } else { "sold or held" };
        let Reservations { held, released, sold, contents } = found;
        (format!("{} {state}", order.contents), format!("{contents}: {held} held, {released} released, {sold} sold"))
    })
}

pub(super) fn confirmed_payment(saga: &Saga) -> Option<Contradiction> {
    let order = ended(saga, End::Confirmed)?;
    let show = |status: &str, amount: i64, currency: &str, customer: &str, method: &str| {
        format!("{status} {amount} {currency} of {customer} by {method}")
    };
    let expected = show("charged", order.amount_minor, &order.currency, &order.customer_id, &order.method);
    let actual = match &saga.payment {
        Some(paid) => show(&paid.status, paid.amount_minor, &paid.currency, &paid.customer_id, &paid.method),
        None => "no payment".to_owned(),
    };
    (expected != actual).then_some((expected, actual))
}

pub(super) fn confirmed_guards(saga: &Saga) -> Option<Contradiction> {
    ended(saga, End::Confirmed)?;
    disagreement(saga, ["inventory", "payment"], "every step done", |guards| guards.all_done)
}

pub(super) fn cancelled_stock(saga: &Saga) -> Option<Contradiction> {
    ended(saga, End::Cancelled)?;
    let found = saga.reservations.as_ref()?;
    let kept = found.held + found.sold > 0;
    kept.then(|| ("all released".to_owned(), format!("{} held, {} sold", found.held, found.sold)))
}

pub(super) fn cancelled_payment(saga: &Saga) -> Option<Contradiction> {
    ended(saga, End::Cancelled)?;
    let status = saga.payment.as_ref()?.status.as_str();
    let settled = matches!(status, "declined" | "refunded" | "voided");
    (!settled).then(|| ("declined, refunded or voided".to_owned(), status.to_owned()))
}

pub(super) fn cancelled_guards(saga: &Saga) -> Option<Contradiction> {
    let order = ended(saga, End::Cancelled)?;
    let required = order.required.iter().map(String::as_str);
    let expected = "an answer, and every step rejected, undone or fenced";
    disagreement(saga, required, expected, |guards| guards.answered && guards.all_undone)
}

/// Those participants whose guard rows are not as they should be.
fn disagreement<'a>(
    saga: &Saga,
    participants: impl IntoIterator<Item = &'a str>,
    expected: &str,
    agrees: fn(&Guards) -> bool,
) -> Option<Contradiction> {
    if saga.guards_forgotten {
        return None;
    }
    let mut wrong = Vec::new();
    for participant in participants {
        let guards = match participant {
            "inventory" => &saga.inventory_guards,
            "payment" => &saga.payment_guards,
            // A participant that the auditor has no database of.
            _ => continue,
        };
        match guards {
            Some(guards) if agrees(guards) => {}
            Some(guards) => wrong.push(format!("{participant}: {}", guards.text)),
            None => wrong.push(format!("{participant}: no guard row")),
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

pub(super) fn notifications(saga: &Saga) -> Option<Contradiction> {
    let order = saga.order.as_ref()?;
    let never = match order.end {
        End::Confirmed => "cancelled",
        End::Cancelled => "confirmed",
        End::Undecided => return None,
    };
    let told = saga.notified.iter().any(|kind| kind.contains(never));
    told.then(|| (format!("no word of {never}"), saga.notified.join(", ")))
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
