//! A participant of the tests' own: two compensatable steps, a call outside, a retriable step, a listener.

use crate::script::Script;
use crate::world::Fallible;
use saga_common::testkit::Bench;
use saga_common::{
    Cx, External, Job, Never, Outcome, Participant, Retry, Reversible, SagaId, StepError, StepResult, Undo, UndoResult,
    refuse, say,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub(crate) type App = Arc<Script>;
pub(crate) type Shop = Bench<App>;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "test.placed.v1")]
pub(crate) struct Placed {
    /// What to do: `sell`, or one of the words of [`reserve`].
    pub(crate) word: String,
    /// Rows of the table `stock` that other sagas touch, too.
    pub(crate) skus: Vec<String>,
}

impl Placed {
    pub(crate) fn order() -> Self {
        Self::word("sell")
    }

    pub(crate) fn word(word: &str) -> Self {
        Self { word: word.to_owned(), skus: Vec::new() }
    }
}

macro_rules! event {
    ($name:ident, $wire:literal) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(rename = $wire)]
        pub(crate) struct $name {}
    };
}

event!(Reserved, "test.reserved.v1");
event!(Refused, "test.refused.v1");
event!(Pack, "test.pack.v1");
event!(Packed, "test.packed.v1");
event!(Charge, "test.charge.v1");
event!(Charged, "test.charged.v1");
event!(Confirmed, "test.confirmed.v1");
event!(Shipped, "test.shipped.v1");
event!(Seen, "test.seen.v1");
event!(GiveBack, "test.give-back.v1");
event!(GivenBack, "test.given-back.v1");

pub(crate) fn shop(script: &Arc<Script>) -> Fallible<Participant<App>> {
    Ok(Participant::new("shop", Arc::clone(script))
        .compensatable("reserve", reserve, release)
        .locks(|placed: &Placed| placed.skus.clone())
        .compensatable("pack", pack, unpack)
        .external("charge", charge, refund, Till)
        .retriable("ship", ship)
        .retriable_external("give-back", give_back, Purse)
        .listener("watch", watch)
        .locking("select sku, taken from stock where sku = any($1) and $2::uuid[] is not null order by sku for update")
        .build()?)
}

/// A shop with subscribers that know no bundles.
pub(crate) fn plain_spoken_shop(script: &Arc<Script>) -> Fallible<Participant<App>> {
    let shop = Participant::new("shop", Arc::clone(script)).compensatable("reserve", reserve, release);
    Ok(shop.retriable("ship", ship).unbundled::<Reserved>().build()?)
}

/// The shop as it was before it packed anything.
pub(crate) fn younger_shop(script: &Arc<Script>) -> Fallible<Participant<App>> {
    Ok(Participant::new("shop", Arc::clone(script)).compensatable("reserve", reserve, release).build()?)
}

/// Marks a run, as part of its transaction.
async fn effect(cx: &Cx<App>, step: &str) -> Result<(), Retry> {
    cx.tx().execute("insert into effects (saga_id, step) values ($1, $2)", &[&cx.saga_id().as_uuid(), &step]).await?;
    if cx.app().breaks_its_transaction(step) {
        cx.tx().mistreat("rollback").await?;
    }
    Ok(())
}

async fn reserve(cx: &mut Cx<App>, placed: Placed) -> StepResult<Reserved, Refused> {
    effect(cx, "reserve").await?;
    for sku in &placed.skus {
        cx.tx().execute("update stock set taken = taken + 1 where sku = $1", &[sku]).await?;
    }
    cx.app().reach("reserve").await?;
    if cx.app().loses_its_connection() {
        // Whatever the server still says: it has ended the session.
        drop(cx.tx().execute("select pg_terminate_backend(pg_backend_pid())", &[]).await);
    }
    match placed.word.as_str() {
        "refuse" => return refuse(Refused {}),
        "look" => {
            for row in cx.locked().to_vec() {
                let seen = format!("{} was {}", row.get::<_, String>(0), row.get::<_, i64>(1));
                effect(cx, &seen).await?;
            }
        }
        "dead-letter" => return Err(StepError::dead_letter("it makes no sense")),
        "fail" => return Err(Retry::because("told to fail").into()),
        "panic" => panic!("told to panic"),
        // An error of the client's own: the server never sees the statement.
        "mistype" => drop(cx.tx().execute("insert into effects (step) values ($1)", &[&1_i64]).await?),
        // The next two break the transaction behind the engine's back.
        "swallow" => drop(cx.tx().execute("insert into nowhere values (1)", &[]).await),
        "replace" => cx.tx().mistreat("rollback and chain").await?,
        // What a step might try.
        "commit" => drop(cx.tx().execute("commit", &[]).await?),
        "roll-back" => drop(cx.tx().execute("rollback", &[]).await?),
        _ => {}
    }
    say(Reserved {})
}

