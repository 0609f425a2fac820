//! The steps alone, on a real database and without a broker: one message or one batch at a time.

use crate::domain::tests::placed;
use crate::participant::participant;
use order_contracts::{Line, OrderConfirmed, OrderId, ReturnId, ReturnRequested};
use saga_common::testkit::{Bench, Message, Report};
use saga_common::{SagaId, Verdict};
use sagactl::stack::Servers;
use std::sync::Arc;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn confirmed(saga_id: SagaId) -> OrderConfirmed {
    OrderConfirmed { order_id: OrderId(saga_id.as_uuid()), customer_id: "anna".into() }
}

/// A bench on a database of its own, which goes with the servers.
struct Shelves {
    _servers: Arc<Servers>,
    bench: Bench<()>,
}

impl Shelves {
    async fn new() -> Outcome<Self> {
        let servers = Servers::shared().await?;
        let name = format!("steps_{}", SagaId::new().as_uuid().simple());
        let url = servers.create_database(&name).await?;
        let bench = Bench::new(participant()?, &url, &crate::MIGRATOR).await?;
        Ok(Self { _servers: servers, bench })
    }

    /// Everything there is to see: stock, and which orders hold how much of what.
    async fn contents(&self) -> Outcome<Vec<String>> {
        let all = "select (s.sku, available, reserved, sold)::text from stock s
             union all select (order_id, sku, quantity, state)::text from reservations order by 1";
        Ok(self.bench.db().query(all, &[]).await?.iter().map(|row| row.get(0)).collect())
    }
}

fn verdicts(reports: &[Report]) -> Vec<Option<Verdict>> {
    reports.iter().map(|report| report.verdict).collect()
}

#[tokio::test]
async fn a_batch_gives_what_one_by_one_gives() -> Outcome {
    let (together, alone) = (Shelves::new().await?, Shelves::new().await?);
    // 500 hand grinders for 90 orders of up to 12: some come too late, and small ones still fit in after large ones.
    let mut batch = Vec::new();
    for n in 0..90_i64 {
        let saga_id = SagaId::new();
        let order = placed(saga_id, &[("GRINDER-HAND", n * 7 % 12 + 1), ("MUG-STONE", n % 3 + 1)]);
        batch.push(Message::of(saga_id, &order)?);
    }
    let in_one = together.bench.deliver_batch(&batch).await?;
    let mut one_by_one = Vec::new();
    for message in &batch {
        one_by_one.push(alone.bench.deliver(message).await?);
    }
    assert_eq!(verdicts(&in_one), verdicts(&one_by_one));
    assert_eq!(together.contents().await?, alone.contents().await?);
    let refused = in_one.iter().filter(|report| report.verdict == Some(Verdict::Rejected)).count();
    assert!(refused > 0 && refused < 90, "{refused} refused");

    // And again, in another order: nothing changes.
    let before = together.contents().await?;
    batch.reverse();
    together.bench.deliver_batch(&batch).await?;
    assert_eq!(together.contents().await?, before);
    Ok(())
}

#[tokio::test]
async fn orders_are_placed_and_bought_in_one_batch() -> Outcome {
    let shelves = Shelves::new().await?;
    let (bought, held) = (SagaId::new(), SagaId::new());
    shelves.bench.deliver(&Message::of(bought, &placed(bought, &[("MUG-STONE", 3)]))?).await?;
    let batch = [
        Message::of(held, &placed(held, &[("MUG-STONE", 4)]))?,
        Message::of(bought, &confirmed(bought))?,
        Message::of(held, &placed(held, &[("MUG-STONE", 4)]))?,
    ];
    let reports = shelves.bench.deliver_batch(&batch).await?;
    assert_eq!(verdicts(&reports), [Some(Verdict::Done); 3]);
    assert!(shelves.contents().await?.contains(&"(MUG-STONE,99993,4,3)".to_owned()));
    Ok(())
}

#[tokio::test]
async fn an_order_that_is_confirmed_without_stock_is_tried_until_somebody_helps() -> Outcome {
    let shelves = Shelves::new().await?;
    let saga_id = SagaId::new();
    let message = Message::of(saga_id, &confirmed(saga_id))?;
    let waiting = shelves.bench.deliver(&message).await?.waiting.ok_or("it does not wait")?;
    assert_eq!(
        (waiting.state.as_str(), waiting.reason.as_str()),
        ("waiting", "the order is confirmed but holds no stock")
    );
    // Beyond any limit of attempts.
    for _ in 0..12 {
        shelves.bench.skip_waits().await?;
        assert_eq!(shelves.bench.run_waiting_once().await?, 1);
    }
    let reserve = Message::of(saga_id, &placed(saga_id, &[("MUG-STONE", 1)]))?;
    shelves.bench.deliver(&reserve).await?;
    shelves.bench.skip_waits().await?;
    shelves.bench.run_waiting_once().await?;
    let report = shelves.bench.report(&message).await?;
    assert_eq!((report.verdict, report.waiting), (Some(Verdict::Done), None));
    Ok(())
}

