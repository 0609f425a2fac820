//! The steps alone, on a real database and without a broker: one message or one batch at a time.

use crate::App;
use crate::participant::participant;
use order_contracts::{
    Currency, Money, OrderId, PaymentCharged, ReturnId, ReturnRefunded, ReturnRestocked, StockCommitted,
};
use saga_common::testkit::{Bench, Message};
use saga_common::{CompensationOutcome, SagaCompensated, SagaId, Verdict};
use sagactl::stack::Servers;
use std::sync::Arc;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A bench on a database of its own, which goes with the servers.
struct Desk {
    _servers: Arc<Servers>,
    bench: Bench<App>,
}

impl Desk {
    async fn new() -> Outcome<Self> {
        let servers = Servers::shared().await?;
        let url = servers.create_database(&format!("steps_{}", SagaId::new().as_uuid().simple())).await?;
        let app = App { required_answers: vec!["inventory".to_owned(), "payment".to_owned()] };
        let bench = Bench::new(participant(app)?, &url, &crate::MIGRATOR).await?;
        Ok(Self { _servers: servers, bench })
    }

    /// Orders as they are when somebody has refused.
    async fn cancelling(&self, orders: &[SagaId], status: &str) -> Outcome {
        for order in orders {
            let insert = "insert into orders (id, customer_id, currency, amount_minor, payment_method, status, reason,
                                              required_answers, deadline_at)
                          values ($1, 'anna', 'EUR', 1, 'wallet', $2, 'declined', '{inventory,payment}', now())";
            self.bench.db().execute(insert, &[&order.as_uuid(), &status]).await?;
        }
        Ok(())
    }

    /// Rows of orders that the database's own connection has read by an index so far.
    async fn read(&self) -> Outcome<i64> {
        // Of this connection, which is the one that all else uses: the pool hands out the last.
        self.bench.db().query("select pg_stat_force_next_flush()", &[]).await?;
        let sql = "select sum(idx_tup_read)::int8 from pg_stat_user_indexes where relname = 'orders'";
        Ok(self.bench.db().query(sql, &[]).await?.first().ok_or("a sum")?.get(0))
    }

    /// Every order's status and answers, and who has said what in its saga.
    async fn state(&self, orders: &[SagaId]) -> Outcome<Vec<String>> {
        let mut state = Vec::new();
        for order in orders {
            let sql = "select status || ' ' || answers from orders where id = $1";
            let rows = self.bench.db().query(sql, &[&order.as_uuid()]).await?;
            state.extend(rows.iter().map(|row| row.get::<_, String>(0)));
            let mut guards = self.bench.guards(*order).await?;
            guards.sort_by(|a, b| a.0.cmp(&b.0));
            let line = |(step, verdict, said): (String, Verdict, Option<saga_common::testkit::Said>)| {
                format!("{step} {verdict:?} {}", said.map(|said| said.event_type).unwrap_or_default())
            };
            state.extend(guards.into_iter().map(line));
            let announced = "select 'announced ' || type from saga.announcements where saga_id = $1";
            let rows = self.bench.db().query(announced, &[&order.as_uuid()]).await?;
            state.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        }
        Ok(state)
    }
}

fn answer(order: SagaId, participant: &str) -> Outcome<Message> {
    remarking(order, participant, None)
}

fn remarking(order: SagaId, participant: &str, remark: Option<&str>) -> Outcome<Message> {
    let (outcome, remark) = (CompensationOutcome::Undone, remark.map(str::to_owned));
    Ok(Message::of(order, &SagaCompensated { participant: participant.to_owned(), outcome, remark })?)
}

