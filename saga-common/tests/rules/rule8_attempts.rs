//! R8: what counts as an attempt of a message, whose, and what comes after the last one.

use crate::script::Script;
use crate::shop::{Confirmed, Placed, Shop, effects, shop};
use crate::world::{Fallible, LIMIT, MIGRATOR, Outcome, World, eventually};
use saga_common::testkit::{Message, Replica};
use saga_common::{MessageId, SagaId, Verdict};
use sagactl::chaos::proxy::{Mode, Proxy};
use std::sync::Arc;

/// State, attempts and reason of the message's row, if it has one.
async fn row(bench: &Shop, id: MessageId) -> Fallible<Option<(String, i32, String)>> {
    let sql = "select state, attempts, reason from saga.waiting where message_id = $1";
    let rows = bench.db().query(sql, &[&id.as_uuid()]).await?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1), row.get(2))))
}

async fn counted(bench: &Shop, id: MessageId) -> Fallible<Option<(String, i32)>> {
    Ok(row(bench, id).await?.map(|(state, attempts, _)| (state, attempts)))
}

fn is(state: &str, attempts: i32) -> Option<(String, i32)> {
    Some((state.to_owned(), attempts))
}

/// A history that would take long to live through.
async fn has_had(bench: &Shop, id: MessageId, state: &str, attempts: i32) -> Outcome {
    let sql = "update saga.waiting set state = $2, attempts = $3 where message_id = $1";
    bench.db().execute(sql, &[&id.as_uuid(), &state, &attempts]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_in_a_step_is_no_attempt_of_its_message_until_it_goes_on() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    // In the batch, and three times alone: then it comes through.
    script.lose_connections(4);
    let unlucky = Message::of(SagaId::new(), &Placed::order())?;
    let report = bench.deliver(&unlucky).await?;
    assert_eq!((report.verdict, report.waiting), (Some(Verdict::Done), None));
    assert_eq!(script.count("reserve"), 5);

    // The database is there, and the connection is lost again and again: the event is at fault.
    script.lose_connections(usize::MAX);
    let guilty = Message::of(SagaId::new(), &Placed::order())?;
    tokio::time::timeout(LIMIT, bench.deliver(&guilty)).await??;
    assert_eq!(script.count("reserve"), 10, "in the batch, alone, and three times more");
    for attempt in 0..3 {
        assert_eq!(counted(&bench, guilty.id()).await?, is("waiting", attempt));
        bench.skip_waits().await?;
        bench.run_waiting_once().await?;
    }
    script.lose_connections(0);
    bench.skip_waits().await?;
    bench.run_waiting_once().await?;
    let report = bench.report(&guilty).await?;
    assert_eq!((report.verdict, report.waiting), (Some(Verdict::Done), None));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_the_database_has_ended_is_none_however_often_it_goes_away() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let proxy = Proxy::to(world.database_port()?).await?;
    let bench = world.by_way_of(proxy.port())?.bench(shop(&script)?).await?;
    script.break_down("reserve");
    let message = Message::of(SagaId::new(), &Placed::order())?;
    bench.deliver(&message).await?;
    script.mend("reserve");
    has_had(&bench, message.id(), "suspect", 0).await?;
    // More often than a suspect may end its process.
    for _ in 0..4 {
        let gate = script.gate("reserve");
        bench.skip_waits().await?;
        let attempt = async { Fallible::Ok(bench.run_waiting_once().await?) };
        let outage = async {
            gate.reached().await?;
            let refused = proxy.struck();
            proxy.set(Mode::Refuse);
            script.remove_gate("reserve");
            gate.open();
            // A lease to be renewed, whether the database is there at all, and then the attempt is to be taken back.
            let noticed = async || Ok((proxy.struck() >= refused + 3).then_some(()));
            eventually("the attempt has ended", noticed).await?;
            proxy.set(Mode::Pass);
            Fallible::Ok(())
        };
        tokio::try_join!(attempt, outage)?;
        assert_eq!(counted(&bench, message.id()).await?, is("suspect", 0));
    }
    bench.skip_waits().await?;
    bench.run_waiting_once().await?;
    let report = bench.report(&message).await?;
    assert_eq!((report.verdict, report.waiting), (Some(Verdict::Done), None));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_told_to_stop_during_an_outage_stops_and_its_successor_goes_on() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    script.break_down("reserve");
    let message = Message::of(SagaId::new(), &Placed::order())?;
    bench.deliver(&message).await?;
    script.mend("reserve");
    has_had(&bench, message.id(), "suspect", 0).await?;
    bench.skip_waits().await?;

    let proxy = Proxy::to(world.database_port()?).await?;
    let gate = script.gate("reserve");
    let replica = world.by_way_of(proxy.port())?.replica(shop(&script)?).await?;
    gate.reached().await?;
    let refused = proxy.struck();
    proxy.set(Mode::Refuse);
    script.remove_gate("reserve");
    gate.open();
    eventually("the attempt has ended", async || Ok((proxy.struck() >= refused + 3).then_some(()))).await?;
    tokio::time::timeout(LIMIT, replica.stop()).await??;
    // It could not be taken back: one that ended its process looks the same.
    assert_eq!(counted(&bench, message.id()).await?, is("suspect", 1));

    let successor = world.replica(shop(&script)?).await?;
    bench.skip_waits().await?;
    let done = async || Ok((bench.report(&message).await?.verdict == Some(Verdict::Done)).then_some(()));
    eventually("it is handled", done).await?;
    successor.stop().await?;
    assert_eq!(counted(&bench, message.id()).await?, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_never_reaches_the_server_is_the_fault_of_its_step_not_of_the_database() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let report = bench.deliver(&Message::of(SagaId::new(), &Placed::word("mistype"))?).await?;
    assert_eq!(report.waiting.ok_or("it does not wait")?.state, "waiting");
    assert_eq!(script.count("reserve"), 2, "in the batch and alone");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_hangs_is_ended_its_neighbours_flow_and_it_is_tried_again() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let mut settings = world.settings().await?;
    settings.step_limit_ms = 500;
    let replica = Replica::start(shop(&script)?, settings, &MIGRATOR).await?;
    let wire = world.wire().await?;
    // It is never opened: whoever stands there, stands there for ever.
    let _gate = script.gate("reserve");
    let (hanging, neighbour) = (SagaId::new(), SagaId::new());
    let id = wire.put("shop.events", hanging, &Placed::order()).await?;
    wire.put("shop.events", neighbour, &Confirmed {}).await?;
    eventually("the neighbour is handled", async || Ok((effects(&bench, neighbour).await? == ["ship"]).then_some(())))
        .await?;
    let (state, _, reason) = eventually("it waits", async || row(&bench, id).await).await?;
    assert_eq!(state, "waiting");
    assert!(reason.contains("did not end within 500 ms"), "{reason}");
    assert!(effects(&bench, hanging).await?.is_empty());

    script.remove_gate("reserve");
    eventually("it is handled", async || Ok((!effects(&bench, hanging).await?.is_empty()).then_some(()))).await?;
    let open = "select 1 from pg_stat_activity where datname = current_database() and state like 'idle in trans%'";
    eventually("no transaction is left open", async || Ok(bench.db().query(open, &[]).await?.is_empty().then_some(())))
        .await?;
    replica.stop().await?;
    assert_eq!(effects(&bench, hanging).await?, ["reserve"]);
    assert_eq!(row(&bench, id).await?, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_due_messages_only_the_one_whose_turn_it_is_is_counted_when_the_process_ends() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    script.break_down("reserve");
    let (deadly, behind) = (SagaId::new(), SagaId::new());
    let (first, second) = (Message::of(deadly, &Placed::order())?, Message::of(behind, &Placed::order())?);
    bench.deliver_batch(&[first.clone(), second.clone()]).await?;
    script.mend("reserve");
    let due = async || -> Outcome {
        let sql =
            "update saga.waiting set due_at = clock_timestamp() - $2::float8 * interval '1 s' where message_id = $1";
        bench.db().execute(sql, &[&first.id().as_uuid(), &2.0]).await?;
        bench.db().execute(sql, &[&second.id().as_uuid(), &1.0]).await?;
        Ok(())
    };
    let gate = script.gate("reserve");
    for attempt in 1..=2 {
        due().await?;
        let replica = world.replica(shop(&script)?).await?;
        gate.reached().await?;
        assert_eq!(counted(&bench, first.id()).await?, is("waiting", attempt), "before its handler starts");
        assert_eq!(counted(&bench, second.id()).await?, is("waiting", 0));
        replica.kill();
    }
    script.remove_gate("reserve");
    has_had(&bench, first.id(), "waiting", 8).await?;
    due().await?;
    let replica = world.replica(shop(&script)?).await?;
    eventually("the next is handled", async || Ok((effects(&bench, behind).await? == ["reserve"]).then_some(())))
        .await?;
    replica.stop().await?;
    assert_eq!(counted(&bench, first.id()).await?, is("parked", 9));
    assert!(effects(&bench, deadly).await?.is_empty(), "it was not started again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_message_that_has_ended_the_process_too_often_is_parked_before_the_pivot_and_waits_after_it() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let undoing = SagaId::new();
    bench.deliver(&Message::of(undoing, &Placed::order())?).await?;
    for point in ["reserve", "ship", "release"] {
        script.break_down(point);
    }
    // An attempt that fails says so: those that are only counted have ended the process.
    for (state, enough) in [("waiting", 8), ("suspect", 3)] {
        let placed = Message::of(SagaId::new(), &Placed::order())?;
        bench.deliver(&placed).await?;
        has_had(&bench, placed.id(), state, enough).await?;
        let runs = script.count("reserve");
        bench.skip_waits().await?;
        bench.run_waiting_once().await?;
        assert_eq!(counted(&bench, placed.id()).await?, is("parked", enough + 1));
        assert_eq!(script.count("reserve"), runs, "its handler was not started");
    }
    for (point, message) in
        [("ship", Message::of(SagaId::new(), &Confirmed {})?), ("release", Message::failure(undoing))]
    {
        bench.deliver(&message).await?;
        has_had(&bench, message.id(), "suspect", 3).await?;
        let runs = script.count(point);
        bench.skip_waits().await?;
        bench.run_waiting_once().await?;
        assert_eq!(counted(&bench, message.id()).await?, is("waiting", 4), "no longer alone to blame, but kept");
        assert_eq!(script.count(point), runs, "it lets the others pass first");
        has_had(&bench, message.id(), "waiting", 1_000).await?;
        script.mend(point);
        bench.skip_waits().await?;
        bench.run_waiting_once().await?;
        let report = bench.report(&message).await?;
        assert!(report.waiting.is_none() && report.verdict.is_some(), "{report:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_message_that_takes_long_keeps_those_behind_it_from_no_other_replica() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let (one, other) = (world.bench(shop(&script)?).await?, world.bench(shop(&script)?).await?);
    for point in ["reserve", "ship"] {
        script.break_down(point);
    }
    let (slow, behind) = (SagaId::new(), SagaId::new());
    one.deliver_batch(&[Message::of(slow, &Placed::order())?, Message::of(behind, &Confirmed {})?]).await?;
    for point in ["reserve", "ship"] {
        script.mend(point);
    }
    let due =
        "update saga.waiting set due_at = clock_timestamp() - case saga_id when $1 then 2 else 1 end * interval '1 s'";
    one.db().execute(due, &[&slow.as_uuid()]).await?;
    let gate = script.gate("reserve");
    let running = tokio::spawn({
        let one = Arc::clone(&one);
        async move { one.run_waiting_once().await }
    });
    gate.reached().await?;
    assert_eq!(other.run_waiting_once().await?, 1);
    assert_eq!(effects(&one, behind).await?, ["ship"]);
    gate.open();
    assert_eq!(running.await??, 1, "the other one's is not run again");
    assert_eq!(effects(&one, slow).await?, ["reserve"]);
    Ok(())
}
