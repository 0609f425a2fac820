//! Messages are repeated, reordered, held and forged.

use std::time::Duration;

use lapin::options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::protocol::basic::AMQPProperties;
use lapin::types::FieldTable;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Call, Claim, Done, Fault, Group, Kind, NotInjected, Outcome, Recovers, sentence};
use crate::chaos::rig::Rig;
use crate::chaos::wire::{self, Copied, EVENTS, Wire};
use crate::client::Service;
use crate::stack::Program::{self, InventorySvc, NotificationSvc, OrderSvc, PaymentSvc};

/// What is done with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// The latest are said ten times more.
    TenTimes,
    /// Old ones are said again, in random order.
    Replay,
    /// A service's events are held, and delivered later in random order.
    HoldAndShuffle,
    /// Something that must be parked is put into a service's queue.
    Junk(Junk),
    /// Everything that is parked is tried again.
    Redrive,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Junk {
    /// No JSON.
    Unreadable,
    /// Larger than bodies may be.
    Oversized,
    /// A type that nobody knows.
    UnknownType,
    /// A version that nobody knows.
    UnknownVersion,
    /// No saga.
    NoSaga,
    /// A saga id that is no UUIDv7, so nobody can tell its age.
    OldSaga,
}

const ALL: &[Program] = &[OrderSvc, InventorySvc, PaymentSvc, NotificationSvc];

const fn mischief(name: &'static str, mischief: Mischief, texts: [&'static str; 3]) -> Kind {
    Kind {
        name,
        group: Group::Messages,
        does: texts[0],
        stands_for: texts[1],
        heals: texts[2],
        lasts_ms: (0, 0),
        overhead_ms: 1_000,
        claim: Claim::ServersUp,
        targets: &[],
        recovers: Recovers::FromEnd,
        fault: Fault::Messages(mischief),
    }
}

const fn junk(name: &'static str, what: Junk, does: &'static str) -> Kind {
    let heals = "it is parked, its neighbours flow; the audit expects exactly it to be parked";
    Kind { targets: ALL, ..mischief(name, Mischief::Junk(what), [does, "poison: a broken or hostile sender", heals]) }
}

const GUARDED: &str = "guard rows make every copy a duplicate";

/// The kinds.
pub static KINDS: &[Kind] = &[
    mischief(
        "duplicates-x10",
        Mischief::TenTimes,
        ["the latest messages are said ten times more", "redelivery without end", GUARDED],
    ),
    mischief(
        "replay-old",
        Mischief::Replay,
        ["messages from any time of the run are said again, in random order", "a replay of old events", GUARDED],
    ),
    Kind {
        lasts_ms: (500, 4_000),
        targets: ALL,
        claim: Claim::Servers,
        ..mischief(
            "hold-and-shuffle",
            Mischief::HoldAndShuffle,
            [
                "a service's events are held for a while, then delivered in random order",
                "reordering: an undo overtakes its action",
                "steps do not depend on order; what fails before its time waits",
            ],
        )
    },
    junk("junk-unreadable", Junk::Unreadable, "a message whose body is no JSON"),
    junk("junk-oversized", Junk::Oversized, "a message larger than messages may be"),
    junk("junk-unknown-type", Junk::UnknownType, "a message of a type that nobody knows"),
    junk("junk-unknown-version", Junk::UnknownVersion, "a known event in a version from the future"),
    junk("junk-no-saga", Junk::NoSaga, "a message that belongs to no saga"),
    junk("junk-old-saga", Junk::OldSaga, "a message whose saga id is no UUIDv7"),
    mischief(
        "redrive-parked",
        Mischief::Redrive,
        ["everything that is parked is tried again", "an operator's hope", "what is broken is parked again"],
    ),
];

pub(super) async fn inject(mischief: Mischief, rig: &Rig, mut call: Call) -> Outcome {
    match mischief {
        Mischief::TenTimes => {
            let latest = rig.wiretap.latest(60);
            let mut copies: Vec<Copied> = (0..10).flat_map(|_| latest.iter().cloned()).collect();
            call.dice.shuffle(&mut copies);
            publish(rig, &copies).await
        }
        Mischief::Replay => publish(rig, &rig.wiretap.some(400, &mut call.dice)).await,
        Mischief::HoldAndShuffle => hold_and_shuffle(rig, &mut call).await,
        Mischief::Junk(what) => forge(rig, &call, what).await,
        Mischief::Redrive => match redrive(rig).await? {
            Redriven { redriven: 0, refused: 0 } => Ok(Done::missed("nothing was parked")),
            Redriven { redriven, refused } => Ok(Done::with(format!("{redriven} tried again, {refused} refused"))),
        },
    }
}

async fn publish(rig: &Rig, messages: &[Copied]) -> Outcome {
    if messages.is_empty() {
        return Ok(Done::missed("nothing was said yet"));
    }
    let wire = Wire::connect(rig.stack.amqp_url()).await.map_err(sentence)?;
    let taken = wire.publish(messages).await.map_err(sentence)?;
    wire.close().await;
    Ok(Done::with(format!("{taken} copies")))
}

const HELD: &str = "chaos.held";

