//! Placing orders: concurrent requests commit as a group, as soon as the previous commit is done. No timer: an order that
//! comes alone is placed alone.

use crate::Config;
use crate::domain::{PricedLine, merged};
use crate::steps::place_order::PLACE_ORDER;
use crate::store;
use order_contracts::{Currency, CustomerId, Money, OrderId, OrderPlaced, PaymentMethod};
use saga_common::{Error, Saga, SagaId};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Orders in one commit at most.
const GROUP: usize = 256;
const WAITING: usize = 4_096;

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
}

/// What became of a request to place an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It is committed.
    New,
    /// The same request was carried out before: this is its order.
    Before(OrderId),
    /// The key was used for another body.
    OtherBody,
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
    /// Waits until the order is committed or refused.
    pub(crate) async fn place(&self, placement: Placement) -> Result<Placed, NotPlaced> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Waiting { placement, reply }).map_err(|_| NotPlaced::Busy)?;
        answer.await.map_err(|_| NotPlaced::Busy)?.map_err(NotPlaced::Unknown)
    }
}

/// Commits what is waiting, group after group, until nobody can bring more: while the service stops, open requests are
/// still served. A group that failed is done again one by one, with the same ids.
pub(crate) async fn commit_groups(saga: Saga, mut waiting: mpsc::Receiver<Waiting>, terms: Terms) {
    let mut group = Vec::new();
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let (placements, replies): (Vec<_>, Vec<_>) = group.drain(..).map(|w| (w.placement, w.reply)).unzip();
        // In a task of its own: nothing drops a transaction half-way.
        let (saga, terms) = (saga.clone(), terms.clone());
        let results = tokio::spawn(async move { place_all(&saga, &terms, placements).await }).await;
        match results {
            Ok(results) => replies.into_iter().zip(results).for_each(|(reply, result)| drop(reply.send(result))),
            Err(panic) => tracing::error!(error = %panic, "placing orders failed"),
        }
    }
}

async fn place_all(saga: &Saga, terms: &Terms, placements: Vec<Placement>) -> Vec<Result<Placed, Arc<Error>>> {
    match place_group(saga, terms, &placements).await {
        Ok(placed) => placed.into_iter().map(Ok).collect(),
        Err(error) => {
            tracing::debug!(orders = placements.len(), error = %error, "a group of orders is placed one by one");
            let mut results = Vec::with_capacity(placements.len());
            for placement in &placements {
                results.push(place_again(saga, terms, placement).await.map_err(Arc::new));
            }
            results
        }
    }
}

/// One transaction: request keys, guard and outbox rows, orders, lines.
async fn place_group(saga: &Saga, terms: &Terms, placements: &[Placement]) -> Result<Vec<Placed>, Error> {
    let mut unit = saga.begin().await?;
    let all: Vec<&Placement> = placements.iter().collect();
    let earlier = store::take_keys(unit.tx(), &all).await?;
    let verdict = |placement: &Placement| {
        let key = placement.key.as_ref().map(|key| (placement.customer_id.0.clone(), key.clone()));
        match key.and_then(|key| earlier.get(&key)) {
            None => Placed::New,
            Some(earlier) if earlier.body_hash == placement.body_hash => Placed::Before(earlier.order_id),
            Some(_) => Placed::OtherBody,
        }
    };
    let placed: Vec<Placed> = placements.iter().map(verdict).collect();
    let new: Vec<&Placement> =
        placements.iter().zip(&placed).filter(|(_, placed)| **placed == Placed::New).map(|(p, _)| p).collect();
    if new.is_empty() {
        unit.rollback().await;
        return Ok(placed);
    }
    let sagas: Vec<(SagaId, OrderPlaced)> = new.iter().map(|p| (SagaId::from(p.order_id.0), p.event())).collect();
    unit.start(PLACE_ORDER, &sagas).await?;
    store::insert_orders(unit.tx(), &new, terms.deadline_ms, &terms.required_answers).await?;
    saga.commit(unit).await?;
    Ok(placed)
}

/// The order may have been placed by the group after all.
async fn place_again(saga: &Saga, terms: &Terms, placement: &Placement) -> Result<Placed, Error> {
    let unit = saga.begin().await?;
    let there = store::placed(unit.tx(), placement.order_id).await?;
    unit.rollback().await;
    if there {
        return Ok(Placed::New);
    }
    let placed = place_group(saga, terms, std::slice::from_ref(placement)).await?;
    Ok(placed.first().copied().unwrap_or(Placed::New))
}

impl Placement {
    fn event(&self) -> OrderPlaced {
        OrderPlaced {
            order_id: self.order_id,
            customer_id: self.customer_id.clone(),
            lines: merged(&self.lines),
            amount_minor: self.amount,
            currency: self.currency.clone(),
            payment_method: self.payment_method.clone(),
        }
    }
}
