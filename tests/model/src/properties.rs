//! What must always hold, what must hold when nothing happens any more, and what must be possible at all.
//!
//! The always- and final-state properties are the invariants of the fault catalogue; the witnesses guard against a model
//! in which nothing can go wrong because nothing happens. Liveness is "no bad final state": a state is final when no
//! progress is possible, and everything that must happen has happened then. No state comes again on any way (a test looks),
//! so every way ends in a final state.

use crate::config::{Config, Money, Reply};
use crate::consumer::MOST_DEATHS;
use crate::message::{ALL_ANSWERED, Event, Service};
use crate::protocol::Protocol;
use crate::state::{Hold, Intent, Payment, Saga, State, Status, Verdict, Why};
use stateright::Property;

/// Names of the properties that mutants break.
pub mod name {
    #![allow(missing_docs)]
    pub const STOCK: &str = "stock is conserved and never negative";
    pub const ONCE: &str = "a step is done once, and undone once and only after it was done";
    pub const CHARGED_ONCE: &str = "an order is charged once at most";
    pub const REFUNDED_ONCE: &str = "no more is given back than was taken";
    pub const FINAL: &str = "a decided order stays as it is, and is told once";
    pub const NO_MONEY_KEPT: &str = "no money is kept for a cancelled order";
    pub const NO_STOCK_KEPT: &str = "no stock is kept for a cancelled order";
    pub const ANSWERS: &str = "an answer is given only from fenced, rejected or undone";
    pub const CONFIRMED_HAS: &str = "a confirmed order has its stock and its charge";
    pub const REFUSALS: &str = "only who has rejected refuses";
    pub const NEVER_PARKED: &str = "after the pivot and in undos nothing is parked";
    pub const DEATHS: &str = "what ends its process is given up after a few times";
    pub const PARKED_NOT_DONE: &str = "what is parked has not been done";
    pub const NO_DEADLOCK: &str = "nobody waits in a circle";
    pub const ALL_DECIDED: &str = "in the end every order is decided";
    pub const AGREEMENT: &str = "in the end everybody agrees";
    pub const NO_ORPHAN: &str = "in the end nothing is left half-way";
    pub const DRAINED: &str = "in the end outboxes and queues are empty and nothing waits";
    pub const ONLY_INJECTED: &str = "in the end exactly what was injected is parked";
}

type Holds = fn(&Protocol, &State) -> bool;

/// The properties of a configuration.
#[must_use]
pub fn properties(config: &Config) -> Vec<Property<Protocol>> {
    let always = |name, holds: Holds| Property::always(name, holds);
    let mut properties = vec![
        always(name::STOCK, stock),
        always(name::ONCE, |_, s| s.sagas.iter().all(|saga| saga.taken <= 1 && saga.put_back <= saga.taken)),
        always(name::CHARGED_ONCE, |_, s| s.balance >= 0 && s.sagas.iter().all(|saga| saga.charges <= 1)),
        always(name::REFUNDED_ONCE, |_, s| s.sagas.iter().all(|saga| saga.refunds <= saga.charges)),
        always(name::FINAL, |_, s| s.sagas.iter().all(stays_decided)),
        always(name::NO_MONEY_KEPT, |_, s| cancelled(s).all(|saga| saga.charges == saga.refunds)),
        always(name::NO_STOCK_KEPT, |_, s| cancelled(s).all(|saga| saga.taken == saga.put_back)),
        always(name::ANSWERS, |_, s| s.sagas.iter().all(answers)),
        always(name::CONFIRMED_HAS, |_, s| s.sagas.iter().all(has_what_it_paid_for)),
        always(name::REFUSALS, |_, s| s.queued.iter().all(|d| may_refuse(s, d.message.saga, d.message.event))),
        always(name::NEVER_PARKED, |_, s| {
            s.waiting.iter().all(|row| !is_given_up(row.why) || row.message.event.may_be_parked())
        }),
        always(name::PARKED_NOT_DONE, parked_not_done),
        always(name::DEATHS, |_, s| s.deaths <= MOST_DEATHS),
        always(name::ALL_DECIDED, |m, s| !m.is_quiet(s) || s.sagas.iter().all(is_decided)),
        always(name::AGREEMENT, |m, s| !m.is_quiet(s) || s.sagas.iter().all(agrees)),
        always(name::NO_ORPHAN, |m, s| !m.is_quiet(s) || s.sagas.iter().all(is_whole)),
        always(name::DRAINED, |m, s| !m.is_quiet(s) || is_drained(s)),
        always(name::ONLY_INJECTED, |m, s| !m.is_quiet(s) || parked_is_injected(m, s)),
    ];
    properties.extend(witnesses(config));
    properties
}

fn stock(_: &Protocol, s: &State) -> bool {
    let in_state = |hold| i8::try_from(s.sagas.iter().filter(|saga| saga.hold == hold).count()).unwrap_or(i8::MAX);
    s.available >= 0
        && s.available + s.reserved + s.sold == s.stock
        && s.reserved == in_state(Hold::Held)
        && s.sold == in_state(Hold::Sold)
}

