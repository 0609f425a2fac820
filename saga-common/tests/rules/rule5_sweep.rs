//! R5: what a process has committed and not published is published by another, whatever is beside it.

use crate::faulty::{Faulty, faulty};
use crate::shop::{Placed, shop};
use crate::world::{MIGRATOR, Outcome};
use saga_common::SagaId;
use saga_common::testkit::{Bench, Message};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn one_unit_that_cannot_be_published_keeps_no_other_waiting() -> Outcome {
    let Faulty { world, script, wire, replica, .. } = Faulty::start().await?;
    let settings = faulty(&world, &world.amqp_url().await?)?;
    let bench = Bench::with_settings(shop(&script)?, settings, &MIGRATOR).await?;
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
