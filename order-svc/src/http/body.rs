//! An order as HTTP shows it.

use crate::domain::merged;
use crate::placement::{Placement, Priced, Times};
use crate::status::{Status, UnknownStatus};
use chrono::{DateTime, Utc};
use order_contracts::{CustomerId, OrderId, PaymentMethod, ReturnId, ReturnRequested, Sku};
use saga_common::http::{Caller, Problem, Reply};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// An order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Order {
    /// The order, which is its saga.
    pub(super) id: Uuid,
    /// Who placed it.
    pub(super) customer_id: String,
    /// `pending`, `confirmed`, `shipped`, `delivered`, `cancelling`, `cancelled`, `returning` or `returned`.
    pub(super) status: String,
    /// Why it is cancelling or cancelled: the first reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// ISO 4217.
    pub(super) currency: String,
    /// The total in minor units.
    pub(super) amount_minor: i64,
    /// What was ordered.
    pub(super) items: Vec<Item>,
    /// `wallet` or a card.
    pub(super) payment_method: String,
    /// When it was placed.
    pub(super) created_at: DateTime<Utc>,
    /// When it is cancelled if it is still pending.
    pub(super) deadline_at: DateTime<Utc>,
    /// When its stock had left the shelf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) closed_at: Option<DateTime<Utc>>,
    /// Who has to answer a cancellation, and who has.
    pub(super) answers: Answers,
    /// Its return, if it has come back or is about to.
    #[serde(rename = "return", skip_serializing_if = "Option::is_none")]
    pub(super) taken_back: Option<Return>,
}

/// No order has a later version.
pub(super) const LAST_VERSION: u64 = 9_000;

/// The return of an order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Return {
    /// The return, which is a saga of its own.
    pub(super) id: Uuid,
    /// When it was asked for.
    pub(super) requested_at: DateTime<Utc>,
    /// When the customer had the money back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refunded_at: Option<DateTime<Utc>>,
    /// When the stock was on the shelf again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) restocked_at: Option<DateTime<Utc>>,
    /// When both were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) closed_at: Option<DateTime<Utc>>,
}

/// One line.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Item {
    /// The article.
    pub(super) sku: String,
    /// How many.
    pub(super) quantity: i64,
    /// What one costs, in minor units.
    pub(super) unit_price_minor: i64,
}

/// Answers to a cancellation.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Answers {
    /// All who must.
    pub(super) required: Vec<String>,
    /// Those who have.
    pub(super) given: Vec<String>,
}

impl Order {
    /// Will it be something else in a moment, without anybody asking for it?
    pub(super) fn is_under_way(&self) -> bool {
        match self.status.as_str() {
            "pending" | "cancelling" | "returning" => true,
            "confirmed" => self.closed_at.is_none(),
            _ => false,
        }
    }

