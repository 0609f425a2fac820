//! R5: what a process has committed and not published is published by another, whatever is beside it.

use crate::faulty::{Faulty, faulty};
use crate::shop::{Placed, shop};
use crate::world::{MIGRATOR, Outcome, World};
use saga_common::SagaId;
use saga_common::testkit::{Bench, Message};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_over_goes_out_with_the_body_of_each() -> Outcome {
    let world = World::new().await?;
    let script = Arc::default();
    let bench = world.bench(shop(&script)?).await?;
    let wire = world.wire().await?;
    let mut observer = wire.observe(&[("saga.events", "saga.compensated")]).await?;
    let (fenced, undone) = (SagaId::new(), SagaId::new());
    bench.deliver(&Message::failure(fenced)).await?;
    bench.deliver(&Message::of(undone, &Placed::order())?).await?;
    bench.confirm_all().await?;
    // One unit says an answer for the first time and repeats another, which is on record in the unit that has said it.
    bench.deliver_batch(&[Message::failure(fenced).announced(1), Message::failure(undone)]).await?;
    let units = bench.db().query("select 1 from saga.outbox where cardinality(ids) = 2", &[]).await?;
    assert_eq!(units.len(), 1);
    let wanted = BTreeMap::from([(fenced, "fenced"), (undone, "undone")]);
    for (saga, outcome) in &wanted {
        let said = bench.outbox(*saga).await?.into_iter().next().ok_or("nothing is said")?;
        assert_eq!(said.body["outcome"], *outcome, "{said:?}");
    }
    bench.db().execute("update saga.outbox set leased_until = clock_timestamp()", &[]).await?;
    let replica = world.replica(shop(&script)?).await?;
    let mut heard = BTreeSet::new();
    while heard.len() < wanted.len() {
        let seen = observer.next().await?;
        let saga = seen.saga_id.ok_or("an event without a saga")?;
        let body: serde_json::Value = serde_json::from_slice(&seen.body)?;
        assert_eq!(Some(&body["outcome"].as_str().unwrap_or_default()), wanted.get(&saga), "{body}");
        heard.insert(saga);
    }
    replica.stop().await?;
    Ok(())
}
