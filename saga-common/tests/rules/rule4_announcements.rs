//! R4: nothing published is trusted until it is answered.

use crate::owner::{Owner, cancel, owner, place};
use crate::shop::{Confirmed, Packed, Placed, Shipped, effects, shop};
use crate::world::{Fallible, Outcome, World};
use saga_common::SagaId;
use saga_common::testkit::{Message, Said};
use std::sync::Arc;

/// The only message in the outbox.
async fn only(bench: &Owner, saga: SagaId) -> Fallible<Said> {
    let said = bench.outbox(saga).await?;
    assert_eq!(said.len(), 1, "{said:?}");
    said.into_iter().next().ok_or_else(|| "nothing was said".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_is_repeated_under_its_id_with_a_rising_count_until_it_is_withdrawn() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let saga = place(&bench).await?;
    bench.confirm_all().await?;
    bench.deliver(&Message::of(saga, &Packed {})?).await?;
    let first = only(&bench, saga).await?;
    assert_eq!((first.event_type.as_str(), first.announcement), ("test.confirmed.v1", 0));
    for n in 1..=3 {
        bench.skip_waits().await?;
        assert_eq!(bench.repeat_announcements_once().await?, 0, "the former is still in the outbox");
        bench.confirm_all().await?;
        assert_eq!(bench.repeat_announcements_once().await?, 1);
        assert_eq!(only(&bench, saga).await?, Said { announcement: n, ..first.clone() });
    }
    bench.confirm_all().await?;
    assert_eq!(bench.repeat_announcements_once().await?, 0, "it has just been repeated");
    bench.deliver(&Message::of(saga, &Shipped {})?).await?;
    bench.skip_waits().await?;
    assert_eq!(bench.repeat_announcements_once().await?, 0, "it was withdrawn");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_is_announced_from_the_unit_that_decides_it() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let saga = place(&bench).await?;
    bench.confirm_all().await?;
    assert!(cancel(&bench, saga).await?);
    let said = only(&bench, saga).await?;
    bench.confirm_all().await?;
    bench.skip_waits().await?;
    assert_eq!(bench.repeat_announcements_once().await?, 1);
    assert_eq!(only(&bench, saga).await?, Said { announcement: 1, ..said });
    let fanned_out = bench.db().query("select 1 from saga.unsent where fanned_out", &[]).await?;
    assert_eq!(fanned_out.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_announces_a_failure_it_has_learnt_of() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let saga = place(&bench).await?;
    bench.confirm_all().await?;
    bench.fail(saga).await?;
    assert!(bench.outbox(saga).await?.is_empty(), "the one who refused has just said it");
    bench.skip_waits().await?;
    assert_eq!(bench.repeat_announcements_once().await?, 1);
    assert_eq!(only(&bench, saga).await?.event_type, "test.cancelling.v1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_has_finished_repeats_its_recorded_answer_under_its_recorded_id() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let (shipped, undone) = (SagaId::new(), SagaId::new());
    let confirmed = Message::of(shipped, &Confirmed {})?;
    let failure = Message::failure(undone);
    bench.deliver(&Message::of(undone, &Placed::order())?).await?;
    for (saga, message) in [(shipped, confirmed), (undone, failure)] {
        let said = bench.deliver(&message).await?.said.ok_or("nothing was said")?;
        bench.confirm_all().await?;
        bench.deliver(&message).await?;
        assert!(bench.outbox(saga).await?.is_empty(), "a duplicate is no question");
        for n in 1..=2 {
            bench.deliver(&message.clone().announced(n)).await?;
            assert_eq!(bench.outbox(saga).await?, std::slice::from_ref(&said), "once for each time it is asked");
            bench.confirm_all().await?;
        }
    }
    assert_eq!(effects(&bench, shipped).await?, ["ship"]);
    assert_eq!(effects(&bench, undone).await?, ["reserve", "release"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_copies_in_one_batch_the_one_that_asks_is_answered() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let (shipped, undone) = (SagaId::new(), SagaId::new());
    for (saga, message) in [(shipped, Message::of(shipped, &Confirmed {})?), (undone, Message::failure(undone))] {
        let said = bench.deliver(&message).await?.said.ok_or("nothing was said")?;
        bench.confirm_all().await?;
        bench.deliver_batch(&[message.clone(), message.clone().announced(1), message]).await?;
        assert_eq!(bench.outbox(saga).await?, [said]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_tells_on_the_wire_which_one_it_is() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let wire = world.wire().await?;
    let mut observer = wire.observe(&[("saga.events", "test.confirmed")]).await?;
    let saga = place(&bench).await?;
    let replica = world.replica(owner()?).await?;
    wire.put("owner.events", saga, &Packed {}).await?;
    let first = observer.next().await?;
    assert_eq!(first.announcement, None);
    for n in 1..=2 {
        bench.skip_waits().await?;
        let repeat = observer.next().await?;
        assert_eq!((repeat.message_id, repeat.saga_id), (first.message_id, Some(saga)));
        assert_eq!(repeat.announcement, Some(n));
    }
    replica.stop().await?;
    Ok(())
}
