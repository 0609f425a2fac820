//! R1: guard rows make the effect happen once, and fence a late action after its undo.

use crate::script::Script;
use crate::shop::{Pack, Placed, Seen, effects, said, shop, transactions};
use crate::world::{Fallible, Outcome, World};
use saga_common::testkit::Message;
use saga_common::{SagaId, Verdict};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_delivered_again_changes_nothing() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let saga = SagaId::new();
    let placed = Message::of(saga, &Placed::order())?;
    let first = bench.deliver(&placed).await?;
    assert_eq!(first.verdict, Some(Verdict::Done));
    let again = bench.deliver(&placed).await?;
    let redelivered = bench.deliver(&placed.clone().redelivered()).await?;
    assert_eq!((&again, &redelivered), (&first, &first));
    assert_eq!(effects(&bench, saga).await?, ["reserve"]);
    assert_eq!(said(&bench, saga).await?, ["test.reserved.v1"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_within_one_batch_are_settled_with_the_first() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let saga = SagaId::new();
    let placed = Message::of(saga, &Placed::order())?;
    // The same event under another message id is the same step.
    let twin = Message::of(saga, &Placed::order())?;
    let reports = bench.deliver_batch(&[placed.clone(), placed.clone(), twin, placed.redelivered()]).await?;
    assert!(reports.iter().all(|report| report.verdict == Some(Verdict::Done) && report.waiting.is_none()));
    assert_eq!(effects(&bench, saga).await?, ["reserve"]);
    assert_eq!(script.count("reserve"), 1, "one run is enough: the batch was not split");
    assert_eq!(said(&bench, saga).await?, ["test.reserved.v1"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_before_the_action_fences_it_for_ever() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let saga = SagaId::new();
    let answer = bench.fail(saga).await?;
    assert_eq!(answer.verdict, Some(Verdict::Fenced));
    assert_eq!(answer.said.ok_or("no answer")?.body["outcome"], "fenced");
    let late = bench.deliver(&Message::of(saga, &Placed::order())?).await?;
    assert_eq!((late.verdict, late.waiting), (Some(Verdict::Fenced), None));
    assert!(effects(&bench, saga).await?.is_empty());
    assert_eq!(said(&bench, saga).await?, ["saga.compensated.v1"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_undone_once_and_a_late_copy_of_it_changes_nothing() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let saga = SagaId::new();
    let placed = Message::of(saga, &Placed::order())?;
    bench.deliver(&placed).await?;
    let answer = bench.fail(saga).await?;
    assert_eq!(answer.said.clone().ok_or("no answer")?.body["outcome"], "undone");
    assert_eq!(bench.deliver(&placed).await?.verdict, Some(Verdict::Undone));
    assert_eq!(bench.fail(saga).await?, answer);
    assert_eq!(effects(&bench, saga).await?, ["reserve", "release"]);
    assert_eq!(said(&bench, saga).await?, ["test.reserved.v1", "saga.compensated.v1"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn action_and_undo_at_once_in_two_replicas_never_leave_an_effect() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let (one, other) = (world.bench(shop(&script)?).await?, world.bench(shop(&script)?).await?);
    let (mut acted, mut fenced) = (0, 0);
    for round in 0..60_u64 {
        let saga = SagaId::new();
        let placed = Message::of(saga, &Placed::order())?;
        let failure = Message::failure(saga);
        // From the undo well ahead of the action to the action well ahead of the undo: time itself is what is swept here; that both orders
        // came about, the end of the test demands.
        let (act_in, undo_in) = if round % 2 == 0 { (0, round * 200) } else { ((60 - round) * 200, 0) };
        let after = |us: u64| tokio::time::sleep(std::time::Duration::from_micros(us));
        let acted_on = async { (after(act_in).await, one.deliver(&placed).await).1 };
        let copied = async { (after(act_in).await, other.deliver(&placed).await).1 };
        let undone = async { (after(undo_in).await, other.deliver(&failure).await).1 };
        let (first, second, answer) = tokio::join!(acted_on, copied, undone);
        assert!(first?.waiting.is_none() && second?.waiting.is_none());
        let seen = effects(&one, saga).await?;
        match answer?.verdict {
            Some(Verdict::Undone) => {
                assert_eq!(seen, ["reserve", "release"]);
                acted += 1;
            }
            Some(Verdict::Fenced) => {
                assert!(seen.is_empty(), "fenced, but {seen:?}");
                fenced += 1;
            }
            other => return Err(format!("an undo ended {other:?}").into()),
        }
    }
    assert!(acted > 0 && fenced > 0, "only one order was seen: {acted} times acted, {fenced} times fenced");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_body_under_the_same_key_is_parked_not_taken_for_a_duplicate() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let parked = |report: &saga_common::testkit::Report| {
        report.waiting.as_ref().is_some_and(|w| w.state == "parked" && w.reason.contains("conflict"))
    };
    let saga = SagaId::new();
    bench.deliver(&Message::of(saga, &Placed::order())?).await?;
    let other = bench.deliver(&Message::of(saga, &Placed::word("refuse"))?).await?;
    assert!(parked(&other), "{other:?}");
    assert_eq!(effects(&bench, saga).await?, ["reserve"]);

    let within = SagaId::new();
    let batch = [Message::of(within, &Placed::order())?, Message::of(within, &Placed::word("refuse"))?];
    let reports = bench.deliver_batch(&batch).await?;
    assert!(!parked(&reports[0]) && parked(&reports[1]), "{reports:?}");
    assert_eq!(effects(&bench, within).await?, ["reserve"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_undos_run_in_reverse_order_in_one_transaction() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let saga = SagaId::new();
    bench.deliver_batch(&[Message::of(saga, &Placed::order())?, Message::of(saga, &Pack {})?]).await?;
    bench.confirm_all().await?;

    // The second undo of the two fails: the first has not happened, nothing is answered.
    script.break_down("release");
    let failure = Message::failure(saga);
    let waits = bench.deliver(&failure).await?;
    assert_eq!((waits.verdict, waits.said.is_none()), (None, true));
    assert_eq!(effects(&bench, saga).await?, ["reserve", "pack"]);
    assert!(said(&bench, saga).await?.is_empty());

    script.mend("release");
    bench.skip_waits().await?;
    assert_eq!(bench.run_waiting_once().await?, 1);
    assert_eq!(bench.report(&failure).await?.verdict, Some(Verdict::Undone));
    assert_eq!(effects(&bench, saga).await?, ["reserve", "pack", "unpack", "release"]);
    let undos = "delete from effects where saga_id = $1 and step in ('reserve', 'pack')";
    bench.db().execute(undos, &[&saga.as_uuid()]).await?;
    assert_eq!(transactions(&bench, saga).await?, 1, "undos, verdicts and answer");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_handles_each_message_of_a_saga_once() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let saga = SagaId::new();
    let (one, other) = (Message::of(saga, &Seen {})?, Message::of(saga, &Seen {})?);
    bench.deliver_batch(&[one.clone(), other.clone(), one.clone()]).await?;
    bench.deliver(&other).await?;
    assert_eq!(effects(&bench, saga).await?, ["watch", "watch"]);
    Ok(())
}

/// Found by chaos (seed 41): a plan made while there were few sagas read all between the first and the last of a batch, for each of
/// them, and stayed when there were many.
#[tokio::test]
async fn a_copy_is_looked_up_by_its_key_not_among_all_sagas_in_between() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let messages: Vec<Message> =
        (0..300).map(|_| Message::of(SagaId::new(), &Placed::order())).collect::<Result<_, _>>()?;
    bench.settle(&messages).await;
    bench.db().execute("analyze saga.idempotency_keys", &[]).await?;
    let read = async || -> Fallible<i64> {
        // One after another, so on one connection.
        bench.db().query("select pg_stat_force_next_flush()", &[]).await?;
        let sql =
            "select sum(idx_tup_read)::int8 from pg_stat_user_indexes where indexrelname like 'idempotency_keys%'";
        Ok(bench.db().query(sql, &[]).await?.first().ok_or("a sum")?.get(0))
    };
    let before = read().await?;
    bench.settle(&[messages[0].clone(), messages[299].clone()]).await;
    let found = read().await? - before;
    assert!((2..50).contains(&found), "{found} index entries were read for two sagas");
    Ok(())
}
