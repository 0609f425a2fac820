//! Placing orders: concurrent requests commit as a group, as soon as the previous commit is done. No timer: an order that
//! comes alone is placed alone.

use crate::Config;
use crate::domain::{PricedLine, merged};
use crate::keys::Taken;
use crate::metrics;
use crate::steps::place_order::PLACE_ORDER;
use crate::store::{self, Earlier};
use chrono::{DateTime, Utc};
use order_contracts::{Currency, CustomerId, Money, OrderId, OrderPlaced, PaymentMethod};
use saga_common::db::{Trouble, trouble};
use saga_common::{DbError, Error, Saga, SagaId, Trace, Unit};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Orders in one commit at most.
const GROUP: usize = 256;
const WAITING: usize = 4_096;
/// How long a group waits for another replica that holds one of its request keys. One that is stuck must not stop all
/// placements of this one.
const FOR_KEYS: Duration = Duration::from_millis(250);
/// The same for a placement of a group that has waited already.
const FOR_KEYS_AGAIN: Duration = Duration::from_millis(20);

/// An order that has been checked and priced. Its id is made once, so that doing it again is doing the same.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    pub(crate) order_id: OrderId,
    pub(crate) customer_id: CustomerId,
    pub(crate) currency: Currency,
    pub(crate) amount: Money,
    pub(crate) payment_method: PaymentMethod,
    pub(crate) lines: Vec<PricedLine>,
    pub(crate) key: Option<String>,
    pub(crate) body_hash: Vec<u8>,
    pub(crate) trace: Trace,
}

/// What became of a request to place an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It is committed.
    New(Times),
    /// The same request was carried out before: this is its order.
    Before(OrderId),
    /// The key was used for another body.
    OtherBody,
    /// Another replica is carrying out a request under this key.
    Underway,
}

/// When an order was placed and when it is overdue, by the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) deadline_at: DateTime<Utc>,
}

/// What all orders have in common.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    deadline_ms: f64,
    required_answers: Vec<String>,
}

impl Terms {
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn of(config: &Config) -> Self {
        Self { deadline_ms: config.deadline_ms as f64, required_answers: config.participants.clone() }
    }
}

pub(crate) struct Waiting {
    placement: Placement,
    taken: Option<Taken>,
    reply: oneshot::Sender<Result<Placed, Arc<Error>>>,
}

/// Where handlers bring their orders.
#[derive(Clone)]
pub(crate) struct Placements(mpsc::Sender<Waiting>);

pub(crate) fn queue() -> (Placements, mpsc::Receiver<Waiting>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Placements(sender), receiver)
}

/// An order cannot be taken now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPlaced {
    /// Too many are waiting, or the service stops.
    #[error("too many orders are waiting to be placed; try again")]
    Busy,
    /// It is not known whether the order was placed. The same request under the same key finds out.
    #[error("the order could not be placed for sure: {0}")]
    Unknown(Arc<Error>),
}

impl Placements {
    /// Waits until the order is committed or refused. The request key stays taken until then, also when the caller does
    /// not wait any more.
    pub(crate) async fn place(&self, placement: Placement, taken: Option<Taken>) -> Result<Placed, NotPlaced> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Waiting { placement, taken, reply }).map_err(|_| NotPlaced::Busy)?;
        answer.await.map_err(|_| NotPlaced::Busy)?.map_err(NotPlaced::Unknown)
    }
}

/// Commits what is waiting, group after group, until nobody can bring more: while the service stops, open requests are
/// still served. A group that failed is done again one by one, with the same ids.
pub(crate) async fn commit_groups(saga: Saga, mut waiting: mpsc::Receiver<Waiting>, terms: Terms) {
    let mut group = Vec::new();
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let (placements, callers): (Vec<_>, Vec<_>) =
            group.drain(..).map(|w| (w.placement, (w.taken, w.reply))).unzip();
        // In a task of its own: nothing drops a transaction half-way.
        let (saga, terms) = (saga.clone(), terms.clone());
        let results = tokio::spawn(async move { place_all(&saga, &terms, placements).await }).await;
        match results {
            Ok(results) => {
                for ((taken, reply), result) in callers.into_iter().zip(results) {
                    if matches!(result, Ok(Placed::New(_))) {
                        metrics::placed();
                    }
                    // Before the reply: whoever has it may send the request again at once.
                    drop(taken);
                    drop(reply.send(result));
                }
            }
            Err(panic) => tracing::error!(error = %panic, "placing orders failed"),
        }
    }
}

async fn place_all(saga: &Saga, terms: &Terms, placements: Vec<Placement>) -> Vec<Result<Placed, Arc<Error>>> {
    let error = match place_group(saga, terms, &placements, FOR_KEYS).await {
        Ok(placed) => return placed.into_iter().map(Ok).collect(),
        Err(error) => error,
    };
    tracing::debug!(orders = placements.len(), error = %error, "a group of orders is placed one by one");
    let mut results = Vec::with_capacity(placements.len());
    for placement in &placements {
        let result = place_again(saga, terms, placement).await.map_err(Arc::new);
        let gone = result.as_ref().err().filter(|error| trouble(error.as_ref()) == Trouble::Gone).cloned();
        results.push(result);
        if let Some(gone) = gone {
            // Still no database: the others would each wait for it in vain.
            results.resize(placements.len(), Err(gone));
            break;
        }
    }
    results
}

