//! What a participant tells of a saga, to others and to its own steps.

use crate::owner::{confirm, learn, place};
use crate::script::Script;
use crate::shop::{Pack, Placed, shop};
use crate::world::{Fallible, Outcome, WAITS_FOR_A_ROW, World, eventually};
use saga_common::testkit::Message;
use saga_common::{Cx, Never, Participant, SagaId, SagaPart, StepResult, say};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_part_has_steps_what_they_said_and_what_waits_and_can_be_read_by_others() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let bench = world.bench(shop(&script)?).await?;
    let saga = SagaId::new();
    let (placed, pack) = (Message::of(saga, &Placed::order())?, Message::of(saga, &Pack {})?);
    bench.deliver(&placed).await?;
    script.break_down("pack");
    bench.deliver(&pack).await?;

    let part = bench.saga().part(saga).await?;
    assert_eq!((part.service.as_str(), part.saga_id), ("shop", saga));
    let [step] = &part.steps[..] else { panic!("{part:?}") };
    assert_eq!((step.step.as_str(), step.verdict.as_str(), step.message_id), ("reserve", "done", placed.id()));
    let said = step.said.as_ref().ok_or("it said something")?;
    assert_eq!(said.event_type, "test.reserved.v1");
    assert_eq!(said.body.as_ref().ok_or("with a body")?.get(), "{}");
    let [waiting] = &part.waiting[..] else { panic!("{part:?}") };
    assert_eq!((waiting.step.as_str(), waiting.message_id, waiting.is_parked()), ("pack", pack.id(), false));
    assert!(waiting.reason.contains("broken down"), "{waiting:?}");

    let text = serde_json::to_string(&part)?;
    let read: SagaPart = serde_json::from_str(&text)?;
    assert_eq!(serde_json::to_string(&read)?, text, "another service reads what this one says");
    let unheard_of = bench.saga().part(SagaId::new()).await?;
    assert!(unheard_of.steps.is_empty() && unheard_of.waiting.is_empty());
    Ok(())
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "test.answer.v1")]
pub(crate) struct Answer {
    pub(crate) by: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "test.counted.v1")]
struct Counted {
    all: bool,
}

fn answer_of(by: &str) -> String {
    format!("answer:{by}")
}

async fn count(cx: &mut Cx<Arc<Script>>, _: Answer) -> StepResult<Counted, Never> {
    let all = cx.all_have_run(cx.saga_id(), &["one", "other"].map(answer_of)).await?;
    cx.app().reach("counted").await?;
    say(Counted { all })
}

pub(crate) fn counting(script: &Arc<Script>) -> Fallible<Participant<Arc<Script>>> {
    Ok(Participant::new("owner", Arc::clone(script))
        .starts::<Placed, Never>("place", learn)
        .pivot("confirm", confirm)
        .retriable("count", count)
        .keyed_by(|answer: &Answer| answer_of(&answer.by))
        .build()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_replicas_that_count_the_steps_of_an_announced_saga_at_once_the_last_sees_all() -> Outcome {
    let world = World::new().await?;
    let script = Arc::<Script>::default();
    let (one, other) = (world.bench(counting(&script)?).await?, world.bench(counting(&script)?).await?);
    let saga = place(&one).await?;
    one.fail(saga).await?;
    let gate = script.gate("counted");
    let deliver = |bench: &Arc<_>, by: &str| -> Fallible<_> {
        let (bench, answer) = (Arc::clone(bench), Message::of(saga, &Answer { by: by.to_owned() })?);
        Ok(tokio::spawn(async move { saga_common::testkit::Bench::deliver(&bench, &answer).await }))
    };
    let first = deliver(&one, "one")?;
    gate.reached().await?;
    let second = deliver(&other, "other")?;
    eventually("the second waits for the first", async || {
        Ok((!one.db().query(WAITS_FOR_A_ROW, &[]).await?.is_empty()).then_some(()))
    })
    .await?;
    gate.open();
    first.await??;
    second.await??;
    let said = one.saga().part(saga).await?.steps.into_iter().filter(|line| line.step.starts_with("answer:"));
    let bodies: Vec<_> = said.filter_map(|line| Some(line.said?.body?.get().to_owned())).collect();
    assert_eq!(bodies, [r#"{"all":false}"#, r#"{"all":true}"#]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_fenced_has_not_run() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(counting(&Arc::default())?).await?;
    let saga = place(&bench).await?;
    let fence = "insert into saga.idempotency_keys (saga_id, step, verdict, message_id) values ($1, $2, 'fenced', $1)";
    bench.db().execute(fence, &[&saga.as_uuid(), &answer_of("other")]).await?;
    let report = bench.deliver(&Message::of(saga, &Answer { by: "one".to_owned() })?).await?;
    assert_eq!(report.said.ok_or("nothing was said")?.body, serde_json::json!({ "all": false }));
    Ok(())
}
