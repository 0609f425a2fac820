//! `drop` at a point of publication: the connection to publish on is lost, whatever was about to be done with it.

use crate::faulty::Faulty;
use crate::proxy::Proxy;
use crate::shop::{Confirmed, Placed};
use crate::world::{Outcome, World, eventually};
use saga_common::SagaId;

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_connection_is_made_anew_and_what_was_on_its_way_goes_out() -> Outcome {
    let world = World::new().await?;
    let proxy = Proxy::start(&world.amqp_url().await?).await?;
    let shop = Faulty::by_way_of(world, &proxy.url).await?;
    let _somebody_listens = shop.wire.observe(&[("saga.events", "test.reserved")]).await?;
    for point in ["before-publish", "before-confirm", "after-confirm", "after-sweep"] {
        let before = proxy.publishers();
        let saga = SagaId::new();
        let prelude = if point == "after-sweep" { ",shop-svc/before-publish=error" } else { "" };
        let directives = format!("shop-svc/{point}@test.reserved=drop{prelude}");
        shop.wire.put_carrying("shop.events", saga, &Placed::order(), &directives).await?;
        shop.has_left(saga, "%=drop", 0).await?;
        eventually(point, async || Ok((proxy.publishers() > before).then_some(()))).await?;
        let gone = async || Ok(shop.bench.outbox(saga).await?.is_empty().then_some(()));
        eventually("it is confirmed", gone).await?;
        assert_eq!(proxy.publishers(), before + 1, "{point}");
    }
    Ok(shop.replica.stop().await?)
}

/// After the ack the batch never comes again: what did not fire with the others would never.
#[tokio::test(flavor = "multi_thread")]
async fn faults_of_several_sagas_that_meet_at_a_point_all_strike() -> Outcome {
    let shop = Faulty::start().await?;
    let gate = shop.script.gate("ship");
    shop.wire.put("shop.events", SagaId::new(), &Confirmed {}).await?;
    gate.reached().await?;
    let mut carried = Vec::new();
    for action in ["drop", "error", "delay(1)", "skip-ack", "delay(2)"] {
        let (saga, directive) = (SagaId::new(), format!("shop-svc/after-ack={action}"));
        shop.wire.put_carrying("shop.events", saga, &Placed::order(), &directive).await?;
        carried.push((saga, directive));
    }
    eventually("all are with the replica", async || Ok((shop.wire.ready("shop.events").await? == 0).then_some(())))
        .await?;
    gate.open();
    for (saga, directive) in carried {
        shop.has_left(saga, &format!("%{}", directive.trim_start_matches("shop-svc")), 0).await?;
        shop.does(saga, &["reserve"]).await?;
    }
    shop.replica.stop().await?;
    Ok(())
}
