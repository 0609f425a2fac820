//! inventory-svc alone, as a process on real servers: the test plays everybody else.

mod movements;
mod storm;
mod wire;

use order_contracts::{CustomerId, Line, Money, OrderConfirmed, OrderId, OrderPlaced};
use saga_common::SagaId;
use sagactl::client::{Client, Service, Stock};
use sagactl::stack::{Stack, StackOptions, eventually, session};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use wire::{Outcome, Wire};

const PROGRAM: &str = env!("CARGO_BIN_EXE_inventory-svc");

struct Inventory {
    stack: Stack,
    client: Client,
    wire: Wire,
}

impl Inventory {
    async fn up() -> Outcome<Self> {
        Self::up_as(1).await
    }

    async fn up_as(replicas: usize) -> Outcome<Self> {
        let folder = Path::new(PROGRAM).parent().map(Path::to_path_buf);
        let options = StackOptions::unique().only([Service::Inventory]).programs_folder(folder);
        let options = options.replicas(Service::Inventory, replicas);
        let stack = Stack::up(options.env(Service::Inventory, "LOG", "info,saga_common=debug")).await?;
        let wire = Wire::connect(stack.amqp_url()).await?;
        Ok(Self { client: stack.client(), wire, stack })
    }

    async fn available(&self, sku: &str) -> Outcome<(i64, i64, i64)> {
        let Stock { available, reserved, sold, .. } = self.client.stock(sku).await?;
        Ok((available, reserved, sold))
    }

    /// One number out of the service's database.
    async fn count(&self, sql: &str) -> Outcome<i64> {
        let database = session(self.stack.database_url(Service::Inventory)).await?;
        Ok(database.query_one(sql, &[]).await?.get(0))
    }

    /// Waits until nothing is left to publish, and checks that every piece is accounted for.
    async fn rests(&self) -> Outcome {
        eventually("the outbox drains", || async {
            Ok((self.count("select count(*) from saga.outbox").await? == 0).then_some(()))
        })
        .await?;
        let unbalanced = "select count(*) from stock s
            where available + reserved + sold <> (select sum(change) from stock_movements a where a.sku = s.sku)
               or reserved <> (select coalesce(sum(quantity), 0) from reservations r where r.sku = s.sku and state = 'held')";
        assert_eq!(self.count(unbalanced).await?, 0, "stock is out of balance");
        Ok(())
    }

    async fn ends(self) -> Outcome {
        let begun = Instant::now();
        let status = self.stack.terminate(Service::Inventory).await?;
        assert!(status.success(), "{status}");
        assert!(begun.elapsed() < Duration::from_secs(10), "drained only after {:?}", begun.elapsed());
        Ok(())
    }
}

fn placed(saga_id: SagaId, lines: &[(&str, i64)]) -> Outcome<OrderPlaced> {
    Ok(OrderPlaced {
        order_id: OrderId(saga_id.as_uuid()),
        customer_id: CustomerId::from("anna"),
        lines: lines.iter().map(|&(sku, quantity)| Line { sku: sku.into(), quantity }).collect(),
        amount_minor: Money::from_minor(3_870).map_err(|e| e.to_string())?,
        currency: "EUR".to_owned().try_into()?,
        payment_method: "pm_card_visa".into(),
    })
}

fn confirmed(saga_id: SagaId) -> OrderConfirmed {
    OrderConfirmed { order_id: OrderId(saga_id.as_uuid()), customer_id: "anna".into() }
}

#[tokio::test]
async fn it_starts_and_drains_in_time() -> Outcome {
    let inventory = Inventory::up().await?;
    let url = inventory.stack.url(Service::Inventory)?;
    let alive = reqwest::Client::builder().no_proxy().build()?.get(format!("{url}/livez")).send().await?;
    assert_eq!(alive.status(), 200);
    inventory.client.ready(Service::Inventory).await?;
    assert_eq!(inventory.client.choreography(Service::Inventory).await?.participant, "inventory");
    inventory.ends().await
}

#[tokio::test]
async fn an_order_reserves_and_buys_its_stock_once() -> Outcome {
    let mut inventory = Inventory::up().await?;
    let saga_id = SagaId::new();
    let order = placed(saga_id, &[("MUG-STONE", 2), ("SCALE-01", 1)])?;
    let again = inventory.wire.say(saga_id, &order).await?;
    let reserved = inventory.wire.hears(saga_id).await?;
    assert_eq!(reserved.event_type, "stock.reserved.v1");
    assert_eq!(reserved.body["amount_minor"], 3_870);
    assert_eq!(reserved.body["payment_method"], "pm_card_visa");
    assert_eq!(reserved.causation_id, Some(again));
    assert_eq!(inventory.available("MUG-STONE").await?, (99_998, 2, 0));
    inventory.rests().await?;

    // Once more under the same id, and once under another: nothing changes and nothing is said.
    inventory.wire.say_as(again, saga_id, &order).await?;
    inventory.wire.say(saga_id, &order).await?;
    inventory.wire.say(saga_id, &confirmed(saga_id)).await?;
    assert_eq!(inventory.wire.hears(saga_id).await?.event_type, "stock.committed.v1");
    assert_eq!(inventory.available("MUG-STONE").await?, (99_998, 0, 2));
    assert_eq!(inventory.available("SCALE-01").await?, (99_999, 0, 1));
    inventory.rests().await?;
    inventory.ends().await
}

