//! The steps alone, on a real database and without a broker: one message or one batch at a time.

use crate::App;
use crate::participant::participant;
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
        }
        Ok(state)
    }
}

fn answer(order: SagaId, participant: &str) -> Outcome<Message> {
    let outcome = CompensationOutcome::Undone;
    Ok(Message::of(order, &SagaCompensated { participant: participant.to_owned(), outcome })?)
}

#[tokio::test]
async fn a_batch_of_answers_gives_what_one_by_one_gives() -> Outcome {
    let (together, alone) = (Desk::new().await?, Desk::new().await?);
    let orders: Vec<SagaId> = (0..4).map(|_| SagaId::new()).collect();
    let [both, half, early, unknown] = orders[..] else { return Err("four".into()) };
    for desk in [&together, &alone] {
        desk.cancelling(&[both, half], "cancelling").await?;
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
    assert!(state.contains(&"cancelled 3".to_owned()) && state.contains(&"pending 3".to_owned()), "{state:?}");
    Ok(())
}
