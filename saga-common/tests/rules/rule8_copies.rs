//! R8: a waiting or parked message is one row, whatever copy of it comes along and whichever version of the service runs.

use crate::script::Script;
use crate::shop::{Pack, Placed, Refused, effects, shop, younger_shop};
use crate::world::{Fallible, Outcome, World, eventually};
use saga_common::envelope::BUNDLE;
use saga_common::testkit::{Message, properties};
use saga_common::{MessageId, SagaId, Verdict};
use serde_json::json;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_copy_of_what_waits_or_is_parked_meets_its_row_and_is_settled() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let (waits, parked, undoing) = (SagaId::new(), SagaId::new(), SagaId::new());
    bench.deliver(&Message::of(undoing, &Placed::order())?).await?;
    script.break_down("reserve");
    script.break_down("release");
    let messages = [
        (Message::of(waits, &Placed::order())?, "waiting"),
        (Message::of(parked, &Placed::order())?.with_body("no JSON"), "parked"),
        (Message::failure(undoing), "waiting"),
    ];
    for (message, _) in &messages {
        bench.deliver(message).await?;
    }
    script.mend("reserve");
    script.mend("release");
    let runs = (script.count("reserve"), script.count("release"));
    for (message, state) in &messages {
        let copy = bench.deliver(message).await?;
        assert_eq!(copy.waiting.ok_or("its row is gone")?.state, *state);
    }
    assert_eq!((script.count("reserve"), script.count("release")), runs, "nothing was run out of its turn");
    bench.skip_waits().await?;
    assert_eq!(bench.run_waiting_once().await?, 2);
    assert_eq!(effects(&bench, waits).await?, ["reserve"]);
    assert_eq!(effects(&bench, undoing).await?, ["reserve", "release"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_copy_of_a_suspect_message_runs_alone_and_counted() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let (one, other) = (world.bench(shop(&script)?).await?, world.bench(shop(&script)?).await?);
    let gate = script.gate("reserve");
    let saga = SagaId::new();
    let placed = Message::of(saga, &Placed::order())?;
    let deliver = |bench: &Arc<crate::shop::Shop>, message: Message| {
        let bench = Arc::clone(bench);
        tokio::spawn(async move { bench.deliver(&message).await })
    };
    let suspected = deliver(&one, placed.clone().redelivered());
    gate.reached().await?;
    let copy = deliver(&other, placed.clone());
    eventually("the copy is counted before it is run", async || {
        Ok(one.report(&placed).await?.waiting.filter(|row| row.state == "suspect" && row.attempts == 1))
    })
    .await?;
    gate.open();
    for delivered in [suspected.await??, copy.await??] {
        assert_eq!(delivered.verdict, Some(Verdict::Done));
    }
    assert_eq!(effects(&one, saga).await?, ["reserve"]);
    assert_eq!(one.report(&placed).await?.waiting, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_version_did_not_know_is_handled_by_a_newer_one_under_its_old_row() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let older = world.bench(younger_shop(&script)?).await?;
    let newer = world.bench(shop(&script)?).await?;
    let saga = SagaId::new();
    let pack = Message::of(saga, &Pack {})?;
    let parked = older.deliver(&pack).await?.waiting.ok_or("it is not parked")?;
    assert!(parked.state == "parked" && parked.reason.contains("unknown"), "{parked:?}");

    script.break_down("pack");
    assert_eq!(newer.redrive(pack.id()).await?, Some(1));
    assert_eq!(newer.run_waiting_once().await?, 1);
    let rows = newer.db().query("select state, attempts from saga.waiting", &[]).await?;
    let rows: Vec<(String, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(rows, [("waiting".to_owned(), 1)], "one message, one row");

    script.mend("pack");
    newer.skip_waits().await?;
    assert_eq!(newer.run_waiting_once().await?, 1);
    let report = newer.report(&pack).await?;
    assert_eq!((report.verdict, report.waiting), (Some(Verdict::Done), None));
    assert_eq!(effects(&newer, saga).await?, ["pack"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_the_broker_gave_up_only_a_failure_undoes_when_it_is_redriven() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let wire = world.wire().await?;
    world.replica(shop(&Arc::default())?).await?.stop().await?;
    let (failed, stray) = (SagaId::new(), SagaId::new());
    let (one, other) = (SagaId::new(), SagaId::new());
    for saga in [failed, stray, one, other] {
        bench.deliver(&Message::of(saga, &Placed::order())?).await?;
    }
    // The same event, once where failures are, once where it has no business to be.
    let from_failures = wire.put("shop.failures", failed, &Refused {}).await?;
    let from_events = wire.put("shop.events", stray, &Refused {}).await?;
    for queue in ["shop.failures", "shop.events"] {
        assert!(wire.dead_letter(queue).await?, "{queue} is empty");
    }
    // And two failures in one message.
    let bundled = [(one, MessageId::new()), (other, MessageId::new())];
    let elements = bundled.map(|(saga, id)| json!({"id": id, "subject": saga, "type": "test.refused.v1", "data": {}}));
    let properties = properties("test.refused.v1", one).with_content_type(BUNDLE.into());
    assert!(wire.send("", "shop.failures", properties, &serde_json::to_vec(&elements)?).await?);
    assert!(wire.dead_letter("shop.failures").await?, "the bundle is there");

    let replica = world.replica(shop(&Arc::default())?).await?;
    let row = async |id: MessageId, reason: &str| -> Fallible<Option<String>> {
        let sql = "select queue from saga.waiting where message_id = $1 and state = 'parked' and reason like $2";
        let rows = bench.db().query(sql, &[&id.as_uuid(), &reason]).await?;
        Ok(rows.first().map(|row| row.get(0)))
    };
    let [(_, first), (_, second)] = bundled;
    let parked = [(from_failures, "failures"), (from_events, "events"), (first, "failures"), (second, "failures")];
    for (id, queue) in parked {
        assert_eq!(eventually("it is parked", async || row(id, "%gave the message up%").await).await?, queue);
        assert_eq!(bench.redrive(id).await?, Some(1));
    }
    for saga in [failed, one, other] {
        let undone = async || Ok((effects(&bench, saga).await? == ["reserve", "release"]).then_some(()));
        eventually("the failure undoes", undone).await?;
    }
    eventually("the stray is parked again", async || row(from_events, "unknown%").await).await?;
    replica.stop().await?;
    assert_eq!(effects(&bench, stray).await?, ["reserve"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_of_failures_only_the_one_whose_undo_fails_waits() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let sagas: Vec<SagaId> = (0..5).map(|_| SagaId::new()).collect();
    for saga in &sagas {
        bench.deliver(&Message::of(*saga, &Placed::order())?).await?;
    }
    bench.deliver(&Message::of(sagas[2], &Pack {})?).await?;
    script.break_down("unpack");
    let failures: Vec<Message> = sagas.iter().map(|saga| Message::failure(*saga)).collect();
    for (n, report) in bench.deliver_batch(&failures).await?.into_iter().enumerate() {
        let expected = if n == 2 { (None, true) } else { (Some(Verdict::Undone), false) };
        assert_eq!((report.verdict, report.waiting.is_some()), expected, "{n}");
    }
    assert_eq!(effects(&bench, sagas[2]).await?, ["reserve", "pack"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reason_that_a_stranger_gives_stops_an_undo() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let bodies = [
        serde_json::json!({ "reason": "no\0pe" }),
        serde_json::json!({ "reason": "é".repeat(5_000) }),
        serde_json::json!({ "reason": 7 }),
        serde_json::json!("no object"),
    ];
    for body in bodies {
        let saga = SagaId::new();
        bench.deliver(&Message::of(saga, &Placed::order())?).await?;
        let report = bench.deliver(&Message::failure(saga).with_body(body.to_string())).await?;
        assert_eq!((report.verdict, report.waiting), (Some(Verdict::Undone), None), "{body}");
    }
    Ok(())
}
