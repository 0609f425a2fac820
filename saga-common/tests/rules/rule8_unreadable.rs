//! R8, where the broker's client gives up: texts among a message's properties that are no UTF-8.

use crate::raw::{Bytes, Raw, long, short};
use crate::script::Script;
use crate::shop::{Placed, Shop, effects, shop};
use crate::world::{Fallible, MIGRATOR, Outcome, World, eventually};
use saga_common::testkit::{Replica, Wire};
use saga_common::topology::QueueType;
use saga_common::{MessageId, SagaId};
use std::sync::Arc;

const NOT_UTF8: &[u8] = b"\xff\xfe";

/// A message that could be read.
fn message(queue: &str, saga: SagaId) -> Fallible<Bytes> {
    Ok(Bytes {
        routing_key: queue.into(),
        message_id: MessageId::new().to_string().into(),
        correlation_id: saga.to_string().into(),
        event_type: b"test.placed.v1".into(),
        app_id: b"elsewhere".into(),
        body: serde_json::to_vec(&Placed::order())?,
        ..Bytes::default()
    })
}

/// The same message in every way in which the client cannot read it. An odd one has no usable message id.
fn unreadable(message: &Bytes) -> Vec<Bytes> {
    let text = NOT_UTF8.to_vec();
    let id = || MessageId::new().to_string().into();
    let key = [short(NOT_UTF8), b"V".to_vec()].concat();
    let deeper = |depth: usize| (0..depth).fold(vec![b'V'], |inner, _| [vec![b'A'], long(&inner)].concat());
    let inner = [short(b"table"), vec![b'F'], long(&key)].concat();
    vec![
        Bytes { event_type: text.clone(), message_id: id(), ..message.clone() },
        Bytes { app_id: text.clone(), message_id: id(), ..message.clone() },
        Bytes { headers: key, message_id: id(), ..message.clone() },
        Bytes { headers: inner, message_id: id(), ..message.clone() },
        Bytes { headers: [short(b"deep"), deeper(40)].concat(), correlation_id: text.clone(), ..message.clone() },
        Bytes { message_id: text, body: vec![7; 300_000], ..message.clone() },
    ]
}

/// What is written down: saga, type, state, reason, step, is there anything to be gained by a redrive, bytes.
async fn parked(bench: &Shop, queue: &str) -> Fallible<Vec<(Option<String>, String, String, bool, i32)>> {
    let sql = "select saga_id::text, type, reason, redrivable, length(body) from saga.waiting
               where queue = $1 and state = 'parked' and step = '-' order by first_seen_at";
    let rows = bench.db().query(sql, &[&queue]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))).collect())
}

async fn has_effects(bench: &Shop, saga: SagaId, expected: &[&str]) -> Outcome {
    eventually("the effects", async || Ok((effects(bench, saga).await? == expected).then_some(()))).await
}

