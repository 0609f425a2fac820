//! R7: locks are taken in one order, so a deadlock is a bug, not weather.

use crate::owner::{owner, place};
use crate::parts::{Answer, counting};
use crate::script::Script;
use crate::shop::{Placed, Shop, shop};
use crate::world::{Outcome, WAITS_FOR_A_ROW, World, eventually};
use saga_common::testkit::Message;
use saga_common::{SagaId, Verdict};
use std::sync::Arc;

impl World {
    /// Once nobody is connected any more, every server process has reported its deadlocks.
    async fn deadlocks(&self) -> crate::world::Fallible<String> {
        let connected = format!("select count(*) from pg_stat_activity where datname = '{}'", self.name);
        eventually(
            "everybody leaves",
            async || Ok((self.ask(&connected).await?.as_deref() == Some("0")).then_some(())),
        )
        .await?;
        let deadlocks = format!("select deadlocks from pg_stat_database where datname = '{}'", self.name);
        self.ask(&deadlocks).await?.ok_or_else(|| "no such database".into())
    }
}

async fn two_replicas(world: &World) -> crate::world::Fallible<(Arc<Shop>, Arc<Shop>)> {
    let script = Arc::<Script>::default();
    Ok((world.bench(shop(&script)?).await?, world.bench(shop(&script)?).await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_touch_the_same_rows_in_opposite_order_never_deadlock() -> Outcome {
    let world = World::new().await?;
    let (one, other) = two_replicas(&world).await?;
    let skus: Vec<String> = (0..20).map(|n| format!("SKU-{n:02}")).collect();
    one.db().execute("insert into stock (sku) select unnest($1::text[])", &[&skus]).await?;
    let rounds = 25_i64;
    for _ in 0..rounds {
        let backwards: Vec<_> = skus.iter().rev().cloned().collect();
        let batch = |order: &[String]| -> Result<Vec<Message>, saga_common::Error> {
            let placed = |sku: &String| Placed { skus: vec![sku.clone()], ..Placed::order() };
            order.iter().map(|sku| Message::of(SagaId::new(), &placed(sku))).collect()
        };
        let (forwards, backwards) = (batch(&skus)?, batch(&backwards)?);
        let (first, second) = tokio::join!(one.deliver_batch(&forwards), other.deliver_batch(&backwards));
        assert!(first?.iter().chain(&second?).all(|report| report.verdict == Some(Verdict::Done)));
    }
    let wrong = one.db().query("select sku, taken from stock where taken <> $1", &[&(2 * rounds)]).await?;
    assert!(wrong.is_empty(), "{wrong:?}");
    drop((one, other));
    assert_eq!(world.deadlocks().await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_undos_and_redeliveries_of_the_same_sagas_in_opposite_order_never_deadlock() -> Outcome {
    let world = World::new().await?;
    let (one, other) = two_replicas(&world).await?;
    for round in 0..20 {
        let sagas: Vec<SagaId> = (0..60).map(|_| SagaId::new()).collect();
        let mut placed =
            sagas.iter().map(|saga| Message::of(*saga, &Placed::order())).collect::<Result<Vec<_>, _>>()?;
        let mut failures: Vec<Message> = sagas.iter().map(|saga| Message::failure(*saga)).collect();
        if round % 2 == 1 {
            // Then their rows in `waiting` are contended for, too.
            placed = placed.into_iter().map(Message::redelivered).collect();
            failures = failures.into_iter().map(Message::redelivered).collect();
        }
        let reversed = |messages: &[Message]| messages.iter().rev().cloned().collect::<Vec<_>>();
        let (placed_reversed, failures_reversed) = (reversed(&placed), reversed(&failures));
        let (a, b, c, d) = tokio::join!(
            one.deliver_batch(&placed),
            other.deliver_batch(&placed_reversed),
            other.deliver_batch(&failures),
            one.deliver_batch(&failures_reversed),
        );
        for report in a?.into_iter().chain(b?) {
            assert!(matches!(report.verdict, Some(Verdict::Undone | Verdict::Fenced | Verdict::Done)), "{report:?}");
        }
        for report in c?.into_iter().chain(d?) {
            assert!(matches!(report.verdict, Some(Verdict::Undone | Verdict::Fenced)), "{report:?}");
        }
    }
    drop((one, other));
    assert_eq!(world.deadlocks().await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_settled_messages_are_locked_in_the_order_in_which_a_redelivery_would_mark_them() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let gate = script.gate("reserve");
    let placed = (0..5).map(|_| Ok(Message::of(SagaId::new(), &Placed::order())?.redelivered()));
    let placed = placed.collect::<Result<Vec<_>, saga_common::Error>>()?;
    let settling = tokio::spawn({
        let (bench, reversed) = (Arc::clone(&bench), placed.iter().rev().cloned().collect::<Vec<_>>());
        async move { bench.deliver_batch(&reversed).await }
    });
    gate.reached().await?;
    // Another replica is at the first row; it will come to the last.
    let lock = "select 1 from saga.waiting where message_id = $1 for update nowait";
    let marking = bench.db().begin().await?;
    marking.query_one(lock, &[&placed[0].id().as_uuid()]).await?;
    gate.open();
    eventually("the settlement comes to the first row, too", async || {
        Ok((!bench.db().query(WAITS_FOR_A_ROW, &[]).await?.is_empty()).then_some(()))
    })
    .await?;
    marking.query_one(lock, &[&placed[4].id().as_uuid()]).await?;
    drop(marking);
    assert!(settling.await??.iter().all(|report| report.verdict == Some(Verdict::Done) && report.waiting.is_none()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn units_that_lock_the_same_sagas_in_opposite_order_never_deadlock() -> Outcome {
    let world = World::new().await?;
    let (one, other) = (world.bench(owner()?).await?, world.bench(owner()?).await?);
    let mut sagas = Vec::new();
    for _ in 0..30 {
        sagas.push(place(&one).await?);
    }
    // Overlapping, not the same: each has some that the other does not want.
    let forwards = sagas[..25].to_vec();
    let backwards: Vec<SagaId> = sagas[5..].iter().rev().copied().collect();
    for _ in 0..20 {
        let at_once = tokio::sync::Barrier::new(2);
        let lock = async |bench: &crate::owner::Owner, sagas: &[SagaId]| -> Outcome {
            let unit = bench.saga().begin().await?;
            at_once.wait().await;
            unit.lock("place", sagas).await?;
            unit.rollback().await;
            Ok(())
        };
        let (first, second) = tokio::join!(lock(&one, &forwards), lock(&other, &backwards));
        first?;
        second?;
    }
    drop((one, other));
    assert_eq!(world.deadlocks().await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_announcements_that_steps_count_under_are_locked_before_any_of_them() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(counting(&script)?).await?;
    let (first, second) = (place(&bench).await?, place(&bench).await?);
    let answer = |saga| Message::of(saga, &Answer { by: "one".to_owned() });
    let batch = [answer(second)?, answer(first)?];
    for saga in [first, second] {
        bench.fail(saga).await?;
    }
    let gate = script.gate("counted");
    let counting = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.deliver_batch(&batch).await }
    });
    gate.reached().await?;
    // The step stands at the second saga and has not come to the first.
    let lock = "select 1 from saga.announcements where saga_id = $1 for update nowait";
    for saga in [first, second] {
        assert!(bench.db().query(lock, &[&saga.as_uuid()]).await.is_err(), "it is locked");
    }
    gate.open();
    counting.await??;
    assert_eq!(bench.db().query(lock, &[&first.as_uuid()]).await?.len(), 1, "it is announced");
    Ok(())
}
