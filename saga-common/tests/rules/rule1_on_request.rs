//! R1 and R4 for what is done on request, outside of any event: once, and announced if the table says so.

use crate::owner::{owner, place};
use crate::script::Script;
use crate::shop::{GiveBack, GivenBack, Pack, effects, shop};
use crate::world::{Fallible, Outcome, WAITS_FOR_A_ROW, World};
use saga_common::testkit::{Bench, Message};
use saga_common::{Error, SagaId, Unit, Verdict};
use std::sync::Arc;
use uuid::Uuid;

async fn wrap(bench: &Bench<()>, saga: SagaId) -> Fallible<Option<Unit>> {
    Ok(bench.saga().once("wrap", saga, Pack {}).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_on_request_is_done_and_said_once() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let saga = place(&bench).await?;
    bench.confirm_all().await?;
    let given_up = wrap(&bench, saga).await?.ok_or("it was not done before")?;
    given_up.rollback().await;
    let unit = wrap(&bench, saga).await?.ok_or("what was rolled back was not done")?;
    bench.saga().commit(unit).await?;
    assert!(wrap(&bench, saga).await?.is_none(), "it has been done");
    let guards = bench.guards(saga).await?;
    let (_, verdict, said) = guards.into_iter().find(|(step, ..)| step == "wrap").ok_or("a guard row")?;
    assert_eq!((verdict, said.ok_or("it said something")?.event_type.as_str()), (Verdict::Done, "test.pack.v1"));
    assert_eq!(bench.outbox(saga).await?.len(), 1, "and once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_requests_at_once_the_second_waits_for_the_first() -> Outcome {
    let world = World::new().await?;
    let (one, other) = (world.bench(owner()?).await?, world.bench(owner()?).await?);
    let saga = place(&one).await?;
    let first = wrap(&one, saga).await?.ok_or("nobody else asks")?;
    let second = tokio::spawn(async move { other.saga().once("wrap", saga, Pack {}).await.map(|unit| unit.is_some()) });
    while one.db().query(WAITS_FOR_A_ROW, &[]).await?.is_empty() {
        assert!(!second.is_finished(), "it must not overtake");
        tokio::task::yield_now().await;
    }
    one.saga().commit(first).await?;
    assert!(!second.await??, "the first has done it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_past_retention_takes_no_request() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let ancient = SagaId::from(Uuid::from_u128(0x0180_0000_0000_7000_8000_0000_0000_0001));
    let refused = bench.saga().once("wrap", ancient, Pack {}).await.err().ok_or("it is refused")?;
    assert!(matches!(refused, Error::Expired(_)), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_begins_a_saga_on_request_is_announced_until_it_is_withdrawn() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let saga = SagaId::new();
    let unit = bench.saga().start("take-back", &[(saga, GiveBack {})]).await?;
    bench.saga().commit(unit).await?;
    let first = bench.outbox(saga).await?;
    assert_eq!((first.len(), first[0].announcement), (1, 0));
    bench.confirm_all().await?;
    bench.skip_waits().await?;
    assert_eq!(bench.repeat_announcements_once().await?, 1);
    let again = bench.outbox(saga).await?;
    assert_eq!((again[0].message_id, again[0].announcement), (first[0].message_id, 1));
    bench.confirm_all().await?;
    bench.deliver(&Message::of(saga, &GivenBack {})?).await?;
    bench.skip_waits().await?;
    assert_eq!(bench.repeat_announcements_once().await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_after_the_pivot_is_made_until_it_succeeds_and_no_failure_takes_it_back() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let saga = SagaId::new();
    let asked = Message::of(saga, &GiveBack {})?;
    assert_eq!(bench.deliver(&asked).await?.verdict, Some(Verdict::Intent));
    script.break_down("give");
    for _ in 0..12 {
        bench.skip_waits().await?;
        assert_eq!(bench.run_jobs_once().await?, 1);
    }
    // A stranger's failure finds nothing to undo; the step stands, and asked again it stays silent while it is under way.
    bench.fail(saga).await?;
    assert_eq!(bench.report(&asked).await?.verdict, Some(Verdict::Intent));
    bench.confirm_all().await?;
    assert_eq!(bench.deliver(&asked.clone().announced(1)).await?.said, None);
    script.mend("give");
    bench.skip_waits().await?;
    assert_eq!(bench.run_jobs_once().await?, 1);
    let said = bench.report(&asked).await?.said.ok_or("nothing was said")?;
    assert_eq!(said.event_type, "test.given-back.v1");
    bench.confirm_all().await?;
    bench.deliver(&asked.announced(2)).await?;
    assert_eq!(bench.outbox(saga).await?, [said], "asked again, it repeats its word");
    assert_eq!(effects(&bench, saga).await?, ["intend-to-give-back", "give-back"]);
    Ok(())
}
