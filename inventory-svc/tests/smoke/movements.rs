//! What people do to the shelf: adjustments, counts, imports; and the log of it.

use super::{Inventory, Outcome, placed};
use futures::future::join_all;
use saga_common::SagaId;
use sagactl::client::{AdjustedStock, ClientError, CountedArticle, Imported, Movement, Page, Service};
use sagactl::stack::session;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn status<T>(answer: Result<T, ClientError>) -> Option<u16> {
    answer.err().and_then(|error| error.status())
}

/// An article's whole log, in pages of two, and each line as what, change and total.
async fn log(inventory: &Inventory, sku: &str) -> Outcome<Vec<(String, i64, i64)>> {
    let (mut lines, mut cursor) = (Vec::new(), None);
    loop {
        let page = inventory.client.movements(sku, &Page { limit: Some(2), cursor }).await?;
        assert!(page.movements.len() <= 2);
        lines.extend(page.movements.into_iter().map(|Movement { kind, change, total, .. }| (kind, change, total)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(lines);
        }
    }
}

#[tokio::test]
async fn every_change_that_no_order_made_is_a_line_of_the_log() -> Outcome {
    let inventory = Inventory::up().await?;
    let client = &inventory.client;
    client.put_stock("NEW-MUG", 7).await?;
    client.put_stock("NEW-MUG", 7).await?;
    let AdjustedStock { movement, stock } = client.adjust_stock("NEW-MUG", -3, "breakage", None).await?;
    assert_eq!((movement.reason.as_deref(), stock.available), (Some("breakage"), 4));
    let article = CountedArticle { sku: "NEW-MUG", available: 10 };
    assert_eq!(client.import_stock(&[article]).await?.changed, 1);
    let line = |kind: &str, change, total| (kind.to_owned(), change, total);
    assert_eq!(
        log(&inventory, "NEW-MUG").await?,
        [line("imported", 6, 10), line("adjusted", -3, 4), line("set", 7, 7)]
    );
    assert_eq!(log(&inventory, "MUG-STONE").await?, [line("opening", 100_000, 100_000)]);
    client.put_stock("NOTHING", 0).await?;
    assert_eq!(log(&inventory, "NOTHING").await?, [], "an article that nothing has happened to");
    assert_eq!(status(client.movements("UNKNOWN", &Page::default()).await), Some(404));
    inventory.rests().await?;
    inventory.ends().await
}

#[tokio::test]
async fn the_log_only_grows_whoever_asks() -> Outcome {
    let inventory = Inventory::up().await?;
    // The role of this service, which owns the table here.
    let database = session(inventory.stack.database_url(Service::Inventory)).await?;
    for attempt in [
        "update stock_movements set change = change + 1",
        "update stock_movements set reason = 'no' where false",
        "delete from stock_movements",
        "truncate stock_movements",
        "delete from stock_adjustments",
    ] {
        let error = database.batch_execute(attempt).await.expect_err(attempt);
        let said = error.as_db_error().map(|error| error.message().to_owned());
        assert_eq!(said.as_deref(), Some("stock movements are only ever added"), "{attempt}");
    }
    // The version before this one, while it is still running.
    database
        .batch_execute(
            "begin; update stock set available = available + 2 where sku = 'MUG-STONE';
             insert into stock_adjustments (sku, delta) values ('MUG-STONE', 2); commit",
        )
        .await?;
    assert_eq!(log(&inventory, "MUG-STONE").await?[0], ("set".to_owned(), 2, 100_002));
    inventory.rests().await?;
    inventory.ends().await
}

#[tokio::test]
async fn an_adjustment_that_is_repeated_under_its_key_is_the_same_movement() -> Outcome {
    let inventory = Inventory::up_as(2).await?;
    let client = &inventory.client;
    let adjust =
        |change, reason: &'static str, key: &'static str| client.adjust_stock("MUG-STONE", change, reason, Some(key));
    // All at once: one of them makes it, the others wait and find it.
    let first = join_all((0..8).map(|_| adjust(-3, "breakage", "monday"))).await;
    let first: Vec<AdjustedStock> = first.into_iter().collect::<Result<_, _>>()?;
    assert!(first.iter().all(|answer| *answer == first[0]), "{first:?}");
    assert_eq!(first[0].stock.available, 99_997);
    adjust(1, "found", "tuesday").await?;
    let again = adjust(-3, "breakage", "monday").await?;
    assert_eq!((again.movement, again.stock.available), (first[0].movement.clone(), 99_998));
    for (change, reason) in [(-4, "breakage"), (-3, "theft")] {
        assert_eq!(status(adjust(change, reason, "monday").await), Some(422));
    }
    // Keys belong to their article.
    assert_eq!(client.adjust_stock("SCALE-01", -3, "breakage", Some("monday")).await?.stock.available, 99_997);
    // What was refused was never made: when there is enough, the same request is carried out.
    let teapot = || client.adjust_stock("TEAPOT-CAST", -1, "gift", Some("k"));
    assert_eq!(status(teapot().await), Some(409));
    client.put_stock("TEAPOT-CAST", 1).await?;
    assert_eq!(teapot().await?.stock.available, 0);
    assert_eq!(log(&inventory, "MUG-STONE").await?.len(), 3);
    inventory.rests().await?;
    inventory.ends().await
}

#[tokio::test]
async fn adjustments_and_orders_at_once_never_leave_less_than_nothing() -> Outcome {
    let mut inventory = Inventory::up_as(2).await?;
    inventory.client.put_stock("MUG-STONE", 60).await?;
    // 40 orders of two and 40 adjustments of minus two, and imports of others beside: of 80 wishes 30 can come true.
    let sagas: Vec<SagaId> = (0..40).map(|_| SagaId::new()).collect();
    for saga_id in &sagas {
        inventory.wire.say(*saga_id, &placed(*saga_id, &[("MUG-STONE", 2), ("SCALE-01", 1)])?).await?;
    }
    let taken = join_all((0..40).map(|_| inventory.client.adjust_stock("MUG-STONE", -2, "stolen", None)));
    let imports = join_all((0..8).map(|n| {
        let client = inventory.client.clone();
        async move {
            let article = |sku| CountedArticle { sku, available: 90_000 + n };
            client.import_stock(&[article("TEA-SENCHA-100"), article("SCALE-02"), article("KETTLE-GOOSE")]).await
        }
    }));
    let (taken, imports) = tokio::join!(taken, imports);
    imports.into_iter().collect::<Result<Vec<Imported>, _>>()?;
    let taken: Vec<_> = taken.into_iter().map(|answer| answer.map_err(|error| error.status())).collect();
    assert!(taken.iter().all(|answer| matches!(answer, Ok(_) | Err(Some(409)))), "{taken:?}");
    let mut open: BTreeSet<SagaId> = sagas.into_iter().collect();
    while !open.is_empty() {
        let heard = inventory.wire.listen().await?;
        if matches!(heard.event_type.as_str(), "stock.reserved.v1" | "stock.rejected.v1") {
            open.remove(&heard.saga_id);
        }
    }
    let adjusted = i64::try_from(taken.iter().filter(|answer| answer.is_ok()).count())?;
    let (available, reserved, sold) = inventory.available("MUG-STONE").await?;
    assert_eq!((available, sold), (0, 0), "everything was wanted");
    assert_eq!(reserved + 2 * adjusted, 60);
    inventory.rests().await?;
    inventory.ends().await
}

#[tokio::test]
async fn an_import_is_all_or_nothing_and_changes_nothing_the_second_time() -> Outcome {
    let inventory = Inventory::up().await?;
    let client = &inventory.client;
    let names: Vec<String> = (0..1_000).map(|n| format!("NEW-{n}")).collect();
    let mut articles: Vec<CountedArticle<'_>> = names.iter().map(|sku| CountedArticle { sku, available: 5 }).collect();
    articles[0].sku = "MUG-STONE";
    articles[1].available = 0;
    assert_eq!(client.import_stock(&articles).await?, Imported { added: 999, changed: 1, unchanged: 0 });
    let lines = "select count(*) from stock_movements";
    let before = inventory.count(lines).await?;
    assert_eq!(client.import_stock(&articles).await?, Imported { added: 0, changed: 0, unchanged: 1_000 });
    assert_eq!(inventory.count(lines).await?, before, "nothing has changed, so nothing is on record");

    articles[7].available = 6;
    articles[8].available = -1;
    articles[9].sku = "MUG-STONE";
    let Err(ClientError::Problem(problem)) = client.import_stock(&articles).await else {
        return Err("it was imported".into());
    };
    assert_eq!((problem.status, problem.errors.len()), (422, 2), "{problem}");
    assert!(problem.errors[0].starts_with("[8].available: ") && problem.errors[1].starts_with("[9].sku: "));
    assert_eq!(client.stock("NEW-7").await?.available, 5, "all or nothing");
    // The pages of the list are the list.
    assert_eq!(client.all_stock().await?.len(), 9 + 1_000);
    inventory.rests().await?;
    inventory.ends().await
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_everything_that_is_wrong_with_it() -> Outcome {
    let inventory = Inventory::up().await?;
    let (base, http) = (inventory.stack.url(Service::Inventory)?, inventory.stack.http());
    let long = "x".repeat(201);
    let post = |path: &str, body: Value| http.post(format!("{base}/stock/{path}")).json(&body);
    let adjust = |body| post("MUG-STONE/adjustments", body);
    let answers = [
        (404, 0, post("UNKNOWN/adjustments", json!({"change": 1, "reason": "x"}))),
        (422, 3, post("no%20mug/adjustments", json!({"change": 0, "reason": " "}))),
        (422, 2, post("MUG%00/adjustments", json!({"change": 1, "reason": "a\0b"}))),
        (422, 1, adjust(json!({"change": 1, "reason": long}))),
        (422, 1, adjust(json!({"change": i64::MIN, "reason": "x"}))),
        (422, 0, adjust(json!({"change": 1.5, "reason": "x"}))),
        (422, 0, adjust(json!({"change": 1, "reason": "x", "sku": "y"}))),
        (409, 0, adjust(json!({"change": -100_001, "reason": "x"}))),
        (409, 0, adjust(json!({"change": 1_000_000_000_000_i64, "reason": "x"}))),
        (400, 0, adjust(json!({"change": 1, "reason": "x"})).header("idempotency-key", "\"\"")),
        (422, 1, post("import", json!([]))),
        (422, 1, post("import", json!(vec![json!({"sku": "A", "available": 1}); 1_001]))),
        (400, 0, http.get(format!("{base}/stock?limit=0"))),
        (400, 0, http.get(format!("{base}/stock?limit=101"))),
        (400, 0, http.get(format!("{base}/stock?cursor=a%00b"))),
        (400, 0, http.get(format!("{base}/stock/MUG-STONE/movements?cursor=x"))),
        (404, 0, http.get(format!("{base}/stock/a%00b/movements"))),
        (405, 0, http.get(format!("{base}/stock/import"))),
    ];
    for (status, errors, request) in answers {
        let answer = request.send().await?;
        let (url, media) = (answer.url().clone(), answer.headers()["content-type"].to_str()?.to_owned());
        assert_eq!((answer.status().as_u16(), media.as_str()), (status, "application/problem+json"), "{url}");
        let problem: Value = answer.json().await?;
        assert_eq!(problem["errors"].as_array().map_or(0, Vec::len), errors, "{url}: {problem}");
    }
    assert_eq!(log(&inventory, "MUG-STONE").await?.len(), 1, "nothing has happened");
    inventory.rests().await?;
    inventory.ends().await
}