fn stays_decided(saga: &Saga) -> bool {
    let told = u8::from(saga.status == Status::Cancelled);
    saga.decided.is_none_or(|status| status == saga.status) && saga.told == told
}

fn cancelled(state: &State) -> impl Iterator<Item = &Saga> {
    state.sagas.iter().filter(|saga| saga.status == Status::Cancelled)
}

fn answers(saga: &Saga) -> bool {
    [Service::Inventory, Service::Payment].into_iter().all(|service| {
        let guards = saga.at(service);
        !guards.compensate.is_answer() || matches!(guards.action, Verdict::Fenced | Verdict::Rejected | Verdict::Undone)
    })
}

fn has_what_it_paid_for(saga: &Saga) -> bool {
    saga.status != Status::Confirmed
        || matches!(saga.hold, Hold::Held | Hold::Sold)
            && saga.charges == saga.refunds + 1
            && !saga.at(Service::Order).pivot_altered
}

fn may_refuse(state: &State, saga: u8, event: Event) -> bool {
    let saga = &state.sagas[usize::from(saga)];
    let rejected = |service| saga.at(service).dropped || saga.at(service).action == Verdict::Rejected;
    match event {
        Event::StockRejected => rejected(Service::Inventory),
        Event::PaymentDeclined => rejected(Service::Payment),
        Event::OrderCancelling => saga.status != Status::Confirmed,
        _ => true,
    }
}

fn is_given_up(why: Why) -> bool {
    matches!(why, Why::Parked | Why::Deadly)
}

/// Of a parked message another copy is settled, so its step cannot have run beside it.
fn parked_not_done(_: &Protocol, state: &State) -> bool {
    state.waiting.iter().filter(|row| row.why == Why::Parked).all(|row| {
        let guards = state.sagas[usize::from(row.message.saga)].at(row.queue.service);
        match row.message.event {
            Event::OrderPlaced | Event::StockReserved => matches!(guards.action, Verdict::Absent | Verdict::Fenced),
            // What another body has done is no doing of this one.
            Event::PaymentCharged => guards.pivot == Verdict::Absent || guards.pivot_altered != row.message.altered,
            _ => true,
        }
    })
}

fn is_decided(saga: &Saga) -> bool {
    matches!(saga.status, Status::Confirmed | Status::Cancelled)
}

/// Confirmed: stock sold, money taken. Cancelled: every step is rejected, undone or fenced.
fn agrees(saga: &Saga) -> bool {
    let (inventory, payment) = (saga.at(Service::Inventory), saga.at(Service::Payment));
    let stands =
        |service: Service, wanted: &[Verdict]| saga.at(service).dropped || wanted.contains(&saga.at(service).action);
    let off = [Verdict::Rejected, Verdict::Undone, Verdict::Fenced];
    match saga.status {
        Status::Confirmed => {
            stands(Service::Inventory, &[Verdict::Done])
                && stands(Service::Payment, &[Verdict::Done])
                && saga.hold == Hold::Sold
                && saga.payment == Payment::Charged
                && (inventory.dropped || inventory.pivot == Verdict::Done)
                && (payment.dropped || payment.compensate == Verdict::Absent)
        }
        Status::Cancelled => {
            stands(Service::Inventory, &off)
                && stands(Service::Payment, &off)
                && matches!(saga.hold, Hold::None | Hold::Released)
                && saga.answers == ALL_ANSWERED
        }
        _ => true,
    }
}

fn is_whole(saga: &Saga) -> bool {
    let half_way = |verdict| matches!(verdict, Verdict::Intent | Verdict::Undoing);
    saga.hold != Hold::Held
        && !matches!(saga.payment, Payment::Charging | Payment::Refunding)
        && saga.job.is_none()
        && saga.announced.is_none()
        && (saga.status != Status::Confirmed || saga.closed)
        && saga.guards.iter().all(|guards| !half_way(guards.action) && !half_way(guards.compensate))
}

fn is_drained(state: &State) -> bool {
    state.outbox.is_empty()
        && state.queued.is_empty()
        && state.waiting.iter().all(|row| !matches!(row.why, Why::Suspect | Why::Waiting))
}

/// A tampered copy, or the message it was made from, is parked; a step that fails too often; what came after retention.
fn parked_is_injected(model: &Protocol, state: &State) -> bool {
    let count = |why| state.waiting.iter().filter(|row| row.why == why).count();
    let tampered = state.sagas.iter().filter(|saga| saga.tampered).count();
    let budget = model.config.budget;
    let failed = count(Why::Parked) == 0 || budget.errors > 1;
    let died = count(Why::Deadly) == 0 || budget.crashes > 2 || model.config.deadly;
    let expired = count(Why::Expired);
    // Whoever was there first made the step's verdict; a lost queue may have taken either of the two with it.
    let elsewhere = state.lost || count(Why::Parked) + count(Why::Deadly) + expired > 0;
    let conflicts = count(Why::Conflict) == tampered || elsewhere && count(Why::Conflict) < tampered;
    conflicts && failed && died && (expired == 0 || model.config.retention)
}

