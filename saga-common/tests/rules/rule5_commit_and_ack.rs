//! R5: commit, then ack; confirm, then forget.

use crate::script::Script;
use crate::shop::{App, Confirmed, Pack, Placed, Refused, Shop, effects, plain_spoken_shop, shop};
use crate::world::{Fallible, MIGRATOR, Outcome, World, eventually};
use saga_common::testkit::{Message, Replica};
use saga_common::{MessageId, Participant, SagaId, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_process_has_committed_goes_out_after_its_lease_under_the_same_id() -> Outcome {
    let world = World::new().await?;
    // The bench commits and never publishes: a process that died in between.
    let dead = world.bench(shop(&Arc::default())?).await?;
    let (saga, later) = (SagaId::new(), SagaId::new());
    let said = dead.deliver(&Message::of(saga, &Placed::order())?).await?.said.ok_or("nothing was said")?;
    dead.deliver(&Message::of(later, &Placed::order())?).await?;
    let lease =
        "update saga.outbox set leased_until = clock_timestamp() + $2::float8 * interval '1 s' where $1 = any(sagas)";
    dead.db().execute(lease, &[&saga.as_uuid(), &3_600.0]).await?;
    dead.db().execute(lease, &[&later.as_uuid(), &0.0]).await?;
    let wire = world.wire().await?;
    let mut observer = wire.observe(&[("saga.events", "test.reserved")]).await?;
    let replica = world.replica(shop(&Arc::default())?).await?;
    // The sweeper takes the oldest first: it has passed by the row whose lease runs, because its process may live.
    assert_eq!(observer.next().await?.saga_id, Some(later));
    dead.db().execute(lease, &[&saga.as_uuid(), &0.0]).await?;
    let seen = observer.next().await?;
    assert_eq!((seen.message_id, seen.saga_id), (Some(said.message_id), Some(saga)));
    eventually("the row goes once it is confirmed", async || Ok(dead.outbox(saga).await?.is_empty().then_some(())))
        .await?;
    replica.stop().await?;
    Ok(())
}

/// Waits until what is left in the outbox has been published again at least once.
async fn swept(bench: &Shop) -> Outcome {
    let leases = async || -> Fallible<BTreeSet<String>> {
        let rows = bench.db().query("select leased_until::text from saga.outbox", &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };
    // A row that is leased again after a sweep has been through the whole sweep before.
    for _ in 0..2 {
        let before = leases().await?;
        eventually("the sweeper leases what is left", async || Ok((!leases().await?.is_subset(&before)).then_some(())))
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unroutable_message_stays_in_the_outbox_until_there_is_a_queue_for_it() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let replica = world.replica(shop(&Arc::default())?).await?;
    let wire = world.wire().await?;
    let saga = SagaId::new();
    wire.put("shop.events", saga, &Confirmed {}).await?;
    let kept = eventually("it is said", async || Ok(bench.outbox(saga).await?.into_iter().next())).await?;
    swept(&bench).await?;
    assert_eq!(bench.outbox(saga).await?, std::slice::from_ref(&kept));

    let mut observer = wire.observe(&[("saga.events", "test.shipped")]).await?;
    assert_eq!(observer.next().await?.message_id, Some(kept.message_id));
    eventually("the row goes once it is confirmed", async || Ok(bench.outbox(saga).await?.is_empty().then_some(())))
        .await?;
    replica.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unroutable_message_does_not_take_its_neighbours_in_the_batch_with_it() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let replica = world.replica(shop(&script)?).await?;
    let wire = world.wire().await?;
    let mut observer = wire.observe(&[("saga.events", "test.reserved"), ("saga.events", "test.shipped")]).await?;
    // While the first is being worked, the others gather for one batch.
    let gate = script.gate("ship");
    wire.put("shop.events", SagaId::new(), &Confirmed {}).await?;
    gate.reached().await?;
    for _ in 0..20 {
        wire.put("shop.events", SagaId::new(), &Placed::order()).await?;
        wire.put("shop.events", SagaId::new(), &Pack {}).await?;
    }
    eventually("all are with the replica", async || Ok((wire.ready("shop.events").await? == 0).then_some(()))).await?;
    gate.open();
    let mut seen = BTreeSet::new();
    while seen.len() < 21 {
        seen.insert(observer.next().await?.message_id);
    }
    // A neighbour may be published again, if the client has taken the return for its own, but not for ever.
    eventually("only what has no queue is left", async || {
        let left = bench.db().query("select type from saga.unsent", &[]).await?;
        let left: Vec<String> = left.iter().map(|row| row.get(0)).collect();
        Ok((left == vec!["test.packed.v1"; 20]).then_some(()))
    })
    .await?;
    swept(&bench).await?;
    assert_eq!(bench.db().query("select 1 from saga.unsent", &[]).await?.len(), 20);
    replica.stop().await?;
    Ok(())
}

/// What 20 steps say that end in one batch, by the bundles in which it came.
async fn said_by_a_batch(
    participant: Participant<App>,
    script: &Script,
    world: &World,
    settings: Settings,
) -> Fallible<Bundles> {
    let replica = Replica::start(participant, settings, &MIGRATOR).await?;
    let wire = world.wire().await?;
    let mut observer = wire.observe(&[("saga.events", "test.reserved"), ("saga.events", "test.shipped")]).await?;
    let gate = script.gate("ship");
    wire.put("shop.events", SagaId::new(), &Confirmed {}).await?;
    gate.reached().await?;
    let mut sagas = BTreeSet::new();
    for _ in 0..20 {
        let saga = SagaId::new();
        wire.put("shop.events", saga, &Placed::order()).await?;
        sagas.insert(saga);
    }
    eventually("all are with the replica", async || Ok((wire.ready("shop.events").await? == 0).then_some(()))).await?;
    gate.open();
    let mut bundles = Bundles::new();
    while !sagas.is_empty() {
        let seen = observer.next().await?;
        if seen.saga_id.is_some_and(|saga| sagas.remove(&saga)) {
            assert_eq!(seen.source.as_deref(), Some("shop"));
            bundles.entry(seen.bundle).or_default().insert(seen.message_id.ok_or("an event has an id")?);
        }
    }
    replica.stop().await?;
    Ok(bundles)
}

type Bundles = BTreeMap<Option<MessageId>, BTreeSet<MessageId>>;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_says_over_one_route_travels_together_unless_bundles_are_off_or_not_for_it() -> Outcome {
    let (world, script) = (World::new().await?, Arc::<Script>::default());
    let bundles = said_by_a_batch(shop(&script)?, &script, &world, world.settings().await?).await?;
    let together = bundles.iter().filter(|(bundle, _)| bundle.is_some()).map(|(_, events)| events.len()).max();
    assert!(together.is_some_and(|events| events > 1), "{bundles:?}");
    let bench = world.bench(shop(&script)?).await?;
    eventually("each of its events is confirmed", async || {
        let left = bench.db().query("select 1 from saga.unsent where type = 'test.reserved.v1'", &[]).await?;
        Ok(left.is_empty().then_some(()))
    })
    .await?;

    let mut off = world.settings().await?;
    off.bundle_events = 1;
    let plain = said_by_a_batch(shop(&script)?, &script, &world, off).await?;
    assert_eq!(plain.into_keys().collect::<Vec<_>>(), [None]);
    let alone = said_by_a_batch(plain_spoken_shop(&script)?, &script, &world, world.settings().await?).await?;
    assert_eq!(alone.into_keys().collect::<Vec<_>>(), [None]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unroutable_messages_however_many_do_not_keep_a_younger_one_waiting() -> Outcome {
    let world = World::new().await?;
    let dead = world.bench(shop(&Arc::default())?).await?;
    // Older than anything, due again whenever they come back, and at one batch every half second 39 s' worth of them.
    for statement in [
        "create function at_once() returns trigger language plpgsql as
         $$ begin new.leased_until := clock_timestamp(); return new; end $$",
        "create trigger at_once before update on saga.outbox for each row when (new.returns > old.returns)
         execute function at_once()",
        "insert into saga.outbox (unit, ids, sagas, types, fanned_out, causations, traceparents, announcements, bodies, owner,
                                  leased_until)
         select id, array[id], array[id], '{test.nobody.v1}', '{f}', '{null}', '{null}', '{0}', array['{}'::bytea], id,
                clock_timestamp() - interval '1 h'
         from (select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid id from generate_series(1, 20000) n) t",
    ] {
        dead.db().execute(statement, &[]).await?;
    }
    let wire = world.wire().await?;
    let mut observer = wire.observe(&[("saga.events", "test.reserved")]).await?;
    let replica = world.replica(shop(&Arc::default())?).await?;
    let unroutable = async |wanted: &str| -> Fallible<i64> {
        let sql = format!("select count(*) from saga.unsent where type = 'test.nobody.v1' and {wanted}");
        Ok(dead.db().query(&sql, &[]).await?.first().ok_or("a count")?.get(0))
    };
    eventually("some have come back", async || Ok((unroutable("returns > 0").await? > 0).then_some(()))).await?;

    let saga = SagaId::new();
    dead.deliver(&Message::of(saga, &Placed::order())?).await?;
    let lease_over = "update saga.outbox set leased_until = clock_timestamp() where $1 = any(sagas)";
    dead.db().execute(lease_over, &[&saga.as_uuid()]).await?;
    assert_eq!(observer.next().await?.saga_id, Some(saga));
    assert_eq!(unroutable("true").await?, 20_000);
    replica.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_transaction_died_with_its_process_comes_again() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let gate = script.gate("reserve");
    let doomed = world.replica(shop(&script)?).await?;
    let wire = world.wire().await?;
    let saga = SagaId::new();
    wire.put("shop.events", saga, &Placed::order()).await?;
    gate.reached().await?;
    doomed.kill();
    script.remove_gate("reserve");
    assert!(effects(&bench, saga).await?.is_empty());
    let replica = world.replica(shop(&script)?).await?;
    eventually("another one handles it", async || Ok((!effects(&bench, saga).await?.is_empty()).then_some(()))).await?;
    replica.stop().await?;
    assert_eq!(effects(&bench, saga).await?, ["reserve"]);
    assert_eq!(wire.ready("shop.events").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_between_commit_and_ack_leaves_one_effect_and_an_empty_queue() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let gate = script.gate("reserve");
    let replica = world.replica(shop(&script)?).await?;
    let wire = world.wire().await?;
    let saga = SagaId::new();
    wire.put("shop.events", saga, &Placed::order()).await?;
    gate.reached().await?;
    // The management only knows connections that are some seconds old.
    eventually("the connections are closed", async || {
        Ok((world.servers.management().close_connections(&world.name).await? >= 2).then_some(()))
    })
    .await?;
    gate.open();
    eventually("it is handled", async || Ok((!effects(&bench, saga).await?.is_empty()).then_some(()))).await?;
    let wire = world.wire().await?;
    // Behind the redelivered one, and so handled after it.
    let last = SagaId::new();
    wire.put("shop.events", last, &Placed::order()).await?;
    eventually("the replica goes on", async || Ok((!effects(&bench, last).await?.is_empty()).then_some(()))).await?;
    replica.stop().await?;
    assert_eq!(effects(&bench, saga).await?, ["reserve"]);
    assert_eq!(wire.ready("shop.events").await?, 0);
    Ok(())
}

/// Found by `sagactl chaos --minutes 0.7 --seed 11 --rate 40 --deadline-ms 8000
/// --faults delete-order-events,delete-inventory-events,delete-payment-events,delete-failures`: the consumer took the end of its
/// subscription for the end of what was in the buffer, and consumed nothing until its service was restarted.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_deleted_behind_a_delivery_is_declared_and_consumed_again() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let replica = world.replica(shop(&script)?).await?;
    let wire = world.wire().await?;
    let bench = world.bench(shop(&script)?).await?;
    // The end of a subscription may reach the client before the consumer looks for more, or whenever it likes.
    for known in [true, false, true, false] {
        let gate = script.gate("reserve");
        let (held, buffered, after) = (SagaId::new(), SagaId::new(), SagaId::new());
        wire.put("shop.events", held, &Placed::order()).await?;
        gate.reached().await?;
        wire.put("shop.events", buffered, &Placed::order()).await?;
        eventually("the next one is in the buffer", async || Ok((wire.ready("shop.events").await? == 0).then_some(())))
            .await?;
        wire.delete_queue("shop.events").await?;
        if known {
            // It comes over the same connection, so it is read after the end.
            let failed = SagaId::new();
            wire.publish("saga.failures", failed, &Refused {}).await?;
            let fenced = async || Ok((!bench.guards(failed).await?.is_empty()).then_some(()));
            eventually("a failure is handled meanwhile", fenced).await?;
        }
        script.remove_gate("reserve");
        gate.open();
        eventually("the queue is there again and consumed", async || {
            let taken = wire.publish("saga.events", after, &Placed::order()).await?;
            Ok((taken && !effects(&bench, after).await?.is_empty()).then_some(()))
        })
        .await?;
        assert_eq!(effects(&bench, buffered).await?, ["reserve"], "what was in the buffer is worked first");
    }
    replica.stop().await?;
    Ok(())
}