#[tokio::test]
async fn a_deadline_is_told_with_the_first_remark_of_those_who_must_answer_and_nothing_else_is() -> Outcome {
    let (together, alone) = (Desk::new().await?, Desk::new().await?);
    let (overdue, unwanted) = (SagaId::new(), SagaId::new());
    let mut answers = Vec::new();
    for order in [overdue, unwanted] {
        answers.push(remarking(order, "stranger", Some("listen to me"))?);
        answers.push(remarking(order, "payment", Some("the provider\nwas away\0"))?);
        answers.push(remarking(order, "inventory", Some("a shelf fell over"))?);
    }
    let mut reasons = Vec::new();
    for desk in [&together, &alone] {
        desk.cancelling(&[overdue, unwanted], "cancelling").await?;
        let give =
            "update orders set reason = case when id = $1 then 'deadline passed' else 'cancelled by the customer' end";
        desk.bench.db().execute(give, &[&overdue.as_uuid()]).await?;
    }
    together.bench.deliver_batch(&answers).await?;
    for answer in &answers {
        alone.bench.deliver(answer).await?;
    }
    for desk in [&together, &alone] {
        let read = "select status || ': ' || reason from orders order by reason";
        let rows = desk.bench.db().query(read, &[]).await?;
        reasons.push(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>());
    }
    let expected = ["cancelled: cancelled by the customer", "cancelled: deadline passed: the providerwas away"];
    assert_eq!(reasons, [expected, expected]);
    Ok(())
}

#[tokio::test]
async fn a_batch_of_answers_gives_what_one_by_one_gives() -> Outcome {
    let (together, alone) = (Desk::new().await?, Desk::new().await?);
    let orders: Vec<SagaId> = (0..4).map(|_| SagaId::new()).collect();
    let [both, half, early, unknown] = orders[..] else { return Err("four".into()) };
    for desk in [&together, &alone] {
        desk.cancelling(&[both, half], "cancelling").await?;
        for order in &orders {
            let announce =
                "insert into saga.announcements (saga_id, message_id, exchange, routing_key, type, body, due_at)
                            values ($1, gen_random_uuid(), 'saga.failures', '', 'order.cancelling.v1', '', now())";
            desk.bench.db().execute(announce, &[&order.as_uuid()]).await?;
        }
        // Not cancelling yet: its answers are noted.
        desk.cancelling(&[early], "pending").await?;
    }
    let said = [
        (both, "payment"),
        (early, "inventory"),
        (both, "stranger"),
        (half, "inventory"),
        (unknown, "payment"),
        (both, "no\0body"),
        (both, "inventory"),
        (early, "payment"),
        (half, "stranger"),
    ];
    let batch = said.iter().map(|(order, who)| answer(*order, who)).collect::<Outcome<Vec<_>>>()?;
    together.bench.deliver_batch(&batch).await?;
    for message in &batch {
        alone.bench.deliver(message).await?;
    }
    let state = together.state(&orders).await?;
    assert_eq!(state, alone.state(&orders).await?);
    let cancelled: Vec<_> = state.iter().filter(|line| line.contains("order.cancelled")).collect();
    assert_eq!(
        cancelled,
        ["answer:inventory Done order.cancelled.v1"],
        "by the last answer of the one that has all: {state:?}"
    );
    let announced = state.iter().filter(|line| line.starts_with("announced")).count();
    assert_eq!(announced, 3, "of the one that has all its answers it is withdrawn: {state:?}");
    assert!(state.contains(&"cancelled 3".to_owned()) && state.contains(&"pending 3".to_owned()), "{state:?}");
    Ok(())
}