/// One transaction: request keys, guard and outbox rows, orders, lines.
async fn place_group(
    saga: &Saga,
    terms: &Terms,
    placements: &[Placement],
    for_keys: Duration,
) -> Result<Vec<Placed>, Error> {
    let starts = |placements: &[&Placement]| -> Vec<(SagaId, OrderPlaced)> {
        placements.iter().map(|p| (SagaId::from(p.order_id.0), p.event())).collect()
    };
    let all: Vec<&Placement> = placements.iter().collect();
    if all.iter().all(|placement| placement.key.is_none()) {
        let unit = saga.start(PLACE_ORDER, &starts(&all)).await?;
        return insert(saga, unit, terms, &all, vec![None; all.len()]).await;
    }
    let mut unit = saga.begin().await?;
    let earlier = match store::take_keys(unit.tx(), &all, for_keys).await {
        Err(DbError::Postgres(error)) if placements.len() == 1 && store::waited_in_vain(&error) => {
            unit.rollback().await;
            return Ok(vec![Placed::Underway]);
        }
        taken => taken?,
    };
    let met: Vec<Option<Placed>> = placements.iter().map(|placement| met(placement, &earlier)).collect();
    let new: Vec<&Placement> = placements.iter().zip(&met).filter(|(_, met)| met.is_none()).map(|(p, _)| p).collect();
    if new.is_empty() {
        unit.rollback().await;
        return Ok(met.into_iter().flatten().collect());
    }
    unit.start(PLACE_ORDER, &starts(&new)).await?;
    insert(saga, unit, terms, &all, met).await
}

/// Inserts the orders whose keys have `met` nothing, and commits.
async fn insert(
    saga: &Saga,
    mut unit: Unit,
    terms: &Terms,
    placements: &[&Placement],
    met: Vec<Option<Placed>>,
) -> Result<Vec<Placed>, Error> {
    let new: Vec<&Placement> = placements.iter().zip(&met).filter(|(_, met)| met.is_none()).map(|(p, _)| *p).collect();
    let times = store::insert_orders(unit.tx(), &new, terms.deadline_ms, &terms.required_answers).await?;
    for placement in &new {
        unit.caused_by(PLACE_ORDER, placement.order_id.0.into(), &placement.trace);
    }
    let inserted = |placement: &Placement| {
        let times = times.get(&placement.order_id.0).copied().map(Placed::New);
        times.ok_or_else(|| DbError::Broken(format!("order {} was not inserted", placement.order_id)))
    };
    let placed: Result<Vec<Placed>, DbError> =
        placements.iter().zip(met).map(|(placement, met)| met.map_or_else(|| inserted(placement), Ok)).collect();
    let placed = placed?;
    saga.commit(unit).await?;
    Ok(placed)
}

/// What a placement's request key has met; `None` if it is new. A key may be twice in a group: one of them took it.
fn met(placement: &Placement, earlier: &HashMap<(String, String), Earlier>) -> Option<Placed> {
    let key = placement.key.as_ref().map(|key| (placement.customer_id.0.clone(), key.clone()))?;
    let earlier = earlier.get(&key).filter(|earlier| earlier.order_id != placement.order_id)?;
    let same = earlier.body_hash == placement.body_hash;
    Some(if same { Placed::Before(earlier.order_id) } else { Placed::OtherBody })
}

/// The order may have been placed by the group after all.
async fn place_again(saga: &Saga, terms: &Terms, placement: &Placement) -> Result<Placed, Error> {
    let unit = saga.begin().await?;
    let there = store::placed(unit.tx(), placement.order_id).await?;
    unit.rollback().await;
    if let Some(times) = there {
        return Ok(Placed::New(times));
    }
    let placed = place_group(saga, terms, std::slice::from_ref(placement), FOR_KEYS_AGAIN).await?;
    placed.first().copied().ok_or_else(|| DbError::Broken("nothing became of a placement".to_owned()).into())
}

impl Placement {
    fn event(&self) -> OrderPlaced {
        OrderPlaced {
            order_id: self.order_id,
            customer_id: self.customer_id.clone(),
            lines: merged(self.lines.iter().map(PricedLine::pieces)),
            amount_minor: self.amount,
            currency: self.currency.clone(),
            payment_method: self.payment_method.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(key: &str, body: &[u8]) -> Placement {
        Placement {
            order_id: OrderId(SagaId::new().as_uuid()),
            customer_id: CustomerId("anna".to_owned()),
            currency: Currency::try_from("EUR".to_owned()).expect("a currency"),
            amount: Money::ZERO,
            payment_method: PaymentMethod("wallet".to_owned()),
            lines: Vec::new(),
            key: Some(key.to_owned()),
            body_hash: body.to_vec(),
            trace: Trace::default(),
        }
    }

    #[test]
    fn of_two_requests_with_one_key_in_a_group_the_one_that_took_it_is_new() {
        let (first, again, other) = (placement("k", b"a"), placement("k", b"a"), placement("k", b"b"));
        let taken = Earlier { order_id: first.order_id, body_hash: first.body_hash.clone() };
        let earlier = HashMap::from([(("anna".to_owned(), "k".to_owned()), taken)]);
        assert_eq!(met(&first, &earlier), None);
        assert_eq!(met(&again, &earlier), Some(Placed::Before(first.order_id)));
        assert_eq!(met(&other, &earlier), Some(Placed::OtherBody));
        assert_eq!(met(&placement("another", b"a"), &earlier), None);
    }
}
