//! R2: who may fail a saga, and that it can happen once.

use crate::owner::{Cancelling, owner, place, status};
use crate::shop::{Packed, Placed, effects, shop, transactions};
use crate::world::{Outcome, World};
use saga_common::testkit::Message;
use saga_common::{SagaId, Verdict};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_committed_with_its_rejected_verdict() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let saga = SagaId::new();
    let refused = Message::of(saga, &Placed::word("refuse"))?;
    let report = bench.deliver(&refused).await?;
    assert_eq!(report.verdict, Some(Verdict::Rejected));
    assert_eq!(report.said.ok_or("nothing was said")?.event_type, "test.refused.v1");
    assert_eq!(transactions(&bench, saga).await?, 1, "verdict and refusal");
    let fanned_out = "select 1 from saga.unsent where saga_id = $1 and fanned_out";
    assert_eq!(bench.db().query(fanned_out, &[&saga.as_uuid()]).await?.len(), 1);

    // Its own refusal comes round, too: there is nothing to undo, and it is not said again.
    let answer = bench.fail(saga).await?;
    assert_eq!(answer.verdict, Some(Verdict::NothingToUndo));
    bench.deliver(&refused).await?;
    assert_eq!(effects(&bench, saga).await?, ["reserve"]);
    assert_eq!(bench.db().query(fanned_out, &[&saga.as_uuid()]).await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_cancel_and_confirm_at_once_exactly_one_wins() -> Outcome {
    let world = World::new().await?;
    let (one, other) = (world.bench(owner()?).await?, world.bench(owner()?).await?);
    let (mut confirmed, mut cancelled) = (0, 0);
    for round in 0..60_u64 {
        let saga = place(&one).await?;
        one.confirm_all().await?;
        let packed = Message::of(saga, &Packed {})?;
        // Time itself: the offsets sweep the two over each other, so that each wins in some rounds, which the end of the test demands.
        let after = |us: u64| tokio::time::sleep(std::time::Duration::from_micros(us));
        let confirming = async { (after((60 - round) * 100).await, one.deliver(&packed).await).1 };
        let cancelling = async { (after(round * 100).await, crate::owner::cancel(&other, saga).await).1 };
        let (report, won) = tokio::join!(confirming, cancelling);
        let said: Vec<_> = one.outbox(saga).await?.into_iter().map(|said| said.event_type).collect();
        if won? {
            assert_eq!(
                (report?.verdict, status(&one, saga).await?.as_str()),
                (Some(Verdict::Superseded), "cancelling")
            );
            assert_eq!(said, ["test.cancelling.v1"]);
            cancelled += 1;
        } else {
            assert_eq!((report?.verdict, status(&one, saga).await?.as_str()), (Some(Verdict::Done), "confirmed"));
            assert_eq!(said, ["test.confirmed.v1"]);
            confirmed += 1;
        }
    }
    assert!(confirmed > 0 && cancelled > 0, "only one order was seen: {confirmed} confirmed, {cancelled} cancelled");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_is_failed_by_its_owner_once() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let saga = place(&bench).await?;
    // Two that have not looked at the order row: the verdict of the first step decides.
    for expected in [true, false] {
        let mut unit = bench.saga().begin().await?;
        unit.lock("place", &[saga]).await?;
        unit.fail("place", saga, &Cancelling {})?;
        assert_eq!(bench.saga().commit(unit).await.is_ok(), expected);
    }
    let said: Vec<_> = bench.outbox(saga).await?.into_iter().map(|said| said.event_type).collect();
    assert_eq!(said, ["test.placed.v1", "test.cancelling.v1"]);
    Ok(())
}
