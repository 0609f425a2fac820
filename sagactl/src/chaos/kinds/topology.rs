//! Queues, bindings and exchanges disappear. The services put them back; what was in them is healed by deadlines and announcements.

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions, QueuePurgeOptions};
use lapin::types::FieldTable;

use super::{Call, Claim, Done, Fault, Group, Kind, NotInjected, Outcome, Recovers, sentence};
use crate::chaos::rig::Rig;
use crate::chaos::wire::{self, EVENTS, FAILURES, Wire};
use crate::stack::Program::{self, InventorySvc, NotificationSvc, OrderSvc, PaymentSvc};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The target's queue of this role is deleted, with what is in it.
    Delete(&'static str),
    /// What waits in the target's queue of this role is thrown away.
    Purge(&'static str),
    /// One binding of the target's queue of events is removed.
    UnbindEvents,
    /// The binding of the target's queue of failures is removed.
    UnbindFailures,
    /// An exchange is deleted, with all its bindings.
    DeleteExchange(&'static str),
}

const UNDOING: &[Program] = &[OrderSvc, InventorySvc, PaymentSvc];
const ALL: &[Program] = &[OrderSvc, InventorySvc, PaymentSvc, NotificationSvc];

const fn damage(
    name: &'static str,
    targets: &'static [Program],
    damage: Damage,
    does: &'static str,
    stands_for: &'static str,
) -> Kind {
    Kind {
        name,
        group: Group::Topology,
        does,
        stands_for,
        heals: "the services declare it again; lost messages by deadlines and announcements",
        lasts_ms: (0, 0),
        overhead_ms: 600,
        claim: Claim::Servers,
        targets,
        recovers: Recovers::FromBegin,
        fault: Fault::Topology(damage),
    }
}

const DELETED: &str = "the queue is deleted while it is consumed, with what is in it";
const OPERATOR: &str = "an operator's mistake, a queue lost with its node";
const EVENT_QUEUE: Damage = Damage::Delete("events");

/// The kinds.
pub static KINDS: &[Kind] = &[
    damage("delete-order-events", &[OrderSvc], EVENT_QUEUE, DELETED, OPERATOR),
    damage("delete-inventory-events", &[InventorySvc], EVENT_QUEUE, DELETED, OPERATOR),
    damage("delete-payment-events", &[PaymentSvc], EVENT_QUEUE, DELETED, OPERATOR),
    damage("delete-notification-events", &[NotificationSvc], EVENT_QUEUE, DELETED, OPERATOR),
    damage("delete-failures", UNDOING, Damage::Delete("failures"), DELETED, OPERATOR),
    damage("delete-parked", ALL, Damage::Delete("parked"), DELETED, OPERATOR),
    damage(
        "purge-events",
        ALL,
        Damage::Purge("events"),
        "what waits in a service's queue of events is thrown away",
        "an operator's mistake: lost successes",
    ),
    damage(
        "purge-failures",
        UNDOING,
        Damage::Purge("failures"),
        "what waits in a service's queue of failures is thrown away",
        "an operator's mistake: lost failures, refunds that nobody asks for",
    ),
    damage(
        "unbind-events",
        ALL,
        Damage::UnbindEvents,
        "one event no longer reaches the service that reacts to it",
        "a botched migration of bindings: unroutable events",
    ),
    damage(
        "unbind-failures",
        UNDOING,
        Damage::UnbindFailures,
        "failures no longer reach one service, which no publisher can notice",
        "a botched migration of bindings: a refund that is silently lost",
    ),
    damage(
        "delete-exchange-events",
        &[],
        Damage::DeleteExchange(EVENTS),
        "the exchange of successes is deleted, with all bindings",
        "an operator's mistake: every publication is a channel error",
    ),
    damage(
        "delete-exchange-failures",
        &[],
        Damage::DeleteExchange(FAILURES),
        "the exchange of failures is deleted, with all bindings",
        "an operator's mistake: every publication is a channel error",
    ),
];

pub(super) async fn inject(damage: Damage, rig: &Rig, mut call: Call) -> Outcome {
    let wire = Wire::connect(rig.stack.amqp_url()).await.map_err(sentence)?;
    let channel = wire.channel();
    let queue = |role: &str| Ok::<_, NotInjected>(format!("{}.{role}", wire::participant(call.target()?)));
    let done = match damage {
        Damage::Delete(role) => {
            let gone = channel.queue_delete(queue(role)?.into(), QueueDeleteOptions::default()).await;
            Done::with(format!("{} messages in it", gone.map_err(sentence)?))
        }
        Damage::Purge(role) => {
            let gone = channel.queue_purge(queue(role)?.into(), QueuePurgeOptions::default()).await;
            Done::with(format!("{} messages", gone.map_err(sentence)?))
        }
        Damage::UnbindEvents => {
            let queue = queue("events")?;
            let keys = wire::reacts_to(call.target()?);
            let key = call.dice.pick(keys).copied().unwrap_or_default();
            let unbound = channel.queue_unbind(queue.into(), EVENTS.into(), key.into(), FieldTable::default());
            unbound.await.map_err(sentence)?;
            Done::with(key)
        }
        Damage::UnbindFailures => {
            let queue = queue("failures")?;
            let unbound = channel.queue_unbind(queue.into(), FAILURES.into(), "".into(), FieldTable::default());
            unbound.await.map_err(sentence)?;
            Done::quietly()
        }
        Damage::DeleteExchange(exchange) => {
            let gone = channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default());
            gone.await.map_err(sentence)?;
            Done::quietly()
        }
    };
    wire.close().await;
    Ok(done)
}
