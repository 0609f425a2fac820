//! R6: which sagas can be guarded, and for how long.

use crate::shop::{Placed, Shop, effects, said, shop};
use crate::world::{Fallible, LIMIT, MIGRATOR, Outcome, World, eventually};
use saga_common::testkit::{Bench, Message};
use saga_common::{SagaId, Verdict};
use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;
use tracing::instrument::WithSubscriber;

/// A saga of so many days ago (or ahead), that begins at midnight.
fn saga_of_day(days_ago: i64) -> SagaId {
    let midnight = chrono::Utc::now().timestamp() / 86_400 - days_ago;
    let millis = u128::from((midnight * 86_400_000).unsigned_abs());
    let unique = SagaId::new().as_uuid().as_u128() & 0x0fff_ffff_ffff_ffff;
    let v7 = (millis << 80) | 0x7000_8000_0000_0000_0000 | unique;
    SagaId::from(sqlx::types::Uuid::from_u128(v7))
}

fn partition(days_ago: i64) -> String {
    partition_of("idempotency_keys", days_ago)
}

fn partition_of(table: &str, days_ago: i64) -> String {
    let day = chrono::Utc::now() - chrono::TimeDelta::days(days_ago);
    format!("{table}_{}", day.format("%Y%m%d"))
}

async fn partitions(bench: &Shop) -> Fallible<BTreeSet<String>> {
    partitions_of(bench, "idempotency_keys").await
}

async fn partitions_of(bench: &Shop, table: &str) -> Fallible<BTreeSet<String>> {
    let sql = "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
               where i.inhparent = ('saga.' || $1)::regclass";
    Ok(bench.db().query(sql, &[&table]).await?.iter().map(|row| row.get(0)).collect())
}

/// Statements name the partition of their batch's day; this batch has none.
#[tokio::test(flavor = "multi_thread")]
async fn sagas_of_two_days_in_one_batch_are_handled_as_each_by_itself() -> Outcome {
    let world = World::new().await?;
    let script = Arc::default();
    let bench = world.bench(shop(&script)?).await?;
    let (mixed, alone) = ([saga_of_day(1), saga_of_day(0)], SagaId::new());
    let placed = |saga: SagaId| Message::of(saga, &Placed::order());
    let batches = async |of: &dyn Fn(SagaId) -> Fallible<Message>| -> Outcome {
        let together: Vec<Message> = mixed.iter().map(|saga| of(*saga)).collect::<Fallible<_>>()?;
        bench.deliver_batch(&together).await?;
        let expected = bench.deliver(&of(alone)?).await?;
        for message in &together {
            assert_eq!(bench.report(message).await?.verdict, expected.verdict);
        }
        for saga in mixed {
            assert_eq!(effects(&bench, saga).await?, effects(&bench, alone).await?);
            assert_eq!(said(&bench, saga).await?, said(&bench, alone).await?);
        }
        Ok(())
    };
    // New, again under other ids, undone, and asked for once more.
    batches(&|saga| Ok(placed(saga)?)).await?;
    batches(&|saga| Ok(placed(saga)?)).await?;
    batches(&|saga| Ok(Message::failure(saga))).await?;
    bench.confirm_all().await?;
    batches(&|saga| Ok(Message::failure(saga).announced(1))).await?;
    assert_eq!(said(&bench, alone).await?, ["saga.compensated.v1"]);
    assert_eq!(script.count("reserve"), 3, "no batch was split");
    Ok(())
}

