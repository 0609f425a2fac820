//! R8: what cannot be handled now waits or is parked, and nobody else suffers.

use crate::script::Script;
use crate::shop::{Confirmed, Placed, Shop, effects, shop};
use crate::world::{Fallible, Outcome, World, eventually};
use saga_common::testkit::{Message, Waiting};
use saga_common::{SagaId, Verdict};
use std::sync::Arc;
use std::time::Duration;

async fn waiting(bench: &Shop, message: &Message) -> Fallible<Waiting> {
    bench.report(message).await?.waiting.ok_or_else(|| "it does not wait".into())
}

/// The next attempt, now.
async fn attempt(bench: &Shop) -> Outcome {
    bench.skip_waits().await?;
    assert_eq!(bench.run_waiting_once().await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_step_waits_longer_each_time_and_is_parked_until_it_is_redriven() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    script.break_down("reserve");
    let saga = SagaId::new();
    let placed = Message::of(saga, &Placed::order())?;
    bench.deliver(&placed).await?;
    for wait_ms in [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000] {
        attempt(&bench).await?;
        let waiting = waiting(&bench, &placed).await?;
        let wait = Duration::from_millis(wait_ms);
        assert_eq!(waiting.state, "waiting");
        assert!(waiting.reason.contains("reserve is broken down"), "{waiting:?}");
        // Half to whole of it; less what has passed since.
        assert!(waiting.due_in <= wait && waiting.due_in + Duration::from_secs(1) >= wait / 2, "{wait:?}: {waiting:?}");
    }
    assert_eq!(bench.run_waiting_once().await?, 0, "its time has not come");
    attempt(&bench).await?;
    assert_eq!(waiting(&bench, &placed).await?.state, "parked");
    bench.skip_waits().await?;
    assert_eq!(bench.run_waiting_once().await?, 0, "what is parked stays");
    let copy = bench.deliver(&placed.clone().redelivered()).await?;
    assert_eq!(copy.waiting.ok_or("it is gone")?.state, "parked", "another copy meets the row and is settled");

    script.mend("reserve");
    assert_eq!(bench.redrive(placed.id()).await?, Some(1));
    assert_eq!(bench.run_waiting_once().await?, 1);
    let done = bench.report(&placed).await?;
    assert_eq!((done.verdict, done.waiting), (Some(Verdict::Done), None));
    assert_eq!(effects(&bench, saga).await?, ["reserve"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_retry_can_mend_is_parked_at_once_and_only_the_guilty_suffers() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let placed = |word: &str| Message::of(SagaId::new(), &Placed::word(word));
    let batch = [
        placed("sell")?,
        placed("dead-letter")?,
        placed("panic")?,
        placed("fail")?,
        placed("sell")?.with_body("no JSON"),
        placed("sell")?.without_saga(),
        placed("sell")?,
    ];
    let reports = bench.deliver_batch(&batch).await?;
    let states: Vec<_> = reports.iter().map(|r| r.waiting.as_ref().map_or("handled", |w| w.state.as_str())).collect();
    assert_eq!(states, ["handled", "parked", "waiting", "waiting", "parked", "parked", "handled"]);
    let handled: Vec<_> = [&reports[0], &reports[6]].iter().map(|report| report.verdict).collect();
    assert_eq!(handled, [Some(Verdict::Done); 2]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_pivot_and_in_undos_nothing_is_ever_given_up() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let (shipping, undoing) = (SagaId::new(), SagaId::new());
    bench.deliver(&Message::of(undoing, &Placed::order())?).await?;
    let hopeless = Message::of(SagaId::new(), &Confirmed {})?.with_body("no JSON");
    for (point, message) in [("ship", Message::of(shipping, &Confirmed {})?), ("release", Message::failure(undoing))] {
        script.break_down(point);
        bench.deliver(&message).await?;
        for _ in 0..20 {
            attempt(&bench).await?;
            let waiting = waiting(&bench, &message).await?;
            assert!(waiting.state == "waiting" && waiting.due_in <= Duration::from_secs(30), "{waiting:?}");
        }
        script.mend(point);
        attempt(&bench).await?;
        let done = bench.report(&message).await?;
        assert!(matches!(done.verdict, Some(Verdict::Done | Verdict::Undone)) && done.waiting.is_none(), "{done:?}");
    }
    assert_eq!(bench.deliver(&hopeless).await?.waiting.ok_or("it is gone")?.state, "waiting");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_keeps_ending_the_process_is_parked_and_its_neighbours_are_handled() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let wire = world.wire().await?;
    let state = async |id: saga_common::MessageId| -> Fallible<Option<(String, i32)>> {
        let sql = "select state, attempts from saga.waiting where message_id = $1";
        let rows = bench.db().query(sql, &[&id.as_uuid()]).await?;
        Ok(rows.first().map(|row| (row.get(0), row.get(1))))
    };
    world.replica(shop(&script)?).await?.stop().await?;
    let gate = script.gate("reserve");
    let (deadly, neighbour) = (SagaId::new(), SagaId::new());
    let id = wire.put("shop.events", deadly, &Placed::order()).await?;
    wire.put("shop.events", neighbour, &Confirmed {}).await?;
    // While the handler runs, its row says what a death in it would mean.
    for row in [None, Some(("suspect", 0)), Some(("suspect", 1)), Some(("suspect", 2)), Some(("suspect", 3))] {
        let replica = world.replica(shop(&script)?).await?;
        gate.reached().await?;
        assert_eq!(state(id).await?, row.map(|(state, attempts)| (state.to_owned(), attempts)));
        replica.kill();
        eventually("the message is back", async || Ok((wire.ready("shop.events").await? > 0).then_some(()))).await?;
    }
    let replica = world.replica(shop(&script)?).await?;
    eventually("it is parked", async || Ok(state(id).await?.filter(|(state, _)| state == "parked"))).await?;
    eventually("the neighbour is handled", async || Ok((effects(&bench, neighbour).await? == ["ship"]).then_some(())))
        .await?;
    assert_eq!(script.count("reserve"), 5, "the handler was not started again");
    replica.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_under_a_step_is_not_counted_against_its_message() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let gate = script.gate("reserve");
    let saga = SagaId::new();
    let placed = Message::of(saga, &Placed::order())?;
    let delivering = tokio::spawn({
        let (bench, placed) = (Arc::clone(&bench), placed.clone());
        async move { bench.deliver(&placed).await }
    });
    // In the batch, and again when the message is alone.
    gate.reached().await?;
    let alone = script.gate("reserve");
    world.cut_off().await?;
    gate.open();
    alone.reached().await?;
    script.remove_gate("reserve");
    world.cut_off().await?;
    alone.open();
    let report = delivering.await??;
    assert_eq!((report.verdict, report.waiting), (Some(Verdict::Done), None));
    assert_eq!(effects(&bench, saga).await?, ["reserve"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_a_service_acks_nothing_and_goes_on_when_it_is_back() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let wire = world.wire().await?;
    let gate = script.gate("reserve");
    let doomed = world.replica(shop(&script)?).await?;
    let sagas: Vec<SagaId> = (0..5).map(|_| SagaId::new()).collect();
    for saga in &sagas {
        wire.put("shop.events", *saga, &Placed::order()).await?;
    }
    gate.reached().await?;
    world.outage().await?;
    gate.open();
    let ready = async |wanted: u32| {
        eventually("the queue", async || Ok((wire.ready("shop.events").await? == wanted).then_some(()))).await
    };
    ready(0).await?;
    // Time enough to ack what it could not commit; that something does not happen, has no event to wait for.
    tokio::time::sleep(Duration::from_millis(500)).await;
    doomed.kill();
    ready(5).await?;
    world.back_again().await?;

    // Its successor lives through another outage, with all of them in its hands.
    let gate = script.gate("reserve");
    let replica = world.replica(shop(&script)?).await?;
    gate.reached().await?;
    world.outage().await?;
    gate.open();
    world.back_again().await?;
    for saga in &sagas {
        eventually("it is handled", async || Ok((effects(&bench, *saga).await? == ["reserve"]).then_some(()))).await?;
    }
    eventually("nothing waits, nothing was counted", async || {
        Ok(bench.db().query("select 1 from saga.waiting", &[]).await?.is_empty().then_some(()))
    })
    .await?;
    replica.stop().await?;
    assert_eq!(wire.ready("shop.events").await?, 0);
    Ok(())
}