/// What must be reachable in a configuration.
fn witnesses(config: &Config) -> Vec<Property<Protocol>> {
    let (budget, card) = (config.budget, config.money == Money::Card);
    let ended_by_owner = config.deadline || config.cancel;
    let no_stock = config.stock.contains(&0) && !config.deadly;
    let reserves = !config.deadly;
    let declined = if card { config.replies.len() > 1 } else { config.balance.contains(&0) && reserves };
    let mut all: Vec<(bool, &'static str, Holds)> = vec![
        (true, "everything comes to rest", Protocol::is_quiet as Holds),
        (reserves, "an order is confirmed and closed", |_, s| s.sagas.iter().any(|saga| saga.closed)),
        (ended_by_owner || no_stock || declined, "an order is cancelled", |_, s| cancelled(s).next().is_some()),
        (ended_by_owner, "inventory answers: fenced", |_, s| any(s, Service::Inventory, Verdict::Fenced)),
        (ended_by_owner || no_stock, "payment answers: fenced", |_, s| any(s, Service::Payment, Verdict::Fenced)),
        (no_stock, "inventory answers: nothing to undo", |_, s| any(s, Service::Inventory, Verdict::NothingToUndo)),
        (declined, "payment answers: nothing to undo", |_, s| any(s, Service::Payment, Verdict::NothingToUndo)),
        (ended_by_owner && reserves || declined, "inventory answers: undone", |_, s| {
            any(s, Service::Inventory, Verdict::Undone)
        }),
        (ended_by_owner && reserves, "payment answers: undone", |_, s| any(s, Service::Payment, Verdict::Undone)),
        (ended_by_owner && reserves, "money is given back", |_, s| cancelled(s).any(|saga| saga.refunds > 0)),
        (ended_by_owner && reserves, "a late action meets its fence", |_, s| {
            !s.lost && s.sagas.iter().any(met_its_fence(s))
        }),
        (ended_by_owner && reserves, "a charge is superseded", |_, s| {
            s.sagas.iter().any(|saga| saga.at(Service::Order).pivot == Verdict::Superseded)
        }),
        (declined, "everybody has answered before the owner knows", |_, s| {
            s.sagas.iter().any(|saga| saga.status == Status::Pending && saga.answers == ALL_ANSWERED)
        }),
    ];
    all.extend([
        (card && ended_by_owner, "a charge is voided", voided as Holds),
        (card && budget.stalls > 0, "two workers at one job", |_, s| s.sagas.iter().any(|saga| saga.workers.len() > 1)),
        (
            card && config.replies.contains(&Reply::RequireAction),
            "a charge that asks for action is declined",
            |_, s| {
                s.sagas.iter().any(|saga| saga.payment == Payment::Declined && saga.intents.contains(&Intent::Canceled))
            },
        ),
        (budget.losses > 0, "a lost message is healed by an announcement", |_, s| {
            s.lost && s.sagas.iter().any(|saga| saga.idle_repeats > 0 && saga.announced.is_none())
        }),
        (budget.errors > 0, "a message waits", |_, s| s.waiting.iter().any(|row| row.why == Why::Waiting)),
        (
            config.deadline && (budget.errors > 1 || budget.crashes > 2 || config.deadly),
            "a message is parked",
            |_, s| s.waiting.iter().any(|row| is_given_up(row.why)),
        ),
        (budget.tampered > 0, "another body is parked", |_, s| s.waiting.iter().any(|row| row.why == Why::Conflict)),
        (budget.redrives > 0 && budget.errors > 1, "a redriven message is handled", |m, s| {
            s.left.redrives < m.config.budget.redrives && m.is_quiet(s) && s.waiting.is_empty()
        }),
        (config.retention && budget.duplicates > 0, "a message comes after retention", |_, s| {
            s.waiting.iter().any(|row| row.why == Why::Expired)
        }),
    ]);
    all.into_iter().filter(|(applies, ..)| *applies).map(|(_, name, holds)| Property::sometimes(name, holds)).collect()
}

fn any(state: &State, service: Service, answer: Verdict) -> bool {
    state.sagas.iter().any(|saga| saga.at(service).compensate == answer)
}

fn voided(_: &Protocol, state: &State) -> bool {
    cancelled(state).any(|saga| saga.payment == Payment::Voided && saga.intents.contains(&Intent::Canceled))
}

/// Fenced, and the message that would have made it act is nowhere any more.
fn met_its_fence(state: &State) -> impl Fn(&Saga) -> bool + '_ {
    |saga| {
        let on_its_way = state.queued.iter().map(|d| d.message).chain(state.outbox.iter().map(|row| row.message));
        let waits = state.waiting.iter().map(|row| row.message);
        let gone = !on_its_way.chain(waits).any(|message| message.event == Event::OrderPlaced);
        saga.at(Service::Inventory).action == Verdict::Fenced && gone
    }
}
