//! Payments and wallets over HTTP. Reads are single statements, checked at compile time; the one write goes through the
//! engine's transaction.

mod methods;
mod totals;

use crate::store::{self, Movement, MovementKind};
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use order_contracts::{Currency, Money};
use saga_common::http::{Caller, Operator, Problem, Reply};
use saga_common::{Error, Saga, acts};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) saga: Saga,
    pub(crate) reads: sqlx::PgPool,
}

/// The payment of an order.
#[derive(Serialize, ToSchema)]
struct Payment {
    /// The order.
    order_id: Uuid,
    /// `charging`, `charged`, `declined`, `refunding`, `refunded` or `voided`.
    #[schema(example = "charged")]
    status: String,
    /// In minor units.
    amount_minor: i64,
    /// ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
    /// The provider's id of the charge; none for a wallet.
    provider_reference: Option<String>,
    /// Why it was declined, or called off.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What the provider's silence looked like, as long as the payment waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_because: Option<String>,
    /// When the provider is asked next, at the earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<DateTime<Utc>>,
}

/// A customer's wallet.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wallet {
    /// In minor units.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 100_000)]
    balance_minor: i64,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
}

/// What order-svc takes as well. A name of some thousand characters would not even fit into the index.
const LONGEST_CUSTOMER: usize = 100;

/// The routes of this service.
pub(crate) fn routes(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(show_payment))
        .routes(routes!(show_wallet, put_wallet))
        .routes(routes!(methods::list))
        .routes(routes!(totals::show))
        .with_state(desk)
}

/// The payment of an order, once stock was reserved for it.
#[utoipa::path(get, path = "/payments/{order_id}", tag = "payments", params(("order_id" = Uuid, Path)),
    responses((status = 200, body = Payment), (status = 404, body = Problem)))]
async fn show_payment(
    State(desk): State<Desk>,
    caller: Caller,
    order_id: Result<Path<Uuid>, PathRejection>,
) -> Reply<Json<Payment>> {
    let Path(order_id) = order_id?;
    let payment = sqlx::query_as!(
        Payment,
        r#"select p.order_id, p.status, p.amount_minor, p.currency, p.provider_reference, p.reason,
                  j.last_error as "waits_because?", case when j.last_error is not null then j.due_at end as next_attempt_at
           from payments p left join saga.jobs j on j.saga_id = p.order_id where p.order_id = $1 and ($2::text is null or p.customer_id = $2)"#,
        order_id,
        caller.sees_only()
    )
    .fetch_optional(&desk.reads)
    .await?;
    payment.map(Json).ok_or_else(|| Problem::not_found("nobody has asked for a payment of this order"))
}

/// A customer's wallet, for themselves and for operators. Whoever has none yet is shown what it will open with.
#[utoipa::path(get, path = "/wallets/{customer_id}", tag = "wallets", params(("customer_id" = String, Path)),
    responses((status = 200, body = Wallet), (status = 404, body = Problem, description = "somebody else's"),
        (status = 422, body = Problem)))]
async fn show_wallet(
    State(desk): State<Desk>,
    caller: Caller,
    customer_id: Result<Path<String>, PathRejection>,
) -> Reply<Json<Wallet>> {
    let customer_id = customer(customer_id?)?;
    if caller.sees_only().is_some_and(|own| own != customer_id) {
        return Err(Problem::not_found("there is no such wallet"));
    }
    let wallet = sqlx::query_as!(
        Wallet,
        r#"select coalesce(w.balance_minor, o.balance_minor) as "balance_minor!", coalesce(w.currency, o.currency) as "currency!"
           from opening o left join wallets w on w.customer_id = $1"#,
        customer_id
    )
    .fetch_one(&desk.reads)
    .await?;
    Ok(Json(wallet))
}

/// Sets a wallet's balance; the difference is booked as an adjustment.
#[utoipa::path(put, path = "/wallets/{customer_id}", tag = "wallets", params(("customer_id" = String, Path)),
    request_body = Wallet, responses((status = 200, body = Wallet), (status = 422, body = Problem)))]
async fn put_wallet(
    Operator(caller): Operator,
    State(desk): State<Desk>,
    customer_id: Result<Path<String>, PathRejection>,
    wallet: Result<Json<Wallet>, JsonRejection>,
) -> Reply<Json<Wallet>> {
    let customer_id = customer(customer_id?)?;
    let Json(wallet) = wallet?;
    let problems = [
        Money::from_minor(wallet.balance_minor).err().map(|error| format!("balance_minor: {error}")),
        Currency::try_from(wallet.currency.clone()).err().map(|error| format!("currency: {error}")),
    ];
    let problems: Vec<String> = problems.into_iter().flatten().collect();
    if !problems.is_empty() {
        return Err(Problem::invalid(problems));
    }
    // In a task of its own: a caller who hangs up must not cut the transaction in two.
    let set = tokio::spawn(async move { set_wallet(&desk.saga, caller.subject(), &customer_id, wallet).await });
    Ok(Json(set.await.map_err(|_| Problem::internal("the wallet could not be set"))??))
}

async fn set_wallet(saga: &Saga, by: &str, customer_id: &str, wallet: Wallet) -> Result<Wallet, Error> {
    let unit = saga.begin().await?;
    let before = store::open_and_lock(unit.tx(), customer_id).await?;
    let difference = Movement {
        customer_id,
        kind: MovementKind::Adjustment,
        amount_minor: wallet.balance_minor - before.balance_minor,
    };
    if difference.amount_minor != 0 {
        store::book(unit.tx(), &[difference])?;
    }
    if wallet.currency != before.currency {
        store::set_currency(unit.tx(), customer_id, &wallet.currency).await?;
    }
    let Wallet { balance_minor, currency } = &wallet;
    acts::note(unit.tx(), by, "wallet", &format!("{customer_id}: {balance_minor} {currency}"))?;
    saga.commit(unit).await?;
    Ok(wallet)
}

fn customer(Path(customer_id): Path<String>) -> Reply<String> {
    if customer_id.len() > LONGEST_CUSTOMER || customer_id.chars().any(char::is_control) {
        let wrong = format!("customer_id: at most {LONGEST_CUSTOMER} characters, and no control characters");
        return Err(Problem::invalid(vec![wrong]));
    }
    Ok(customer_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_index_holds_is_no_customer() {
        let named = |name: String| customer(Path(name)).ok();
        assert_eq!(named("anna".to_owned()).as_deref(), Some("anna"));
        assert!(named("x".repeat(100)).is_some() && named("x".repeat(101)).is_none());
        assert!(named("an\0na".to_owned()).is_none());
    }
}