async fn release(cx: &mut Cx<App>) -> UndoResult {
    effect(cx, "release").await?;
    if let Some(reason) = cx.failure().and_then(|failure| failure.reason.as_ref()) {
        cx.tx().execute("insert into reasons values ($1, $2)", &[&cx.saga_id().as_uuid(), reason]).await?;
    }
    cx.app().reach("release").await?;
    Ok(Undo::Done)
}

async fn pack(cx: &mut Cx<App>, _: Pack) -> StepResult<Packed, Refused> {
    effect(cx, "pack").await?;
    cx.app().reach("pack").await?;
    say(Packed {})
}

async fn unpack(cx: &mut Cx<App>) -> UndoResult {
    effect(cx, "unpack").await?;
    cx.app().reach("unpack").await?;
    Ok(Undo::Done)
}

async fn charge(cx: &mut Cx<App>, _: Charge) -> StepResult<Charged, Refused> {
    effect(cx, "intend").await?;
    Ok(Outcome::Defer(serde_json::json!({ "stored": 0 })))
}

async fn refund(cx: &mut Cx<App>) -> UndoResult {
    effect(cx, "intend-refund").await?;
    Ok(Undo::Defer(None))
}

/// The outside: it does what it is asked, as often as it is asked.
pub(crate) struct Till;

impl External<App> for Till {
    type Says = Charged;
    type Refuses = Refused;
    type Called = ();

    async fn call(&self, job: &Job<App>) -> Result<(), Retry> {
        job.app().reach("call").await?;
        job.store(&serde_json::json!({ "stored": job.attempt() })).await?;
        job.app().reach("call-stored").await
    }

    async fn settle(&self, cx: &mut Cx<App>, (): ()) -> StepResult<Charged, Refused> {
        effect(cx, "charge").await?;
        if cx.app().reach("settle").await.is_err() {
            return Ok(Outcome::Defer(serde_json::Value::Null));
        }
        say(Charged {})
    }
}

impl Reversible<App> for Till {
    type Reversed = ();

    async fn reverse(&self, job: &Job<App>) -> Result<(), Retry> {
        job.app().reach("reverse").await
    }

    async fn settle_reversal(&self, cx: &mut Cx<App>, (): ()) -> Result<(), Retry> {
        effect(cx, "refund").await
    }
}

async fn give_back(cx: &mut Cx<App>, _: GiveBack) -> StepResult<GivenBack, Never> {
    effect(cx, "intend-to-give-back").await?;
    Ok(Outcome::Defer(serde_json::Value::Null))
}

/// The outside of a step that nothing takes back.
pub(crate) struct Purse;

impl External<App> for Purse {
    type Says = GivenBack;
    type Refuses = Never;
    type Called = ();

    async fn call(&self, job: &Job<App>) -> Result<(), Retry> {
        job.app().reach("give").await
    }

    async fn settle(&self, cx: &mut Cx<App>, (): ()) -> StepResult<GivenBack> {
        effect(cx, "give-back").await?;
        say(GivenBack {})
    }
}

async fn ship(cx: &mut Cx<App>, _: Confirmed) -> StepResult<Shipped, Never> {
    effect(cx, "ship").await?;
    cx.app().reach("ship").await?;
    say(Shipped {})
}

async fn watch(cx: &mut Cx<App>, _: Seen) -> StepResult<Never, Never> {
    effect(cx, "watch").await?;
    Ok(Outcome::Quiet)
}

/// The runs of the saga's steps that were committed, in their order.
pub(crate) async fn effects(shop: &Shop, saga: SagaId) -> Fallible<Vec<String>> {
    let rows = shop.db().query("select step from effects where saga_id = $1 order by at", &[&saga.as_uuid()]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// How many transactions wrote the saga's rows: effects, guard rows, outbox.
pub(crate) async fn transactions(shop: &Shop, saga: SagaId) -> Fallible<i64> {
    let sql = "select count(distinct x) from (
                   select xmin::text x from effects where saga_id = $1
                   union all select xmin::text from saga.idempotency_keys where saga_id = $1
                   union all select xmin::text from saga.outbox where $1 = any(sagas)) t";
    Ok(shop.db().query(sql, &[&saga.as_uuid()]).await?.first().ok_or("a count")?.get(0))
}

/// The types of what was said in the saga and is still in the outbox.
pub(crate) async fn said(shop: &Shop, saga: SagaId) -> Fallible<Vec<String>> {
    Ok(shop.outbox(saga).await?.into_iter().map(|said| said.event_type).collect())
}
