//! What every event costs: reading and writing its envelope, and all that a consumer does with a batch between delivery and ack,
//! on a real PostgreSQL; and what it costs to publish, with confirms, and to forget what was said. A consumer between a real broker and
//! a real database: `sagactl load`.
//!
//! Compare with an earlier commit on the same machine: `cargo bench -- --save-baseline before`, then `--baseline before`.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use saga_common::envelope::{BUNDLE_EVENTS, open};
use saga_common::testkit::{Bench, Message, Publishing};
use saga_common::{Cx, Never, Outcome, Participant, Received, SagaId, SetResult, Undo, UndoResult, set};
use sagactl::stack::Servers;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("benches/migrations");

/// About as long as an order of two lines.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename = "bench.placed.v1")]
struct Placed {
    sku: String,
    quantity: i64,
    note: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "bench.reserved.v1")]
struct Reserved {
    sku: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "bench.rejected.v1")]
struct Rejected {}

#[derive(Serialize, Deserialize)]
#[serde(rename = "bench.noted.v1")]
struct Noted {}

/// One statement for the batch, and an answer to each.
async fn reserve(cx: &mut Cx<()>, events: &[Received<Placed>]) -> SetResult<Reserved, Rejected> {
    let ids: Vec<_> = events.iter().map(|it| it.saga_id.as_uuid()).collect();
    let skus: Vec<&str> = events.iter().map(|it| it.event.sku.as_str()).collect();
    let quantities: Vec<i64> = events.iter().map(|it| it.event.quantity).collect();
    let sql = "insert into effects select * from unnest($1::uuid[], $2::text[], $3::int8[])";
    cx.tx().execute(sql, &[&ids, &skus, &quantities]).await?;
    Ok(events.iter().map(|it| Outcome::Say(Reserved { sku: it.event.sku.clone() })).collect())
}

async fn release(_: &mut Cx<()>) -> UndoResult {
    Ok(Undo::Done)
}

/// Nothing but the guard row.
async fn note(_: &mut Cx<()>, events: &[Received<Noted>]) -> SetResult<Never> {
    Ok(events.iter().map(|_| Outcome::Quiet).collect())
}

fn placed() -> Placed {
    Placed { sku: "MUG-STONE".to_owned(), quantity: 2, note: "x".repeat(200) }
}

fn messages(count: usize) -> Vec<Message> {
    let message = |_| Message::of(SagaId::new(), &placed()).expect("an event");
    (0..count).map(message).collect()
}

fn envelopes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("envelope");
    for count in [1, BUNDLE_EVENTS] {
        let events = messages(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::new("write", count), &events, |it, events| {
            it.iter(|| Message::travelling(events));
        });
        let raw = Message::travelling(&events).remove(0);
        group.bench_with_input(BenchmarkId::new("open", count), &raw, |it, raw| {
            it.iter_batched(|| raw.clone(), open, BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// A participant on a database of its own.
async fn participant(servers: &Servers) -> Fallible<Bench<()>> {
    let name = format!("bench_{}", SagaId::new().as_uuid().simple());
    let url = servers.create_database(&name).await?;
    let participant = Participant::new("bench", ())
        .compensatable("reserve", set(reserve), release)
        .retriable("note", set(note))
        .build()?;
    Ok(Bench::new(participant, &url, &MIGRATOR).await?)
}

/// The time of `rounds` batches, made and forgotten outside of it.
async fn timed(bench: &Bench<()>, rounds: u64, batch: impl Fn() -> Vec<Message>) -> Duration {
    let mut taken = Duration::ZERO;
    for _ in 0..rounds {
        let batch = batch();
        let begun = Instant::now();
        bench.settle(&batch).await;
        taken += begun.elapsed();
        bench.confirm_all().await.expect("the outbox can be emptied");
    }
    taken
}

fn batches(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let servers = runtime.block_on(Servers::shared()).expect("servers");
    let bench = runtime.block_on(participant(&servers)).expect("PostgreSQL");
    let mut group = criterion.benchmark_group("batch");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for count in [1, 64, 256] {
        group.throughput(Throughput::Elements(count as u64));
        let noted = || (0..count).map(|_| Message::of(SagaId::new(), &Noted {}).expect("an event")).collect();
        group.bench_function(BenchmarkId::new("guard rows only", count), |it| {
            it.iter_custom(|rounds| runtime.block_on(timed(&bench, rounds, noted)));
        });
        group.bench_function(BenchmarkId::new("a step that says something", count), |it| {
            it.iter_custom(|rounds| runtime.block_on(timed(&bench, rounds, || messages(count))));
        });
    }
    group.finish();
}

/// What units have said: how long the broker takes to confirm it, and the database to forget it.
fn outbox(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let servers = runtime.block_on(Servers::shared()).expect("servers");
    let bench = runtime.block_on(participant(&servers)).expect("PostgreSQL");
    let vhost = format!("bench-{}", SagaId::new().as_uuid().simple());
    let mut publishing = runtime.block_on(async {
        let amqp = servers.create_vhost(&vhost).await.expect("a virtual host");
        Publishing::of(&bench, &amqp).await.expect("RabbitMQ")
    });
    let mut group = criterion.benchmark_group("outbox");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for count in [1, 64, 256] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("publish", count), |it| {
            it.iter_custom(|rounds| {
                runtime.block_on(async {
                    let mut taken = Duration::ZERO;
                    for _ in 0..rounds {
                        let batch = messages(count);
                        let begun = Instant::now();
                        assert_eq!(publishing.publish(&batch).await.expect("an answer"), count, "all are confirmed");
                        taken += begun.elapsed();
                    }
                    taken
                })
            });
        });
    }
    for units in [1, 64, 256] {
        group.throughput(Throughput::Elements(units as u64));
        group.bench_function(BenchmarkId::new("forget units", units), |it| {
            it.iter_custom(|rounds| runtime.block_on(forgotten(&bench, rounds, units)));
        });
    }
    group.finish();
    drop(publishing);
    runtime.block_on(servers.management().delete_vhost(&vhost)).expect("the virtual host can go");
}

/// The time it takes to forget so many units, each of which said one thing, and to ask which they are.
async fn forgotten(bench: &Bench<()>, rounds: u64, units: usize) -> Duration {
    let mut taken = Duration::ZERO;
    for _ in 0..rounds {
        for message in messages(units) {
            bench.settle(&[message]).await;
        }
        let begun = Instant::now();
        bench.confirm_all().await.expect("the outbox can be emptied");
        taken += begun.elapsed();
    }
    taken
}

criterion_group!(hot_path, envelopes, batches, outbox);
criterion_main!(hot_path);