#[tokio::test]
async fn a_release_that_comes_twice_puts_back_once() -> Outcome {
    let shelves = Shelves::new().await?;
    let before = shelves.contents().await?;
    let (held, refused) = (SagaId::new(), SagaId::new());
    shelves.bench.deliver(&Message::of(held, &placed(held, &[("MUG-STONE", 3), ("SCALE-01", 1)]))?).await?;
    shelves.bench.deliver(&Message::of(refused, &placed(refused, &[("TEAPOT-CAST", 1)]))?).await?;
    let failures = [Message::failure(held), Message::failure(refused), Message::failure(held)];
    let answers = shelves.bench.deliver_batch(&failures).await?;
    assert_eq!(verdicts(&answers), [Some(Verdict::Undone), Some(Verdict::NothingToUndo), Some(Verdict::Undone)]);
    shelves.bench.deliver(&Message::failure(held)).await?;
    let after = shelves.contents().await?;
    let stock = |rows: &[String]| rows.iter().filter(|row| !row.contains("released")).cloned().collect::<Vec<_>>();
    assert_eq!(stock(&after), stock(&before));
    assert_eq!(after.len(), before.len() + 2, "the released rows stay on record");
    Ok(())
}

fn coming_back(return_id: SagaId, order: SagaId, lines: &[(&str, i64)]) -> ReturnRequested {
    ReturnRequested {
        return_id: ReturnId(return_id.as_uuid()),
        order_id: OrderId(order.as_uuid()),
        customer_id: "anna".into(),
        lines: lines.iter().map(|&(sku, quantity)| Line { sku: sku.into(), quantity }).collect(),
        payment_method: "wallet".into(),
    }
}

impl Shelves {
    /// An order that has bought this.
    async fn bought(&self, lines: &[(&str, i64)]) -> Outcome<SagaId> {
        let saga_id = SagaId::new();
        self.bench.deliver(&Message::of(saga_id, &placed(saga_id, lines))?).await?;
        self.bench.deliver(&Message::of(saga_id, &confirmed(saga_id))?).await?;
        Ok(saga_id)
    }

    async fn stock(&self) -> Outcome<Vec<String>> {
        let rows = self.bench.db().query("select (sku, available, reserved, sold)::text from stock order by sku", &[]);
        Ok(rows.await?.iter().map(|row| row.get(0)).collect())
    }
}

#[tokio::test]
async fn what_was_bought_comes_back_whole_and_once_together_or_alone() -> Outcome {
    let shelves = Shelves::new().await?;
    let before = shelves.stock().await?;
    let lines = [("MUG-STONE", 3), ("SCALE-01", 1)];
    let mut batch = Vec::new();
    for _ in 0..4 {
        let (return_id, order) = (SagaId::new(), shelves.bought(&lines).await?);
        batch.push(Message::of(return_id, &coming_back(return_id, order, &lines))?);
    }
    let alone = batch.split_off(2);
    assert_eq!(verdicts(&shelves.bench.deliver_batch(&batch).await?), [Some(Verdict::Done); 2]);
    for message in &alone {
        assert_eq!(shelves.bench.deliver(message).await?.verdict, Some(Verdict::Done));
    }
    assert_eq!(shelves.stock().await?, before);
    shelves.bench.deliver_batch(&[batch, alone].concat()).await?;
    assert_eq!(shelves.stock().await?, before, "and once");
    Ok(())
}

#[tokio::test]
async fn a_return_of_what_was_not_bought_changes_nothing_and_waits() -> Outcome {
    let shelves = Shelves::new().await?;
    let order = shelves.bought(&[("MUG-STONE", 3)]).await?;
    let before = shelves.contents().await?;
    let wrong: [&[(&str, i64)]; 4] = [
        &[("MUG-STONE", 4)],
        &[("MUG-STONE", 3), ("SCALE-01", 1)],
        &[("SCALE-01", 3)],
        &[("MUG-STONE", 3), ("no\0pot", 1)],
    ];
    for lines in wrong {
        let return_id = SagaId::new();
        let report = shelves.bench.deliver(&Message::of(return_id, &coming_back(return_id, order, lines))?).await?;
        let waiting = report.waiting.ok_or("it does not wait")?;
        assert_eq!(waiting.reason, "what comes back is not what the order had bought");
        assert_eq!(shelves.contents().await?, before);
    }
    Ok(())
}
