//! The owner of the tests' sagas: places, cancels, confirms, collects what it waits for.

use crate::shop::{Confirmed, GiveBack, GivenBack, Pack, Packed, Placed, Shipped};
use crate::world::Fallible;
use saga_common::testkit::Bench;
use saga_common::{Cx, Never, Outcome, Participant, SagaId, StepResult, Undo, UndoResult, say};
use serde::{Deserialize, Serialize};

pub(crate) type Owner = Bench<()>;

#[derive(Serialize, Deserialize)]
#[serde(rename = "test.cancelling.v1")]
pub(crate) struct Cancelling {}

pub(crate) fn owner() -> Fallible<Participant<()>> {
    Ok(Participant::new("owner", ())
        .starts::<Placed, Never>("place", learn)
        .pivot("confirm", confirm)
        .announced()
        .retriable("close", close)
        .on_request::<Pack>("wrap")
        .on_request::<GiveBack>("take-back")
        .announced()
        .retriable("end", end)
        .build()?)
}

/// Starts a saga, as an HTTP handler does.
pub(crate) async fn place<App: Send + Sync + 'static>(owner: &Bench<App>) -> Fallible<SagaId> {
    start(owner, SagaId::new()).await
}

/// Starts a saga whose messages carry fault directives.
pub(crate) async fn place_carrying<App: Send + Sync + 'static>(
    owner: &Bench<App>,
    directives: &str,
) -> Fallible<SagaId> {
    let saga = SagaId::new();
    owner.saga().plant_faults(saga, directives).await?;
    start(owner, saga).await
}

async fn start<App: Send + Sync + 'static>(owner: &Bench<App>, saga: SagaId) -> Fallible<SagaId> {
    let mut unit = owner.saga().begin().await?;
    unit.start("place", &[(saga, Placed::order())]).await?;
    unit.tx().execute("insert into orders values ($1, 'pending')", &[&saga.as_uuid()]).await?;
    owner.saga().commit(unit).await?;
    Ok(saga)
}

/// Cancels it if it is still pending; tells whether it was.
pub(crate) async fn cancel(owner: &Owner, saga: SagaId) -> Fallible<bool> {
    let mut unit = owner.saga().begin().await?;
    unit.lock("place", &[saga]).await?;
    let won = "update orders set status = 'cancelling' where id = $1 and status = 'pending'";
    if unit.tx().execute(won, &[&saga.as_uuid()]).await? == 0 {
        unit.rollback().await;
        return Ok(false);
    }
    unit.fail("place", saga, &Cancelling {})?;
    owner.saga().commit(unit).await?;
    Ok(true)
}

pub(crate) async fn status(owner: &Owner, saga: SagaId) -> Fallible<String> {
    let rows = owner.db().query("select status from orders where id = $1", &[&saga.as_uuid()]).await?;
    Ok(rows.first().ok_or("no such order")?.get(0))
}

pub(crate) async fn confirm<App>(cx: &mut Cx<App>, _: Packed) -> StepResult<Confirmed, Never> {
    let won = "update orders set status = 'confirmed' where id = $1 and status = 'pending'";
    match cx.tx().execute(won, &[&cx.saga_id().as_uuid()]).await? {
        0 => Ok(Outcome::Superseded("the order is not pending")),
        _ => say(Confirmed {}),
    }
}

async fn close(cx: &mut Cx<()>, _: Shipped) -> StepResult<Never, Never> {
    let saga = cx.saga_id();
    cx.withdraw_announcement(saga);
    Ok(Outcome::Quiet)
}

async fn end(cx: &mut Cx<()>, _: GivenBack) -> StepResult<Never, Never> {
    let saga = cx.saga_id();
    cx.withdraw_announcement(saga);
    Ok(Outcome::Quiet)
}

pub(crate) async fn learn<App>(cx: &mut Cx<App>) -> UndoResult<Never> {
    let learnt = "update orders set status = 'cancelling' where id = $1 and status = 'pending'";
    cx.tx().execute(learnt, &[&cx.saga_id().as_uuid()]).await?;
    cx.announce_until_withdrawn(&Cancelling {})?;
    Ok(Undo::Done)
}
