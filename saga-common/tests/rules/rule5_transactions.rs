//! R5: what a step did to its transaction is noticed before anything of it counts.

use crate::owner::{Cancelling, Owner, owner, place};
use crate::script::Script;
use crate::shop::{Charge, Confirmed as Shippable, Packed, Placed, Seen, effects, said, shop};
use crate::world::{Fallible, Outcome, World};
use saga_common::testkit::Message;
use saga_common::{SagaId, Unit};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_transaction_never_commits_silently() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    // An error that the step has swallowed; a transaction that the step has replaced; one that it has ended.
    for (word, reason) in [("swallow", "aborted"), ("replace", "not the transaction"), ("", "not the transaction")] {
        let saga = SagaId::new();
        if word.is_empty() {
            script.break_transaction("reserve");
        }
        let report = bench.deliver(&Message::of(saga, &Placed::word(word))?).await?;
        let waiting = report.waiting.ok_or(format!("{word}: it does not wait"))?;
        assert!(waiting.reason.contains(reason), "{waiting:?}");
        assert_eq!(report.verdict, None);
        assert!(effects(&bench, saga).await?.is_empty() && said(&bench, saga).await?.is_empty());
        script.mend("reserve");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_step_whose_transaction_is_gone_is_not_settled() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let saga = SagaId::new();
    script.break_transaction("watch");
    let seen = Message::of(saga, &Seen {})?;
    let report = bench.deliver(&seen).await?;
    assert!(report.waiting.is_some_and(|waiting| waiting.reason.contains("not the transaction")));
    script.mend("watch");
    bench.skip_waits().await?;
    bench.run_waiting_once().await?;
    assert_eq!(effects(&bench, saga).await?, ["watch"], "once, when the step was as it should be");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_cannot_end_its_transaction() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    for word in ["commit", "roll-back"] {
        let (guilty, before, behind) = (SagaId::new(), SagaId::new(), SagaId::new());
        let batch = [
            Message::of(before, &Placed::order())?,
            Message::of(guilty, &Placed::word(word))?,
            Message::of(behind, &Placed::order())?,
            Message::of(behind, &Shippable {})?,
        ];
        let reports = bench.deliver_batch(&batch).await?;
        let waiting = reports.into_iter().nth(1).and_then(|report| report.waiting).ok_or("it does not wait")?;
        assert!(waiting.reason.contains("must not end its transaction"), "{waiting:?}");
        assert!(effects(&bench, guilty).await?.is_empty() && bench.guards(guilty).await?.is_empty());
        assert_eq!(effects(&bench, before).await?, ["reserve"]);
        assert_eq!(effects(&bench, behind).await?, ["reserve", "ship"]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_neither_made_nor_finished_in_a_transaction_that_is_gone() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let saga = SagaId::new();
    let jobs = async || -> Fallible<usize> { Ok(bench.db().query("select 1 from saga.jobs", &[]).await?.len()) };
    script.break_transaction("intend");
    let charge = Message::of(saga, &Charge {})?;
    assert!(bench.deliver(&charge).await?.waiting.is_some());
    assert_eq!((jobs().await?, bench.guards(saga).await?.len()), (0, 0));

    script.mend("intend");
    bench.skip_waits().await?;
    bench.run_waiting_once().await?;
    assert_eq!(jobs().await?, 1);
    let intent = bench.guards(saga).await?;
    script.break_transaction("charge");
    bench.run_jobs_once().await?;
    assert_eq!((jobs().await?, bench.guards(saga).await?), (1, intent), "it is to be settled yet");
    script.mend("charge");
    bench.skip_waits().await?;
    bench.run_jobs_once().await?;
    assert_eq!(jobs().await?, 0);
    assert_eq!(effects(&bench, saga).await?, ["intend", "charge"]);
    Ok(())
}

/// A unit that would end this saga, and whose transaction is gone.
async fn broken(bench: &Owner, saga: SagaId) -> Fallible<Unit> {
    let unit = bench.saga().begin().await?;
    unit.lock("place", &[saga]).await?;
    unit.tx().mistreat("rollback").await?;
    Ok(unit)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_whose_transaction_is_gone_says_and_announces_nothing() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let saga = place(&bench).await?;
    bench.confirm_all().await?;
    let before = bench.guards(saga).await?;
    let mut unit = broken(&bench, saga).await?;
    unit.fail("place", saga, &Cancelling {})?;
    assert!(bench.saga().commit(unit).await.is_err());
    assert_eq!(bench.guards(saga).await?, before);
    for table in ["saga.outbox", "saga.announcements"] {
        assert!(bench.db().query(&format!("select 1 from {table}"), &[]).await?.is_empty(), "{table}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_is_not_withdrawn_by_a_unit_whose_transaction_is_gone() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let saga = place(&bench).await?;
    bench.deliver(&Message::of(saga, &Packed {})?).await?;
    let announced = async || -> Fallible<usize> {
        let sql = "select 1 from saga.announcements where saga_id = $1";
        Ok(bench.db().query(sql, &[&saga.as_uuid()]).await?.len())
    };
    let before = (announced().await?, bench.guards(saga).await?);
    assert_eq!(before.0, 1);
    let mut unit = broken(&bench, saga).await?;
    unit.end("place", saga, &Cancelling {})?;
    assert!(bench.saga().commit(unit).await.is_err());
    assert_eq!((announced().await?, bench.guards(saga).await?), before);
    Ok(())
}
