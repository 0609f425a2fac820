//! Whether every message that was heard had been said, and every message that was said has been heard.
//!
//! A step records the message it reacted to and the one it said. Two kinds of message are not recorded as said: the owner's own
//! `order.cancelling`, which is announced from wherever the order is decided, and the `order.cancelled` of an order whose
//! participants had all answered before it was decided.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::Contradiction;
use super::agreement::participants;
use crate::audit::Database::{self, Inventory, Notification, Orders, Payment};
use crate::audit::facts::{Guard, Saga, Said};

/// A step of a service reacts to an event of another's step.
struct Reaction {
    at: Database,
    /// A listener's guard rows are `step:<message id>`.
    step: &'static str,
    to: &'static str,
    from: Database,
    /// Nothing else heals its loss: it is said again until it is answered, or is such an answer.
    needed: bool,
}

const fn reaction(at: Database, step: &'static str, to: &'static str, from: Database, needed: bool) -> Reaction {
    Reaction { at, step, to, from, needed }
}

/// The choreography of successes, written a second time.
const REACTIONS: &[Reaction] = &[
    reaction(Inventory, "reserve-stock", "order.placed", Orders, false),
    reaction(Payment, "charge-payment", "stock.reserved", Inventory, false),
    reaction(Orders, "confirm-order", "payment.charged", Payment, false),
    reaction(Inventory, "commit-stock", "order.confirmed", Orders, true),
    reaction(Orders, "close-order", "stock.committed", Inventory, true),
    reaction(Orders, "answer:inventory", "saga.compensated", Inventory, true),
    reaction(Orders, "answer:payment", "saga.compensated", Payment, true),
    reaction(Notification, "notify", "order.confirmed", Orders, false),
    reaction(Notification, "notify", "order.cancelled", Orders, false),
    reaction(Notification, "notify", "order.status-changed", Orders, false),
    reaction(Inventory, "restock-return", "return.requested", Orders, true),
    reaction(Payment, "refund-return", "return.requested", Orders, true),
    reaction(Orders, "note-restock", "return.restocked", Inventory, true),
    reaction(Orders, "note-refund", "return.refunded", Payment, true),
];

/// What a refusal is said with.
const FAILURES: [&str; 3] = ["stock.rejected", "payment.declined", "order.cancelling"];

/// Nothing took effect because of a message that nobody had said, and no failure was obeyed that its order did not take.
pub(super) fn were_said(saga: &Saga) -> Option<Contradiction> {
    let failed =
        saga.guards_at(Orders).any(|it| it.step == PLACE_ORDER && matches!(it.verdict.as_str(), "undone" | "fenced"));
    heard(saga).find_map(|(guard, cause)| {
        let expected = match cause {
            Cause::Itself => (!is_own(guard)).then(|| "a message of its own".to_owned()),
            Cause::Failure => {
                (!failed && !is_recorded(saga, guard.message_id)).then(|| "a failure of this saga".to_owned())
            }
            Cause::Success(_) if was_refused(guard) => None,
            Cause::Success(event) => (!was_said(saga, guard)).then(|| format!("{event}, as it was said")),
        }?;
        let actual = format!("{} reacted to {}, which nobody said", guard.step, guard.message_id);
        Some((format!("{} to react to {expected}", guard.at), actual))
    })
}

/// As [`were_said`], for what did no harm: what was refused, and failures beside the one that is not recorded.
pub(super) fn strangers(saga: &Saga) -> Option<Contradiction> {
    let mut failures = BTreeSet::new();
    for (guard, cause) in heard(saga) {
        match cause {
            Cause::Success(event) if was_refused(guard) && !was_said(saga, guard) => {
                let actual = format!("{} {} {}, which nobody said", guard.step, guard.verdict, guard.message_id);
                return Some((format!("{event}, as it was said"), actual));
            }
            Cause::Failure if !is_recorded(saga, guard.message_id) => {
                failures.insert(guard.message_id.to_string());
            }
            _ => {}
        }
    }
    (failures.len() > 1).then(|| {
        let ids: Vec<String> = failures.into_iter().collect();
        ("at most one failure that is not recorded as said".to_owned(), ids.join(", "))
    })
}

/// Whoever has to handle an event has. What was said within the grace may be under way.
pub(super) fn are_handled(saga: &Saga) -> Option<Contradiction> {
    unheard(saga, true).or_else(|| unanswered(saga))
}