#[tokio::test]
async fn a_step_reads_its_own_orders_however_many_others_there_are() -> Outcome {
    let desk = Desk::new().await?;
    let charged = |order: &SagaId| -> Outcome<Message> {
        let event = PaymentCharged {
            order_id: OrderId(order.as_uuid()),
            amount_minor: Money::from_minor(1)?,
            currency: Currency::try_from("EUR".to_owned())?,
            provider_reference: None,
        };
        Ok(Message::of(*order, &event)?)
    };
    let closed = |order: &SagaId| Message::of(*order, &StockCommitted { order_id: OrderId(order.as_uuid()) });
    // Plans are made while there are few orders, in the order of their ids, and, as the statistics say, none that is pending.
    for (others, of) in [(60, vec!["confirmed"]), (1_500, vec!["pending", "confirmed"])] {
        for status in of {
            let ids: Vec<_> = (0..others).map(|_| SagaId::new().as_uuid()).collect();
            let fill = "insert into orders (id, customer_id, currency, amount_minor, payment_method, status, required_answers, deadline_at)
                        select id, 'anna', 'EUR', 1, 'wallet', $2, '{inventory,payment}', now() + interval '1 h'
                        from unnest($1::uuid[]) id";
            desk.bench.db().execute(fill, &[&ids, &status]).await?;
        }
        if others == 60 {
            desk.bench.db().execute("analyze orders", &[]).await?;
        }
        let orders: Vec<SagaId> = (0..6).map(|_| SagaId::new()).collect();
        let (confirmed, cancelled) = orders.split_at(3);
        desk.cancelling(&orders, "pending").await?;
        let before = desk.read().await?;
        desk.bench.deliver_batch(&confirmed.iter().map(charged).collect::<Outcome<Vec<_>>>()?).await?;
        desk.bench.deliver_batch(&confirmed.iter().map(closed).collect::<Result<Vec<_>, _>>()?).await?;
        for order in cancelled {
            let placed = "insert into saga.idempotency_keys (saga_id, step, verdict, message_id)
                          values ($1, 'place-order', 'done', gen_random_uuid())";
            desk.bench.db().execute(placed, &[&order.as_uuid()]).await?;
            desk.bench.deliver(&Message::failure(*order)).await?;
        }
        let read = desk.read().await? - before;
        assert!(read < 60, "beside {others} others, {read} rows were read for {} orders", orders.len());
        let state = desk.state(&orders).await?;
        assert!(state.contains(&"confirmed 0".to_owned()) && state.contains(&"cancelling 0".to_owned()), "{state:?}");
    }
    Ok(())
}

impl Desk {
    /// A return of an order that is on its way back.
    async fn returning(&self, order: SagaId) -> Outcome<SagaId> {
        self.cancelling(&[order], "returning").await?;
        let return_id = SagaId::new();
        let insert = "insert into returns (id, order_id) values ($1, $2)";
        self.bench.db().execute(insert, &[&return_id.as_uuid(), &order.as_uuid()]).await?;
        Ok(return_id)
    }
}

/// What payment and inventory answer to a return.
fn answers_of_return(return_id: SagaId, order: SagaId) -> Outcome<[Message; 2]> {
    let (saga, return_id, order_id) = (return_id, ReturnId(return_id.as_uuid()), OrderId(order.as_uuid()));
    let (amount_minor, currency) = (Money::from_minor(1)?, Currency::try_from("EUR".to_owned())?);
    let refunded = ReturnRefunded { return_id, order_id, amount_minor, currency };
    Ok([Message::of(saga, &refunded)?, Message::of(saga, &ReturnRestocked { return_id, order_id })?])
}

#[tokio::test]
async fn of_refund_and_restock_the_later_ends_the_return_together_or_alone_in_any_order() -> Outcome {
    let desk = Desk::new().await?;
    for (together, refund_first) in [(true, true), (true, false), (false, true), (false, false)] {
        let order = SagaId::new();
        let return_id = desk.returning(order).await?;
        let mut answers = answers_of_return(return_id, order)?;
        if !refund_first {
            answers.reverse();
        }
        if together {
            desk.bench.deliver_batch(&answers).await?;
        } else {
            desk.bench.deliver(&answers[0]).await?;
            assert_eq!(desk.state(&[order]).await?, ["returning 0"]);
            desk.bench.deliver(&answers[1]).await?;
        }
        assert_eq!(desk.state(&[order]).await?, ["returned 0"]);
        desk.bench.deliver_batch(&answers).await?;
        let guards = desk.bench.guards(return_id).await?;
        let said: Vec<_> = guards.into_iter().filter_map(|(_, _, said)| said).collect();
        assert_eq!(said.len(), 1, "the end is said once");
        assert_eq!(
            (said[0].event_type.as_str(), &said[0].body["status"]),
            ("order.status-changed.v1", &"returned".into())
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_to_a_return_of_another_order_ends_nothing_and_waits() -> Outcome {
    let desk = Desk::new().await?;
    let (order, other) = (SagaId::new(), SagaId::new());
    let return_id = desk.returning(order).await?;
    desk.returning(other).await?;
    for message in answers_of_return(return_id, other)? {
        let waiting = desk.bench.deliver(&message).await?.waiting.ok_or("it does not wait")?;
        assert_eq!(waiting.reason, "there is no such return of this order");
    }
    assert_eq!(desk.state(&[order, other]).await?, ["returning 0", "returning 0"]);
    Ok(())
}
