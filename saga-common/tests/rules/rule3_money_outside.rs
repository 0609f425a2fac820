//! R3: a call outside is intent, call, settle; of an undo and a call at once, the undo decides.

use crate::script::Script;
use crate::shop::{Charge, Shop, effects, said, shop, transactions};
use crate::world::{Fallible, LIMIT, Outcome, World};
use saga_common::testkit::Message;
use saga_common::{SagaId, Verdict};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Runs the jobs that are due beside the test.
fn working(bench: &Arc<Shop>) -> JoinHandle<Result<usize, saga_common::Error>> {
    let bench = Arc::clone(bench);
    tokio::spawn(async move { bench.run_jobs_once().await })
}

async fn ended(worker: JoinHandle<Result<usize, saga_common::Error>>) -> Fallible<usize> {
    Ok(tokio::time::timeout(LIMIT, worker).await???)
}

/// What is stored with the saga's job, if there is one.
async fn job(bench: &Shop, saga: SagaId) -> Fallible<Option<serde_json::Value>> {
    let rows = bench.db().query("select data from saga.jobs where saga_id = $1", &[&saga.as_uuid()]).await?;
    Ok(rows.first().map(|row| row.get(0)))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_intent_and_its_job_are_committed_before_anything_is_called() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let saga = SagaId::new();
    let charge = Message::of(saga, &Charge {})?;
    let intent = bench.deliver(&charge).await?;
    assert_eq!((intent.verdict, intent.said), (Some(Verdict::Intent), None));
    assert!(job(&bench, saga).await?.is_some());
    assert_eq!((transactions(&bench, saga).await?, script.count("call")), (1, 0));

    assert_eq!(bench.run_jobs_once().await?, 1);
    let done = bench.report(&charge).await?;
    assert_eq!(done.verdict, Some(Verdict::Done));
    assert_eq!(done.said.ok_or("nothing was said")?.event_type, "test.charged.v1");
    assert_eq!(effects(&bench, saga).await?, ["intend", "charge"]);
    assert_eq!(job(&bench, saga).await?, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclear_answer_is_unknown_and_asked_for_again() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let saga = SagaId::new();
    let charge = Message::of(saga, &Charge {})?;
    bench.deliver(&charge).await?;
    // Nothing comes back; then something does that settles nothing.
    for point in ["call", "settle"] {
        script.break_down(point);
        for _ in 0..6 {
            bench.skip_waits().await?;
            assert_eq!(bench.run_jobs_once().await?, 1);
            assert_eq!(bench.report(&charge).await?.verdict, Some(Verdict::Intent));
        }
        script.mend(point);
    }
    assert!(said(&bench, saga).await?.is_empty());
    assert_eq!(effects(&bench, saga).await?, ["intend"]);
    assert_eq!(bench.run_jobs_once().await?, 0, "it waits");
    bench.skip_waits().await?;
    bench.run_jobs_once().await?;
    assert_eq!(bench.report(&charge).await?.verdict, Some(Verdict::Done));
    Ok(())
}

/// Seconds until the saga's job is due.
async fn due_in(bench: &Shop, saga: SagaId) -> Fallible<f64> {
    let ask = "select extract(epoch from due_at - clock_timestamp())::float8 from saga.jobs where saga_id = $1";
    Ok(bench.db().query(ask, &[&saga.as_uuid()]).await?.first().ok_or("there is no job")?.get(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_held_back_waits_as_long_as_it_is_told_and_costs_no_attempt() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let saga = SagaId::new();
    let charge = Message::of(saga, &Charge {})?;
    bench.deliver(&charge).await?;
    script.hold_back("call");
    for _ in 0..8 {
        assert_eq!(bench.run_jobs_once().await?, 1);
        let wait = due_in(&bench, saga).await?;
        assert!((15.0..=20.0).contains(&wait), "due in {wait} s");
        assert_eq!(bench.run_jobs_once().await?, 0, "it waits");
        bench.skip_waits().await?;
    }
    // The first failure is followed by the first wait, as if nothing had been before.
    script.mend("call");
    script.break_down("call");
    assert_eq!(bench.run_jobs_once().await?, 1);
    let wait = due_in(&bench, saga).await?;
    assert!(wait <= 0.25, "due in {wait} s");
    script.mend("call");
    bench.skip_waits().await?;
    bench.run_jobs_once().await?;
    assert_eq!(bench.report(&charge).await?.verdict, Some(Verdict::Done));
    assert_eq!(effects(&bench, saga).await?, ["intend", "charge"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_job_was_taken_over_can_store_nothing() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let (one, other) = (world.bench(shop(&script)?).await?, world.bench(shop(&script)?).await?);
    let saga = SagaId::new();
    let charge = Message::of(saga, &Charge {})?;
    one.deliver(&charge).await?;
    let in_call = script.gate("call");
    let stale = working(&one);
    in_call.reached().await?;
    assert_eq!(other.run_jobs_once().await?, 0, "it is leased");

    script.remove_gate("call");
    let stored = script.gate("call-stored");
    other.skip_waits().await?;
    let current = working(&other);
    stored.reached().await?;
    in_call.open();
    ended(stale).await?;
    assert_eq!(script.count("call-stored"), 1, "only the new worker may go on");
    assert_eq!(job(&one, saga).await?.ok_or("the job is gone")?["stored"], 2);

    stored.open();
    ended(current).await?;
    assert_eq!(one.report(&charge).await?.verdict, Some(Verdict::Done));
    assert_eq!(effects(&one, saga).await?, ["intend", "charge"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_job_was_taken_over_settles_nothing() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let (one, other) = (world.bench(shop(&script)?).await?, world.bench(shop(&script)?).await?);
    let saga = SagaId::new();
    let charge = Message::of(saga, &Charge {})?;
    one.deliver(&charge).await?;
    let called = script.gate("call-stored");
    let stale = working(&one);
    called.reached().await?;
    script.remove_gate("call-stored");
    let in_call = script.gate("call");
    other.skip_waits().await?;
    let current = working(&other);
    in_call.reached().await?;

    called.open();
    ended(stale).await?;
    assert_eq!(one.report(&charge).await?.verdict, Some(Verdict::Intent));
    in_call.open();
    ended(current).await?;
    assert_eq!(effects(&one, saga).await?, ["intend", "charge"]);
    assert_eq!(said(&one, saga).await?, ["test.charged.v1"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_during_the_call_silences_it_and_the_answer_comes_with_the_end_of_the_job() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let (one, other) = (world.bench(shop(&script)?).await?, world.bench(shop(&script)?).await?);
    let saga = SagaId::new();
    let charge = Message::of(saga, &Charge {})?;
    one.deliver(&charge).await?;
    let called = script.gate("call-stored");
    let worker = working(&one);
    called.reached().await?;

    let failure = Message::failure(saga);
    let silent = other.deliver(&failure).await?;
    assert_eq!((silent.verdict, silent.said), (Some(Verdict::Undoing), None));
    called.open();
    ended(worker).await?;
    assert_eq!(one.report(&charge).await?.verdict, Some(Verdict::Undoing));
    assert_eq!(other.deliver(&failure.clone().announced(1)).await?.said, None, "asked again, it stays silent");
    script.break_down("reverse");
    one.skip_waits().await?;
    assert_eq!(one.run_jobs_once().await?, 1);
    assert!(said(&one, saga).await?.is_empty());

    script.mend("reverse");
    one.skip_waits().await?;
    assert_eq!(one.run_jobs_once().await?, 1);
    let answered = one.report(&failure).await?;
    assert_eq!(answered.verdict, Some(Verdict::Undone));
    assert_eq!(answered.said.ok_or("no answer")?.body["outcome"], "undone");
    assert_eq!(said(&one, saga).await?, ["saga.compensated.v1"]);
    assert_eq!(effects(&one, saga).await?, ["intend", "intend-refund", "refund"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_takes_the_job_from_its_worker_before_it_does_anything_outside() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let (one, other) = (world.bench(shop(&script)?).await?, world.bench(shop(&script)?).await?);
    let saga = SagaId::new();
    one.deliver(&Message::of(saga, &Charge {})?).await?;
    let in_call = script.gate("call");
    let worker = working(&one);
    in_call.reached().await?;
    other.fail(saga).await?;
    in_call.open();
    ended(worker).await?;
    assert_eq!(script.count("call-stored"), 0, "it could not store, so it must not have gone on");
    one.skip_waits().await?;
    assert_eq!(one.run_jobs_once().await?, 1);
    assert_eq!(effects(&one, saga).await?, ["intend", "intend-refund", "refund"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_left_over_from_a_call_cannot_pass_for_the_worker_of_the_undo() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let (one, other) = (world.bench(shop(&script)?).await?, world.bench(shop(&script)?).await?);
    let saga = SagaId::new();
    one.deliver(&Message::of(saga, &Charge {})?).await?;
    let in_call = script.gate("call");
    let stale = working(&one);
    in_call.reached().await?;
    // Another one ends the call, and the saga fails afterwards: there is a job again, and no worker has it yet.
    script.remove_gate("call");
    other.skip_waits().await?;
    assert_eq!(other.run_jobs_once().await?, 1);
    other.fail(saga).await?;
    in_call.open();
    ended(stale).await?;
    assert_eq!(script.count("call-stored"), 1, "what is left over must do nothing outside any more");
    Ok(())
}
