//! R5, and what saves round trips: statements that leave with the next one, rows that come with their locks.

use crate::owner::{Owner, owner};
use crate::shop::{Placed, effects, shop};
use crate::world::{Fallible, Outcome, World};
use futures::FutureExt;
use saga_common::testkit::Message;
use saga_common::{SagaId, Statement, Verdict};
use std::sync::Arc;

fn effect(saga: SagaId, step: &'static str) -> Statement<'static> {
    Statement::new("insert into effects (saga_id, step) values ($1, $2)").with(saga.as_uuid()).with(step)
}

type Make = fn(&'static str) -> Statement<'static>;

async fn steps(bench: &Owner) -> Fallible<Vec<String>> {
    let rows = bench.db().query("select step from effects order by at", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_run_later_is_run_before_what_comes_after_it() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let (saga, unit) = (SagaId::new(), bench.saga().begin().await?);
    unit.tx().run_later(effect(saga, "one"))?;
    unit.tx().run_later(effect(saga, "two"))?;
    let seen = unit.tx().query("select step from effects order by at", &[]).await?;
    assert_eq!(seen.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["one", "two"]);
    unit.tx().run_later(effect(saga, "three"))?;
    assert_eq!(unit.tx().execute("update effects set step = step || '!'", &[]).await?, 3);
    unit.tx().run_later(effect(saga, "four"))?;
    bench.saga().commit(unit).await?;
    assert_eq!(steps(&bench).await?, ["one!", "two!", "three!", "four"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_later_fails_its_unit() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let missed = "with hit as (update effects set step = 'x' where step = 'nowhere' returning 1)
                  select saga.must_all_be_hit(count(*), 1) from hit";
    let with_a_step = "insert into effects (saga_id, step) values (gen_random_uuid(), $1)";
    let wrong: [(Make, &str, &str); 5] = [
        (Statement::new, "insert into effects (saga_id, step) values (null, 'wrong')", "null"),
        (Statement::new, "insert into nowhere values (1)", "nowhere"),
        (Statement::new, missed, "0 of 1 rows were hit"),
        // The database never sees the next two: nothing there would keep COMMIT from being one.
        (|sql| Statement::new(sql).with(1_i64), with_a_step, "parameter"),
        (Statement::new, with_a_step, "parameter"),
    ];
    for (wrong, sql, why) in wrong {
        for with_commit in [true, false] {
            let (saga, unit) = (SagaId::new(), bench.saga().begin().await?);
            unit.tx().execute("insert into effects (saga_id, step) values ($1, 'before')", &[&saga.as_uuid()]).await?;
            unit.tx().run_later(effect(saga, "before, too"))?;
            unit.tx().run_later(wrong(sql))?;
            unit.tx().run_later(effect(saga, "behind"))?;
            let mut error = None;
            if !with_commit {
                // Swallowed by its step.
                error = unit.tx().query("select 1 from effects", &[]).await.err().map(|error| error.to_string());
                assert!(error.is_some(), "{sql}: the query behind it has not failed");
            }
            let at_the_end = bench.saga().commit(unit).await.err().ok_or("it was committed")?;
            let error = error.unwrap_or(at_the_end.to_string());
            assert!(error.contains(why), "{error}");
            assert!(steps(&bench).await?.is_empty(), "{sql}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_given_up_passes_over_nothing_that_was_to_be_run_before_it() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    // Given up before it has left, while what is behind it is prepared, the unit can be committed; given up after that, it cannot.
    let (mut whole, mut given_up) = (0, 0);
    while whole == 0 || given_up == 0 {
        let (saga, unit) = (SagaId::new(), bench.saga().begin().await?);
        unit.tx().run_later(effect(saga, "one"))?;
        drop(unit.tx().query("select 1", &[]).now_or_never());
        match bench.saga().commit(unit).await {
            Ok(()) => whole += 1,
            Err(_) => given_up += 1,
        }
        assert_eq!(steps(&bench).await?.len(), whole, "beside {given_up} that were given up");
        assert!(whole + given_up < 100, "always the same: {whole} and {given_up}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_are_run_later_they_are_run_in_their_order() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let unit = bench.saga().begin().await?;
    let wanted: Vec<String> = (0..200).map(|n| format!("step {n}")).collect();
    for step in &wanted {
        let insert = "insert into effects (saga_id, step) values (gen_random_uuid(), $1)";
        unit.tx().run_later(Statement::new(insert).with(step.clone()))?;
    }
    bench.saga().commit(unit).await?;
    assert_eq!(steps(&bench).await?, wanted);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_ends_the_transaction_is_run_later() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let unit = bench.saga().begin().await?;
    assert!(unit.tx().run_later(Statement::new("commit")).is_err());
    unit.tx().run_later(effect(SagaId::new(), "one"))?;
    unit.rollback().await;
    assert!(steps(&bench).await?.is_empty(), "rolled back with the rest");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_rows_come_with_their_locks_whether_or_not_copies_are_likely() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    bench.db().execute("insert into stock (sku) values ('A'), ('B')", &[]).await?;
    for (round, redelivered) in [(0, false), (1, true), (2, false)] {
        let saga = SagaId::new();
        let order = Placed { skus: vec!["B".to_owned(), "A".to_owned()], ..Placed::word("look") };
        let message = Message::of(saga, &order)?;
        bench.deliver(&if redelivered { message.redelivered() } else { message }).await?;
        let seen = [format!("A was {round}"), format!("B was {round}")];
        assert_eq!(effects(&bench, saga).await?[1..], seen, "as they were before the first action");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sagas_that_start_with_the_end_of_their_unit_start_with_its_rows_or_not_at_all() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(owner()?).await?;
    let (taken, new) = (SagaId::new(), SagaId::new());
    let order = |saga: SagaId| {
        Statement::new("insert into orders values ($1, 'pending') returning status").with(saga.as_uuid())
    };
    let asked = vec![Statement::new("select 7"), effect(taken, "asked"), Statement::new("select 8 union select 9")];
    let (mut unit, answers) = bench.saga().begin_with(asked).await?;
    let numbers = |rows: &[saga_common::Row]| rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>();
    assert_eq!((numbers(&answers[0]), answers[1].len(), numbers(&answers[2])), (vec![7], 0, vec![8, 9]));
    unit.start_last("place", &[(taken, Placed::order())])?;
    let rows = bench.saga().commit_with(unit, order(taken)).await?;
    assert_eq!(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["pending"]);
    let guards = bench.guards(taken).await?;
    assert!(matches!(&guards[..], [(step, Verdict::Done, Some(_))] if step == "place"), "{guards:?}");

    for (sagas, last) in [
        (vec![new, taken], effect(new, "behind one that was there")),
        (vec![new], Statement::new("insert into orders values ($1, 1 / $2)").with(new.as_uuid()).with(0_i32)),
        (vec![new], order(taken)),
    ] {
        let (mut unit, _) = bench.saga().begin_with(Vec::new()).await?;
        let starting: Vec<_> = sagas.into_iter().map(|saga| (saga, Placed::order())).collect();
        unit.start_last("place", &starting)?;
        bench.saga().commit_with(unit, last).await.err().ok_or("it was committed")?;
        assert!(bench.guards(new).await?.is_empty());
        assert_eq!(steps(&bench).await?, ["asked"]);
    }
    let unable = bench.saga().begin_with(vec![effect(new, "undone"), Statement::new("select 1 / 0")]).await;
    assert!(unable.is_err() && steps(&bench).await? == ["asked"]);
    Ok(())
}
