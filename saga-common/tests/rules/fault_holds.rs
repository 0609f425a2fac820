//! Holds: what carries one waits at its point until it is released, and then it goes on. Held in a consumer it stops its queue
//! at that replica; other queues and other replicas pass it meanwhile.

use crate::faulty::{Faulty, faulty, replica};
use crate::owner::{owner, place_carrying};
use crate::shop::{Confirmed, Placed, Refused, effects};
use crate::world::{LIMIT, MIGRATOR, Outcome, World, eventually};
use saga_common::SagaId;
use saga_common::testkit::Bench;

const HOLD: &str = "shop-svc/before-begin@test.placed=hold(30000)";

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_passes_a_step_that_is_held_and_released_it_finds_its_fence() -> Outcome {
    let shop = Faulty::start().await?;
    let (saga, behind) = (SagaId::new(), SagaId::new());
    shop.wire.put_carrying("shop.events", saga, &Placed::order(), HOLD).await?;
    shop.has_held(saga, 1).await?;
    shop.wire.put("shop.events", behind, &Placed::order()).await?;

    assert!(shop.wire.publish("saga.failures", saga, &Refused {}).await?);
    let sql = "select 1 from saga.idempotency_keys where saga_id = $1 and step = 'compensate' and verdict = 'fenced'";
    let fenced = async || Ok((!shop.bench.db().query(sql, &[&saga.as_uuid()]).await?.is_empty()).then_some(()));
    eventually("the undo passes it", fenced).await?;
    assert_eq!(shop.script.count("reserve"), 0, "its queue stands still");

    assert_eq!(shop.bench.release_holds(saga).await?, 1);
    shop.does(behind, &["reserve"]).await?;
    assert!(effects(&shop.bench, saga).await?.is_empty());

    // Over for good: nothing of this saga is held any more.
    assert_eq!(shop.bench.release_holds(saga).await?, 0);
    let last = SagaId::new();
    shop.wire.put_carrying("shop.events", saga, &Placed::order(), HOLD).await?;
    shop.wire.put("shop.events", last, &Placed::order()).await?;
    shop.does(last, &["reserve"]).await?;
    shop.has_held(saga, 1).await?;
    shop.replica.stop().await?;
    assert_eq!(shop.wire.ready("shop.events").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_again_is_held_again() -> Outcome {
    let mut shop = Faulty::start().await?;
    let saga = SagaId::new();
    shop.wire.put_carrying("shop.events", saga, &Placed::order(), HOLD).await?;
    shop.has_held(saga, 1).await?;
    std::mem::replace(&mut shop.replica, replica(&shop.world, &shop.script, &shop.world.amqp_url().await?).await?)
        .kill();
    shop.has_held(saga, 2).await?;
    assert_eq!(shop.script.count("reserve"), 0);
    shop.bench.release_holds(saga).await?;
    shop.does(saga, &["reserve"]).await?;
    Ok(shop.replica.stop().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_can_be_released_before_it_has_held_anything_and_ends_by_itself_at_its_limit() -> Outcome {
    let shop = Faulty::start().await?;
    let (early, late) = (SagaId::new(), SagaId::new());
    let holds = "shop-svc/before-begin@test.confirmed=hold,other-svc/before-begin@test.confirmed=hold";
    shop.wire.put_carrying("shop.events", early, &Placed::order(), holds).await?;
    shop.does(early, &["reserve"]).await?;
    assert_eq!(shop.bench.release_holds(early).await?, 1, "its own: others' are theirs to release");
    shop.wire.put("shop.events", early, &Confirmed {}).await?;
    shop.does(early, &["reserve", "ship"]).await?;

    let short = "shop-svc/before-begin=hold(50)*1";
    shop.wire.put_carrying("shop.events", late, &Placed::order(), short).await?;
    shop.does(late, &["reserve"]).await?;
    let fired = "select saga_id from saga.faults where fired_at is not null";
    let fired: Vec<uuid::Uuid> = shop.bench.db().query(fired, &[]).await?.iter().map(|row| row.get(0)).collect();
    assert_eq!(fired, [late.as_uuid()]);
    Ok(shop.replica.stop().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_hold_counts_from_its_first_firing_however_often_it_fires() -> Outcome {
    let world = World::new().await?;
    let amqp_url = world.amqp_url().await?;
    // Each attempt ends sooner than the hold.
    let shop = Faulty::with(world, &amqp_url, |settings| settings.step_limit_ms = 400).await?;
    let saga = SagaId::new();
    let hold = "shop-svc/before-begin@test.placed=hold(2000)";
    shop.wire.put_carrying("shop.events", saga, &Placed::order(), hold).await?;
    shop.does(saga, &["reserve"]).await?;
    let sql = "select times_left, extract(epoch from clock_timestamp() - fired_at)::float8 from saga.faults";
    let rows = shop.bench.db().query(sql, &[]).await?;
    let (left, seconds): (i32, f64) = (rows[0].get(0), rows[0].get(1));
    assert!(left < i32::MAX - 1 && seconds >= 2.0, "held {} times, {seconds} s", i32::MAX - left);
    Ok(shop.replica.stop().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_inside_of_a_transaction_can_be_released_though_it_has_the_last_connection() -> Outcome {
    let world = World::new().await?;
    let amqp_url = world.amqp_url().await?;
    let shop = Faulty::with(world, &amqp_url, |settings| settings.database_connections = 1).await?;
    let saga = SagaId::new();
    shop.wire.put_carrying("shop.events", saga, &Placed::order(), "shop-svc/after-guards=hold(20000)").await?;
    shop.has_held(saga, 1).await?;
    shop.bench.release_holds(saga).await?;
    shop.does(saga, &["reserve"]).await?;
    Ok(shop.replica.stop().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_holds_nothing() -> Outcome {
    let shop = Faulty::start().await?;
    let saga = SagaId::new();
    shop.wire.put_carrying("shop.events", saga, &Placed::order(), HOLD).await?;
    shop.has_held(saga, 1).await?;
    shop.replica.stop().await?;
    assert_eq!(effects(&shop.bench, saga).await?, ["reserve"]);
    assert_eq!(shop.wire.ready("shop.events").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_held_where_it_would_hold_everybody() -> Outcome {
    let world = World::new().await?;
    let settings = faulty(&world, &world.amqp_url().await?)?;
    let owner = Bench::with_settings(owner()?, settings, &MIGRATOR).await?;
    let points = ["before-commit", "after-commit", "before-announce", "after-announce"];
    let directives = points.map(|point| format!("owner-svc/{point}=hold(600000)")).join(",");
    // A placement, which others are committed with, and the announcer, which repeats everybody's.
    let saga = tokio::time::timeout(LIMIT, place_carrying(&owner, &directives)).await??;
    owner.fail(saga).await?;
    owner.skip_waits().await?;
    owner.confirm_all().await?;
    assert_eq!(tokio::time::timeout(LIMIT, owner.repeat_announcements_once()).await??, 1);
    assert!(owner.db().query("select 1 from saga.faults where fired_at is not null", &[]).await?.is_empty());
    Ok(())
}