#[tokio::test]
async fn a_failed_order_gives_its_stock_back_and_a_late_one_is_fenced() -> Outcome {
    let mut inventory = Inventory::up().await?;
    let saga_id = SagaId::new();
    inventory.wire.say(saga_id, &placed(saga_id, &[("MUG-STONE", 2)])?).await?;
    inventory.wire.hears(saga_id).await?;
    inventory.wire.fails(saga_id).await?;
    let answer = inventory.wire.hears(saga_id).await?;
    assert_eq!(answer.body, json!({"participant": "inventory", "outcome": "undone"}));
    assert_eq!(inventory.available("MUG-STONE").await?, (100_000, 0, 0));

    let late = SagaId::new();
    inventory.wire.fails(late).await?;
    let answer = inventory.wire.hears(late).await?;
    assert_eq!(answer.body["outcome"], "fenced");
    inventory.wire.say(late, &placed(late, &[("MUG-STONE", 2)])?).await?;
    // The next order's answer shows that the fenced one has been dealt with.
    let next = SagaId::new();
    inventory.wire.say(next, &placed(next, &[("MUG-STONE", 1)])?).await?;
    inventory.wire.hears(next).await?;
    assert_eq!(inventory.available("MUG-STONE").await?, (99_999, 1, 0));
    inventory.rests().await?;
    inventory.ends().await
}

#[tokio::test]
async fn an_order_gets_all_its_lines_or_is_refused() -> Outcome {
    let mut inventory = Inventory::up().await?;
    let saga_id = SagaId::new();
    let order = placed(saga_id, &[("MUG-STONE", 1), ("TEAPOT-CAST", 1), ("no such\0thing", 3)])?;
    inventory.wire.say(saga_id, &order).await?;
    let refused = inventory.wire.hears(saga_id).await?;
    assert_eq!((refused.event_type.as_str(), refused.exchange.as_str()), ("stock.rejected.v1", "saga.failures"));
    assert_eq!(refused.body["reason"], "out of stock");
    let teapot = json!({"sku": "TEAPOT-CAST", "requested": 1, "available": 0});
    let unknown = json!({"sku": "no such\0thing", "requested": 3, "available": 0});
    assert_eq!(refused.body["shortages"], json!([teapot, unknown]));
    // Its own refusal reaches it, too.
    let answer = inventory.wire.hears(saga_id).await?;
    assert_eq!(answer.body["outcome"], "nothing-to-undo");
    assert_eq!(inventory.available("MUG-STONE").await?, (100_000, 0, 0));
    inventory.rests().await?;
    inventory.ends().await
}

#[tokio::test]
async fn an_order_that_nobody_could_fill_is_parked_and_harms_no_other() -> Outcome {
    let mut inventory = Inventory::up().await?;
    for lines in [&[("MUG-STONE", -1)][..], &[("MUG-STONE", i64::MAX), ("MUG-STONE", 1)], &[]] {
        let bad = SagaId::new();
        inventory.wire.say(bad, &placed(bad, lines)?).await?;
    }
    let good = SagaId::new();
    inventory.wire.say(good, &placed(good, &[("MUG-STONE", 1)])?).await?;
    inventory.wire.hears(good).await?;
    let parked = inventory.client.parked(Service::Inventory, 10).await?;
    let reasons: Vec<&str> = parked.iter().map(|it| it.reason.as_deref().unwrap_or_default()).collect();
    assert_eq!(
        reasons,
        [
            "the order asks for -1 of MUG-STONE",
            "the order asks for more of MUG-STONE than can be counted",
            "the order has no lines"
        ]
    );
    assert_eq!(inventory.available("MUG-STONE").await?, (99_999, 1, 0));
    inventory.rests().await?;
    inventory.ends().await
}

#[tokio::test]
async fn stock_is_set_over_http_and_every_change_is_on_record() -> Outcome {
    let inventory = Inventory::up().await?;
    let status = |answer: Result<Stock, sagactl::client::ClientError>| answer.err().and_then(|error| error.status());
    assert_eq!(status(inventory.client.stock("NEW-MUG").await), Some(404));
    assert_eq!(status(inventory.client.stock("no such\0thing").await), Some(404));
    assert_eq!(status(inventory.client.put_stock("NEW-MUG", -1).await), Some(422));
    assert_eq!(status(inventory.client.put_stock("new mug", 1).await), Some(422));
    let both = tokio::join!(inventory.client.put_stock("NEW-MUG", 7), inventory.client.put_stock("NEW-MUG", 7));
    assert_eq!((both.0?.available, both.1?.available), (7, 7));
    let set = inventory.client.put_stock("NEW-MUG", 3).await?;
    assert_eq!((set.available, set.reserved, set.sold), (3, 0, 0));
    assert_eq!(inventory.client.all_stock().await?.len(), 11);
    inventory.rests().await?;
    inventory.ends().await
}