/// Nothing is left, but perhaps what was handled and not yet acked when a connection ended: the test's own client, which
/// is the services', can read it.
async fn nothing_but_copies_is_left(wire: &Wire, queue: &str, handled: &[SagaId]) -> Outcome {
    let left = wire.take_all(queue).await?;
    assert!(left.iter().all(|copy| copy.saga_id.is_some_and(|saga| handled.contains(&saga))), "{queue}: {left:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_the_client_cannot_read_ends_parked_and_its_neighbours_flow() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let wire = world.wire().await?;
    let replica = world.replica(shop(&script)?).await?;
    let mut raw = Raw::connect(&world.amqp_url().await?).await?;
    let strange = SagaId::new();
    let bad = unreadable(&message("shop.events", strange)?);
    let mut good = Vec::new();
    for bad in &bad {
        let saga = SagaId::new();
        raw.publish(&message("shop.events", saga)?).await?;
        raw.publish(bad).await?;
        good.push(saga);
    }
    let last = SagaId::new();
    raw.publish(&message("shop.events", last)?).await?;
    raw.close().await?;
    good.push(last);
    for saga in &good {
        has_effects(&bench, *saga, &["reserve"]).await?;
    }
    let rows =
        eventually("all are parked", async || Ok(Some(parked(&bench, "events").await?).filter(|rows| rows.len() == 6)))
            .await?;
    for ((saga, event_type, reason, redrivable, bytes), bad) in rows.into_iter().zip(bad) {
        let known = bad.correlation_id != NOT_UTF8;
        assert_eq!(saga, known.then(|| strange.to_string()));
        assert_eq!(event_type, String::from_utf8_lossy(&bad.event_type));
        assert!(reason.starts_with("malformed: a "), "{reason}");
        assert!(!redrivable);
        assert_eq!(usize::try_from(bytes)?, bad.body.len());
    }
    assert!(effects(&bench, strange).await?.is_empty(), "none of them was run");
    replica.stop().await?;
    nothing_but_copies_is_left(&wire, "shop.events", &good).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_the_client_cannot_read_undoes_if_only_its_saga_is_known() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let wire = world.wire().await?;
    let replica = world.replica(shop(&script)?).await?;
    let mut sagas = vec![SagaId::new(), SagaId::new()];
    let failure = |saga| message("shop.failures", saga);
    let readable = failure(sagas[0])?;
    // A fanout takes any routing key, and the client reads that before all else.
    let misrouted = Bytes { exchange: "saga.failures", routing_key: NOT_UTF8.into(), ..failure(sagas[1])? };
    let unknown = Bytes { correlation_id: NOT_UTF8.into(), ..failure(SagaId::new())? };
    let mut failures = vec![unknown, misrouted, readable];
    for at in 0..4 {
        let saga = SagaId::new();
        sagas.push(saga);
        failures.push(unreadable(&failure(saga)?).swap_remove(at));
    }
    for saga in &sagas {
        wire.put("shop.events", *saga, &Placed::order()).await?;
    }
    for saga in &sagas {
        has_effects(&bench, *saga, &["reserve"]).await?;
    }
    let mut raw = Raw::connect(&world.amqp_url().await?).await?;
    for failure in &failures {
        raw.publish(failure).await?;
    }
    // What the broker itself has given up, and what somebody put there.
    let died = [short(b"x-first-death-queue"), b"S".to_vec(), long(b"shop.failures"), short(NOT_UTF8), b"V".to_vec()];
    let died = died.concat();
    let dead = SagaId::new();
    raw.publish(&Bytes { headers: died.clone(), ..message("shop.parked", dead)? }).await?;
    raw.publish(&Bytes { headers: died, ..message("shop.events", dead)? }).await?;
    raw.close().await?;
    for saga in &sagas {
        has_effects(&bench, *saga, &["reserve", "release"]).await?;
    }
    let all = async || {
        let (failures, events) = (parked(&bench, "failures").await?, parked(&bench, "events").await?);
        let mut known: Vec<_> = failures.into_iter().map(|(saga, .., redrivable, _)| (saga, redrivable)).collect();
        known.sort();
        let died = (Some(dead.to_string()), true);
        Ok((known == [(None, false), died] && events.len() == 1 && !events[0].3).then_some(()))
    };
    eventually("what belongs to no saga is parked; what died is for a person to redrive", all).await?;
    replica.stop().await?;
    for queue in ["shop.events", "shop.failures", "shop.parked"] {
        nothing_but_copies_is_left(&wire, queue, &sagas).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_of_them_than_one_look_holds_do_not_stop_two_replicas_of_a_quorum_queue() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let wire = world.wire().await?;
    let mut settings = world.settings().await?;
    (settings.queue_type, settings.prefetch) = (QueueType::Quorum, 2);
    let replica = async || Replica::start(shop(&script)?, settings.clone(), &MIGRATOR).await.map_err(Into::into);
    let replicas: [Fallible<Replica>; 2] = [replica().await, replica().await];
    let mut raw = Raw::connect(&world.amqp_url().await?).await?;
    let mut good = Vec::new();
    for _ in 0..3 {
        let saga = SagaId::new();
        raw.publish(&message("shop.events", saga)?).await?;
        for bad in unreadable(&message("shop.events", SagaId::new())?) {
            raw.publish(&bad).await?;
        }
        good.push(saga);
    }
    raw.close().await?;
    for saga in &good {
        has_effects(&bench, *saga, &["reserve"]).await?;
    }
    eventually("all are parked", async || Ok((parked(&bench, "events").await?.len() == 18).then_some(()))).await?;
    for replica in replicas {
        replica?.stop().await?;
    }
    nothing_but_copies_is_left(&wire, "shop.events", &good).await
}