    /// A placement that has been committed, without reading it back.
    pub(super) fn placed(placement: &Placement, priced: &Priced, times: Times, required: &[String]) -> Self {
        let items = priced.lines.iter().map(|line| Item {
            sku: line.sku.as_str().to_owned(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price.minor(),
        });
        Self {
            id: placement.order_id.0,
            customer_id: placement.customer_id.as_str().to_owned(),
            status: "pending".to_owned(),
            reason: None,
            currency: placement.currency.as_str().to_owned(),
            amount_minor: priced.amount.minor(),
            items: items.collect(),
            payment_method: placement.payment_method.as_str().to_owned(),
            created_at: times.created_at,
            deadline_at: times.deadline_at,
            closed_at: None,
            answers: Answers { required: required.to_vec(), given: Vec::new() },
            taken_back: None,
        }
    }

    /// Grows with every change that can be seen of an order: its status only moves on, and all else is only ever added to.
    pub(super) fn version(&self) -> u64 {
        let rank = match self.status.as_str() {
            "pending" => 1,
            "cancelling" => 2,
            "confirmed" => 3,
            "cancelled" => 4,
            "shipped" => 5,
            "delivered" => 6,
            "returning" => 7,
            _ => 8,
        };
        let back = self.taken_back.as_ref();
        let events = [
            self.closed_at,
            back.and_then(|it| it.refunded_at),
            back.and_then(|it| it.restocked_at),
            back.and_then(|it| it.closed_at),
        ];
        let (events, answers) = (events.iter().flatten().count(), self.answers.given.len());
        // Fewer than five such events, and an answer is a bit of an i32.
        rank * 1_000 + 8 * answers as u64 + events as u64
    }

    /// Its status, as the rules know it.
    pub(super) fn known_status(&self) -> Reply<Status> {
        self.status.parse().map_err(|error: UnknownStatus| Problem::internal(error.to_string()))
    }

    /// What is said of it when it comes back.
    pub(super) fn coming_back(self, return_id: ReturnId) -> ReturnRequested {
        let lines = self.items.into_iter().map(|item| (Sku(item.sku), item.quantity));
        ReturnRequested {
            return_id,
            order_id: OrderId(self.id),
            customer_id: CustomerId(self.customer_id),
            lines: merged(lines),
            payment_method: PaymentMethod(self.payment_method),
        }
    }

    /// As it was when its placement was committed: what a repeated request is answered with.
    pub(super) fn into_placed(self) -> Self {
        let answers = Answers { given: Vec::new(), ..self.answers };
        Self { status: "pending".to_owned(), reason: None, closed_at: None, answers, taken_back: None, ..self }
    }
}

struct Row {
    id: Uuid,
    customer_id: String,
    currency: String,
    amount_minor: i64,
    payment_method: String,
    status: String,
    reason: Option<String>,
    required_answers: Vec<String>,
    answers: i32,
    deadline_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
    return_id: Option<Uuid>,
    requested_at: Option<DateTime<Utc>>,
    refunded_at: Option<DateTime<Utc>>,
    restocked_at: Option<DateTime<Utc>>,
    returned_at: Option<DateTime<Utc>>,
}

impl Row {
    fn taken_back(&self) -> Option<Return> {
        Some(Return {
            id: self.return_id?,
            requested_at: self.requested_at?,
            refunded_at: self.refunded_at,
            restocked_at: self.restocked_at,
            closed_at: self.returned_at,
        })
    }
}

/// One order.
pub(super) async fn load(reads: &PgPool, id: Uuid) -> Reply<Order> {
    load_all(reads, &[id]).await?.pop().ok_or_else(no_such_order)
}

/// One order, for who may see it: to all others it does not exist.
pub(super) async fn load_for(caller: &Caller, reads: &PgPool, id: Uuid) -> Reply<Order> {
    let order = load(reads, id).await?;
    must_be_seen_by(caller, &order)?;
    Ok(order)
}

/// To who may not see an order, it does not exist.
pub(super) fn must_be_seen_by(caller: &Caller, order: &Order) -> Reply<()> {
    match caller.sees_only() {
        Some(customer) if customer != order.customer_id => Err(no_such_order()),
        _ => Ok(()),
    }
}

fn no_such_order() -> Problem {
    Problem::not_found("there is no such order")
}

/// Orders in the order of their ids, latest first.
pub(super) async fn load_all(reads: &PgPool, ids: &[Uuid]) -> Reply<Vec<Order>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select o.id, o.customer_id, o.currency, o.amount_minor, o.payment_method, o.status, o.reason, o.required_answers,
                  o.answers, o.deadline_at, o.created_at, o.closed_at, r.id as "return_id?", r.requested_at as "requested_at?",
                  r.refunded_at, r.restocked_at, r.closed_at as "returned_at?"
           from orders o left join returns r on r.order_id = o.id where o.id = any($1) order by o.id desc"#,
        ids
    )
    .fetch_all(reads)
    .await?;
    let lines = sqlx::query!(
        "select order_id, sku, quantity, unit_price_minor from order_lines where order_id = any($1) order by order_id, line",
        ids
    )
    .fetch_all(reads)
    .await?;
    let mut items: HashMap<Uuid, Vec<Item>> = HashMap::new();
    for line in lines {
        let item = Item { sku: line.sku, quantity: line.quantity, unit_price_minor: line.unit_price_minor };
        items.entry(line.order_id).or_default().push(item);
    }
    let mut order = |row: Row| {
        let given = row.required_answers.iter().enumerate().filter(|(bit, _)| row.answers >> bit & 1 == 1);
        let given = given.map(|(_, name)| name.clone()).collect();
        Order {
            taken_back: row.taken_back(),
            id: row.id,
            customer_id: row.customer_id,
            status: row.status,
            reason: row.reason,
            currency: row.currency,
            amount_minor: row.amount_minor,
            items: items.remove(&row.id).unwrap_or_default(),
            payment_method: row.payment_method,
            created_at: row.created_at,
            deadline_at: row.deadline_at,
            closed_at: row.closed_at,
            answers: Answers { required: row.required_answers, given },
        }
    };
    Ok(rows.into_iter().map(&mut order).collect())
}