async fn hold_and_shuffle(rig: &Rig, call: &mut Call) -> Outcome {
    let target = call.target()?;
    let queue = format!("{}.events", wire::participant(target));
    let wire = Wire::connect(rig.stack.amqp_url()).await.map_err(sentence)?;
    let channel = wire.channel();
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    // One that broke off may have left it, bound to what another service reacts to: its messages are not this one's.
    channel.queue_delete(HELD.into(), QueueDeleteOptions::default()).await.map_err(sentence)?;
    channel.queue_declare(HELD.into(), durable, FieldTable::default()).await.map_err(sentence)?;
    // Bound before the other is unbound, and the other way round at the end: copies are harmless, losses are another kind.
    for key in wire::reacts_to(target) {
        let bound = channel.queue_bind(
            HELD.into(),
            EVENTS.into(),
            (*key).into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.map_err(sentence)?;
        let unbound = channel.queue_unbind(queue.as_str().into(), EVENTS.into(), (*key).into(), FieldTable::default());
        unbound.await.map_err(sentence)?;
    }
    rig.hold(call.lasts).await;
    for key in wire::reacts_to(target) {
        let options = QueueBindOptions::default();
        let bound =
            channel.queue_bind(queue.as_str().into(), EVENTS.into(), (*key).into(), options, FieldTable::default());
        bound.await.map_err(sentence)?;
        let unbound = channel.queue_unbind(HELD.into(), EVENTS.into(), (*key).into(), FieldTable::default());
        unbound.await.map_err(sentence)?;
    }
    let mut held = Vec::new();
    let no_ack = BasicGetOptions { no_ack: true };
    while let Some(message) = channel.basic_get(HELD.into(), no_ack).await.map_err(sentence)? {
        let (exchange, routing_key) = (String::new(), queue.clone());
        held.push(Copied {
            exchange,
            routing_key,
            properties: message.delivery.properties,
            body: message.delivery.data,
        });
    }
    channel.queue_delete(HELD.into(), QueueDeleteOptions::default()).await.map_err(sentence)?;
    call.dice.shuffle(&mut held);
    let taken = wire.publish(&held).await.map_err(sentence)?;
    wire.close().await;
    Ok(if taken == 0 { Done::missed("nothing came by") } else { Done::with(format!("{taken} messages")) })
}

async fn forge(rig: &Rig, call: &Call, what: Junk) -> Outcome {
    let target = call.target()?;
    let known = wire::reacts_to(target).first().copied().unwrap_or_default();
    let message = Uuid::now_v7();
    let (saga, kind, body) = match what {
        Junk::Unreadable => (Some(Uuid::now_v7()), format!("{known}.v1"), b"{\"half\":".to_vec()),
        Junk::Oversized => (Some(Uuid::now_v7()), format!("{known}.v1"), vec![b' '; 1_100_000]),
        Junk::UnknownType => (Some(Uuid::now_v7()), "moon.eclipsed.v1".to_owned(), b"{}".to_vec()),
        Junk::UnknownVersion => (Some(Uuid::now_v7()), format!("{known}.v99"), b"{}".to_vec()),
        Junk::NoSaga => (None, format!("{known}.v1"), b"{}".to_vec()),
        Junk::OldSaga => {
            (Some(Uuid::from_u128(0x1111_2222_3333_4444_8555_6666_7777_8888)), format!("{known}.v1"), b"{}".to_vec())
        }
    };
    let mut properties = AMQPProperties::default()
        .with_message_id(message.to_string().into())
        .with_type(kind.into())
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_headers(FieldTable::default());
    if let Some(saga) = saga {
        properties = properties.with_correlation_id(saga.to_string().into());
    }
    let routing_key = format!("{}.events", wire::participant(target));
    let wire = Wire::connect(rig.stack.amqp_url()).await.map_err(sentence)?;
    let forged = Copied { exchange: String::new(), routing_key, properties, body };
    let taken = wire.publish(&[forged]).await.map_err(sentence)?;
    wire.close().await;
    if taken == 0 {
        return Err(NotInjected("the broker did not take it".to_owned()));
    }
    rig.made_junk(message);
    // Until it is parked, nobody may delete the queue it is in.
    let service = Service::ALL.into_iter().find(|it| Program::from(*it) == target).unwrap_or(Service::Order);
    let give_up = Instant::now() + Duration::from_secs(40);
    while Instant::now() < give_up {
        if rig.client.parked_show(service, message).await.is_ok() {
            return Ok(Done::with(format!("{message} is parked")));
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(Done::with(format!("{message} is not parked after 40 s")))
}

/// No service lists more.
const MOST_LISTED: u32 = 1_000;

/// What came of trying everything parked again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Redriven {
    /// Tried again.
    pub redriven: usize,
    /// Refused, because it can never be handled.
    pub refused: usize,
}

/// Tries everything that is parked again.
///
/// # Errors
/// When a service does not answer, or has more parked than it lists.
pub async fn redrive(rig: &Rig) -> Result<Redriven, NotInjected> {
    let mut all = Redriven::default();
    for service in Service::ALL {
        let parked = rig.client.parked(service, MOST_LISTED).await.map_err(sentence)?;
        if parked.len() >= MOST_LISTED as usize {
            return Err(NotInjected(format!("{service} has more parked than it lists")));
        }
        for message in parked {
            match rig.client.redrive(service, message.message_id).await {
                Ok(_) => all.redriven += 1,
                Err(error) if error.status() == Some(409) => all.refused += 1,
                Err(error) => return Err(sentence(error)),
            }
        }
    }
    Ok(all)
}
