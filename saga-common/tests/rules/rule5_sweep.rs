//! R5: what a process has committed and not published is published by another, whatever is beside it.

use crate::faulty::Faulty;
use crate::shop::Placed;
use crate::world::Outcome;
use saga_common::SagaId;
use saga_common::testkit::Message;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn one_unit_that_cannot_be_published_keeps_no_other_waiting() -> Outcome {
    let Faulty { bench, wire, replica, .. } = Faulty::start().await?;
    let mut observer = wire.observe(&[("saga.events", "test.reserved")]).await?;
    let sagas: Vec<SagaId> = (0..5).map(|_| SagaId::new()).collect();
    let (refused, others) = (sagas[1], sagas.iter().filter(|saga| **saga != sagas[1]).copied());
    bench.saga().plant_faults(refused, "shop/before-publish=error*1000").await?;
    // The bench commits and never publishes.
    for saga in &sagas {
        bench.deliver(&Message::of(*saga, &Placed::order())?).await?;
    }
    // Left over at once, all together.
    bench.db().execute("update saga.outbox set leased_until = clock_timestamp()", &[]).await?;
    let mut wanted: BTreeSet<SagaId> = others.collect();
    while !wanted.is_empty() {
        wanted.remove(&observer.next().await?.saga_id.ok_or("an event without a saga")?);
    }
    assert_eq!(bench.outbox(refused).await?.len(), 1);
    replica.stop().await?;
    Ok(())
}