/// A service whose role owns nothing, beside an owner who makes the partitions.
async fn service_of_an_owner(world: &World) -> Fallible<Shop> {
    #[derive(clap::Parser)]
    struct Bare {
        #[command(flatten)]
        engine: saga_common::Settings,
    }
    let role = format!("{}_svc", world.name);
    let make = format!(
        "create role \"{role}\" login password 'service'; grant connect on database \"{}\" to \"{role}\"",
        world.name
    );
    world.administrate(&make).await?;
    let port = world.database_port()?;
    let service_url = format!("postgres://{role}:service@127.0.0.1:{port}/{}", world.name);
    let urls = ["bare", "--database-url", &service_url, "--database-owner-url", &world.database_url, "--amqp-url", ""];
    let settings = <Bare as clap::Parser>::try_parse_from(urls)?.engine;
    Ok(Bench::with_settings(shop(&Arc::default())?, settings, &MIGRATOR).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_owns_nothing_works_with_partitions_of_later_and_of_strangers() -> Outcome {
    let world = World::new().await?;
    let bench = service_of_an_owner(&world).await?;
    let owner = world.bench(shop(&Arc::default())?).await?;
    let works = async |saga: SagaId| -> Outcome {
        let placed = bench.deliver(&Message::of(saga, &Placed::order())?).await?;
        assert_eq!((placed.verdict, placed.waiting), (Some(Verdict::Done), None));
        assert_eq!(bench.fail(saga).await?.verdict, Some(Verdict::Undone));
        Ok(())
    };
    works(saga_of_day(1)).await?;
    // Made again by the owner, after all was granted; and once more by a stranger, before the hourly look.
    for stranger in [false, true] {
        for table in ["idempotency_keys", "said"] {
            owner.db().execute(&format!("drop table saga.{}", partition_of(table, 1)), &[]).await?;
        }
        if stranger {
            make_past(&owner, 1).await?;
            let revoke = format!("revoke all on saga.{} from \"{}_svc\"", partition(1), world.name);
            owner.db().execute(&revoke, &[]).await?;
        }
        bench.keep_partitions().await?;
        works(saga_of_day(1)).await?;
    }
    Ok(())
}

/// Makes the partition of a past day, as the service did then.
async fn make_past(bench: &Shop, days_ago: i64) -> Outcome {
    let (from, to) = (saga_of_day(days_ago).as_uuid().as_u128(), saga_of_day(days_ago - 1).as_uuid().as_u128());
    let floor = |id: u128| sqlx::types::Uuid::from_u128(id >> 80 << 80);
    let sql = format!(
        "create table saga.{} partition of saga.idempotency_keys for values from ('{}') to ('{}')",
        partition(days_ago),
        floor(from),
        floor(to)
    );
    bench.db().execute(&sql, &[]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_there_fourteen_days_ahead() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    for table in ["idempotency_keys", "said"] {
        let expected: BTreeSet<_> = (-14..=1).map(|day| partition_of(table, day)).collect();
        assert_eq!(partitions_of(&bench, table).await?, expected);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_outside_of_the_window_is_parked_for_good_before_any_insert() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let no_v7 = SagaId::from(sqlx::types::Uuid::nil());
    for saga in [saga_of_day(5), saga_of_day(-3), no_v7] {
        for message in [Message::of(saga, &Placed::order())?, Message::failure(saga)] {
            let report = bench.deliver(&message).await?;
            let waiting = report.waiting.ok_or(format!("{saga} is not parked"))?;
            assert_eq!((waiting.state.as_str(), report.verdict), ("parked", None), "{waiting:?}");
            assert!(waiting.reason.contains("expired"), "{waiting:?}");
            assert_eq!(bench.redrive(message.id()).await?, Some(0), "it cannot be redriven");
        }
        assert!(bench.guards(saga).await?.is_empty() && effects(&bench, saga).await?.is_empty());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_past_retention_go_unless_a_saga_in_them_is_unfinished() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    for day in [100, 99, 97, 95] {
        make_past(&bench, day).await?;
    }
    bench.keep_partitions().await?;
    assert!(partitions(&bench).await?.contains(&partition(1)) && !partitions(&bench).await?.contains(&partition(95)));

    for day in [100, 98] {
        make_past(&bench, day).await?;
    }
    let job = "insert into saga.jobs (saga_id, step, phase, message_id, data) values ($1, 'charge', 'call', $1, '{}')";
    bench.db().execute(job, &[&saga_of_day(98).as_uuid()]).await?;
    let faults = [101, 100, 98, 0].map(|days_ago| saga_of_day(days_ago).as_uuid());
    let plant = "insert into saga.faults (saga_id, n, directive, times_left) select unnest($1::uuid[]), 0, '', 1";
    bench.db().execute(plant, &[&&faults[..]]).await?;
    bench.keep_partitions().await?;
    let kept = partitions(&bench).await?;
    assert!(!kept.contains(&partition(100)) && kept.contains(&partition(98)));
    let planted = bench.db().query("select saga_id from saga.faults order by saga_id", &[]).await?;
    let planted: Vec<sqlx::types::Uuid> = planted.iter().map(|row| row.get(0)).collect();
    assert_eq!(planted, faults[2..], "the directives of sagas that can be guarded are kept");
    // What was said on a day may be the words of sagas of the day after, by another host's clock: it goes a day later.
    let said = partitions_of(&bench, "said").await?;
    let there = |day| said.contains(&partition_of("said", day));
    assert!(!there(99) && there(98), "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_day_since_the_oldest_one_kept_can_be_guarded() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    // The service was down for weeks, or one old day is kept: a message of a day between must not be without a place.
    make_past(&bench, 30).await?;
    bench.keep_partitions().await?;
    let report = bench.deliver(&Message::of(saga_of_day(20), &Placed::order())?).await?;
    assert_eq!(report.verdict, Some(Verdict::Done));
    Ok(())
}

#[tokio::test]
async fn days_that_no_partition_can_be_made_for_are_counted_and_an_error_when_they_come_near() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    // This thread's: all of this test runs on it.
    let _recording = metrics::set_default_local_recorder(&recorder);
    let told = |days: u32| recorder.handle().render().contains(&format!("saga_partition_days_ahead {days}\n"));
    let said = keep_with_warnings(Arc::clone(&bench)).await?;
    assert!(said.is_empty() && told(14), "{said}");

    // Something of that name is in the way, and is no partition.
    for (day, near) in [(8, false), (7, true)] {
        bench.db().execute(&format!("drop table saga.{}", partition(-day)), &[]).await?;
        bench.db().execute(&format!("create table saga.{} (x int)", partition(-day)), &[]).await?;
        let said = keep_with_warnings(Arc::clone(&bench)).await?;
        assert!(said.contains("not kept up"), "{said}");
        assert_eq!(said.contains("ERROR"), near, "{said}");
        assert!(told(u32::try_from(day - 1)?), "{}", recorder.handle().render());
    }
    Ok(())
}

/// Keeps partitions, which must go well, and tells what was logged as a warning.
async fn keep_with_warnings(bench: Arc<Shop>) -> Fallible<String> {
    let (mut log, writer) = std::io::pipe()?;
    let warnings =
        tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(Arc::new(writer)).finish();
    bench.keep_partitions().with_subscriber(warnings).await?;
    let mut warned = String::new();
    log.read_to_string(&mut warned)?;
    Ok(warned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_transaction_keeps_a_partition_from_being_dropped_but_nobody_from_starting_or_going_on() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    make_past(&bench, 100).await?;
    let (past, ahead) = (partition(100), partition(-14));
    bench.db().execute(&format!("drop table saga.{ahead}"), &[]).await?;
    // As a backup does: it holds every table that it reads, to its end.
    let reading = bench.db().begin().await?;
    reading.query("select 1 from saga.idempotency_keys", &[]).await?;
    let keeping = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { keep_with_warnings(bench).await.map_err(|error| error.to_string()) }
    });
    // From now on every statement on the guard rows stands behind the one who wants to drop.
    eventually("the drop waits", async || {
        let blocked = "select 1 from pg_locks where relation = ('saga.' || $1)::regclass and not granted";
        Ok((!bench.db().query(blocked, &[&past]).await?.is_empty()).then_some(()))
    })
    .await?;
    assert!(partitions(&bench).await?.contains(&ahead), "what is ahead waits neither for the reader nor for the drop");
    let placed = Message::of(SagaId::new(), &Placed::order())?;
    let report = tokio::time::timeout(LIMIT, bench.deliver(&placed)).await??;
    assert_eq!(report.verdict, Some(Verdict::Done));
    let warned = keeping.await??;
    assert!(warned.contains("not kept up"), "{warned}");
    let starting = tokio::time::timeout(LIMIT, world.bench(shop(&Arc::default())?)).await??;
    let report = starting.deliver(&Message::of(SagaId::new(), &Placed::order())?).await?;
    assert_eq!(report.verdict, Some(Verdict::Done));
    assert!(partitions(&bench).await?.contains(&past), "it is still being read");
    drop(reading);
    bench.keep_partitions().await?;
    assert!(!partitions(&bench).await?.contains(&past));
    Ok(())
}