/// The same for events whose loss is healed, or harms nobody.
pub(super) fn arrived(saga: &Saga) -> Option<Contradiction> {
    unheard(saga, false)
}

fn unheard(saga: &Saga, needed: bool) -> Option<Contradiction> {
    sayings(saga).find_map(|(sayer, said)| {
        let mut reactions = REACTIONS.iter().filter(|it| it.needed == needed && it.from == sayer.at && is(said, it.to));
        let deaf = reactions.find(|reaction| {
            let mut guards = saga.guards_at(reaction.at).filter(|guard| reaction.is_of(guard));
            !guards.any(|guard| reaction.at != Notification || guard.message_id == said.id)
        })?;
        let expected = format!("{} {} handled by {}", said.event_type, said.id, deaf.at);
        Some((expected, format!("no {} there", deaf.step)))
    })
}

/// A refusal that a participant of the order did not hear.
fn unanswered(saga: &Saga) -> Option<Contradiction> {
    let required = &saga.order.as_ref()?.required;
    let (_, said) = sayings(saga).find(|(_, said)| FAILURES.iter().any(|failure| is(said, failure)))?;
    let silent = participants(required).find(|at| !saga.guards_at(*at).any(|guard| guard.step == COMPENSATE))?;
    Some((format!("{} {} answered by {silent}", said.event_type, said.id), "no compensate there".to_owned()))
}

const PLACE_ORDER: &str = "place-order";
/// Steps that no message makes run.
const ON_REQUEST: [&str; 4] = [PLACE_ORDER, "ship", "deliver", "begin-return"];
const COMPENSATE: &str = "compensate";

/// What made a step run.
enum Cause {
    /// A request: it began the saga, or moved its order on.
    Itself,
    Failure,
    /// The event it reacts to.
    Success(&'static str),
}

/// Guard rows of steps that are known here, with what should have made them run.
fn heard(saga: &Saga) -> impl Iterator<Item = (&Guard, Cause)> {
    let settled = saga.guards.iter().filter(|guard| !guard.young && !saga.guards_forgotten);
    settled.filter_map(|guard| {
        let cause = if guard.step == COMPENSATE || guard.verdict == "fenced" {
            Cause::Failure
        } else if guard.at == Orders && ON_REQUEST.contains(&guard.step.as_str()) {
            Cause::Itself
        } else {
            Cause::Success(REACTIONS.iter().find(|reaction| reaction.is_of(guard))?.to)
        };
        Some((guard, cause))
    })
}

/// What was said, and by which step.
fn sayings(saga: &Saga) -> impl Iterator<Item = (&Guard, &Said)> {
    let settled = saga.guards.iter().filter(|guard| !guard.young && !saga.guards_forgotten);
    settled.filter_map(|guard| Some((guard, guard.said.as_ref()?)))
}

impl Reaction {
    fn is_of(&self, guard: &Guard) -> bool {
        let name = if self.at == Notification { guard.step.split(':').next() } else { Some(guard.step.as_str()) };
        self.at == guard.at && name == Some(self.step)
    }
}

/// What it reacted to is the event it should react to, as its sayer recorded it, or the end that is not recorded.
fn was_said(saga: &Saga, guard: &Guard) -> bool {
    let mut sources = REACTIONS.iter().filter(|reaction| reaction.is_of(guard));
    let recorded = sources.any(|reaction| {
        let mut said = saga.guards_at(reaction.from).filter_map(|sayer| sayer.said.as_ref());
        said.any(|said| said.id == guard.message_id && is(said, reaction.to))
    });
    recorded || (guard.at == Notification && saga.guards_at(Orders).any(|it| it.said_end))
}

fn is_own(first: &Guard) -> bool {
    first.said.as_ref().is_some_and(|said| said.id == first.message_id)
}

fn was_refused(guard: &Guard) -> bool {
    matches!(guard.verdict.as_str(), "rejected" | "superseded")
}

fn is_recorded(saga: &Saga, message_id: Uuid) -> bool {
    saga.guards.iter().filter_map(|guard| guard.said.as_ref()).any(|said| said.id == message_id)
}

/// Of that type, in any version.
fn is(said: &Said, event: &str) -> bool {
    said.event_type.rsplit_once(".v").is_some_and(|(name, _)| name == event)
}
