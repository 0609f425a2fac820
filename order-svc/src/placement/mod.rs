//! Placing orders: concurrent requests commit as a group, as soon as the previous commit is done. No timer: an order that
//! comes alone is placed alone.

#[cfg(test)]
mod tests;

use crate::Config;
use crate::domain::{self, PriceList, PricedLine, WantedLine, merged};
use crate::keys::Taken;
use crate::metrics;
use crate::steps::place_order::PLACE_ORDER;
use crate::store::{self, Earlier, Earliers};
use chrono::{DateTime, Utc};
use order_contracts::{Currency, CustomerId, Money, OrderId, OrderPlaced, PaymentMethod};
use saga_common::db::{Trouble, trouble};
use saga_common::{DbError, Error, Saga, SagaId, Trace};
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

/// An order that has been checked, but for what it costs. Its id is made once, so that doing it again is doing the same.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    pub(crate) order_id: OrderId,
    pub(crate) customer_id: CustomerId,
    pub(crate) currency: Currency,
    pub(crate) payment_method: PaymentMethod,
    pub(crate) lines: Vec<WantedLine>,
    pub(crate) key: Option<String>,
    pub(crate) body_hash: Vec<u8>,
    pub(crate) trace: Trace,
}

/// What an order costs, by the price list as its own transaction has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Priced {
    pub(crate) lines: Vec<PricedLine>,
    pub(crate) amount: Money,
}

/// What became of a request to place an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It is committed.
    New(Priced, Times),
    /// The same request was carried out before: this is its order.
    Before(OrderId),
    /// The key was used for another body.
    OtherBody,
    /// Somebody else is carrying out a request under this key, mostly another replica: see [`Taken`] for those of this one.
    Underway,
    /// It cannot be priced: everything that is wrong with it.
    Refused(Vec<String>),
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
                    if matches!(result, Ok(Placed::New(..))) {
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
    let error = match place_group(saga, terms, &placements.iter().collect::<Vec<_>>(), FOR_KEYS).await {
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

/// Commits what can be placed, in one transaction of two round trips: prices and request keys; guard rows, orders, lines, outbox
/// rows, COMMIT. Tells what became of all of them, in their order.
async fn place_group(
    saga: &Saga,
    terms: &Terms,
    placements: &[&Placement],
    for_keys: Duration,
) -> Result<Vec<Placed>, Error> {
    let (mut unit, answers) = match saga.begin_with(store::asking(placements, for_keys)).await {
        Err(Error::Database(DbError::Postgres(error))) if waited_for_one_key(placements, &error) => {
            return Ok(vec![Placed::Underway]);
        }
        begun => begun?,
    };
    let earlier = store::earlier(unit.tx(), placements, &answers).await?;
    let Decided { new, refused, mut ended } = decide(placements, &store::prices(&answers), &earlier);
    if new.is_empty() {
        unit.rollback().await;
    } else {
        store::give_back_keys(unit.tx(), &refused)?;
        let started: Vec<_> = new.iter().map(|(it, priced)| (SagaId::from(it.order_id.0), it.event(priced))).collect();
        unit.start_last(PLACE_ORDER, &started)?;
        for (placement, _) in &new {
            unit.caused_by(PLACE_ORDER, placement.order_id.0.into(), &placement.trace);
        }
        let orders = store::inserting(&new, terms.deadline_ms, &terms.required_answers);
        let times = store::times_of(&saga.commit_with(unit, orders).await?);
        let placed =
            |(it, priced): (&Placement, Priced)| Some((it.order_id, Placed::New(priced, *times.get(&it.order_id)?)));
        ended.extend(new.into_iter().filter_map(placed));
    }
    let lost = |it: &Placement| DbError::Broken(format!("nothing became of order {}", it.order_id)).into();
    placements.iter().map(|it| ended.remove(&it.order_id).ok_or_else(|| lost(it))).collect()
}

/// A placement that is alone in its transaction: what else it could wait for is not somebody else's for so long.
fn waited_for_one_key(placements: &[&Placement], error: &tokio_postgres::Error) -> bool {
    matches!(placements, [alone] if alone.key.is_some()) && store::waited_in_vain(error)
}

/// What is to become of the placements of a group.
#[derive(Default)]
struct Decided<'a> {
    /// These are placed.
    new: Vec<(&'a Placement, Priced)>,
    /// These cannot be priced; their request keys are to be given back.
    refused: Vec<&'a Placement>,
    /// What is known of all others, and of those that are refused.
    ended: HashMap<OrderId, Placed>,
}

/// Decides by the prices, and by what the request keys have met. A key may be twice in a group, and one of them took it: not while
/// [`Taken`] keeps twins out, but nothing here relies on that.
fn decide<'a>(placements: &[&'a Placement], prices: &PriceList, earlier: &Earliers) -> Decided<'a> {
    let (mut decided, mut met) = (Decided::default(), Vec::new());
    for placement in placements {
        match (placement.met(earlier), placement.priced(prices)) {
            // What was placed stays placed, whatever became of the prices.
            (Some(earlier), _) => met.push((placement, earlier)),
            (None, Ok(priced)) => decided.new.push((placement, priced)),
            (None, Err(wrong)) => {
                decided.refused.push(placement);
                decided.ended.insert(placement.order_id, Placed::Refused(wrong));
            }
        }
    }
    for (placement, earlier) in met {
        let placed = match earlier {
            // It keeps nothing: whoever comes again may take the key.
            Earlier { order_id, .. } if decided.refused.iter().any(|it| it.order_id == *order_id) => Placed::Underway,
            Earlier { order_id, body_hash } if *body_hash == placement.body_hash => Placed::Before(*order_id),
            Earlier { .. } => Placed::OtherBody,
        };
        decided.ended.insert(placement.order_id, placed);
    }
    decided
}

/// The order may have been placed by the group after all: then it is told as it was.
async fn place_again(saga: &Saga, terms: &Terms, placement: &Placement) -> Result<Placed, Error> {
    let unit = saga.begin().await?;
    let there = store::placed(unit.tx(), placement.order_id).await?;
    unit.rollback().await;
    if let Some((priced, times)) = there {
        return Ok(Placed::New(priced, times));
    }
    let placed = place_group(saga, terms, &[placement], FOR_KEYS_AGAIN).await?;
    placed.into_iter().next().ok_or_else(|| DbError::Broken("nothing became of a placement".to_owned()).into())
}

impl Placement {
    /// What has taken its request key before it; `None` if it is new.
    fn met<'a>(&self, earlier: &'a Earliers) -> Option<&'a Earlier> {
        let key = (self.customer_id.0.clone(), self.key.clone()?);
        earlier.get(&key).filter(|earlier| earlier.order_id != self.order_id)
    }

    fn priced(&self, prices: &PriceList) -> Result<Priced, Vec<String>> {
        let (lines, amount) = domain::price(self.currency.as_str(), &self.lines, prices)?;
        Ok(Priced { lines, amount })
    }

    fn event(&self, priced: &Priced) -> OrderPlaced {
        OrderPlaced {
            order_id: self.order_id,
            customer_id: self.customer_id.clone(),
            lines: merged(priced.lines.iter().map(PricedLine::pieces)),
            amount_minor: priced.amount,
            currency: self.currency.clone(),
            payment_method: self.payment_method.clone(),
        }
    }
}
