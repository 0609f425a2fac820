//! `GET /totals`: what payments and wallets add up to.

use super::Desk;
use axum::Json;
use axum::extract::State;
use saga_common::http::{Operator, Problem, Reply};
use serde::Serialize;
use utoipa::ToSchema;

/// What payments and wallets add up to.
#[derive(Serialize, ToSchema)]
pub(super) struct MoneyTotals {
    /// One line for each status and currency that there is.
    payments: Vec<PaymentTotal>,
    /// One line for each currency.
    wallets: Vec<WalletTotal>,
}

/// The payments of one status, in one currency.
#[derive(Serialize, ToSchema)]
struct PaymentTotal {
    status: String,
    /// ISO 4217.
    currency: String,
    /// How many.
    payments: i64,
    /// In minor units.
    amount_minor: i64,
}

/// The wallets of one currency, in one snapshot: they hold what their movements add up to.
#[derive(Serialize, ToSchema)]
struct WalletTotal {
    /// ISO 4217.
    currency: String,
    /// How many.
    wallets: i64,
    /// What they hold, in minor units.
    balance_minor: i64,
    /// What their movements add up to, in minor units.
    movements_minor: i64,
}

/// What payments and wallets add up to. It reads every payment and every movement: seconds, where there are millions.
#[utoipa::path(get, path = "/totals", tag = "explorer", responses((status = 200, body = MoneyTotals), (status = 503, body = Problem)))]
pub(super) async fn show(_: Operator, State(desk): State<Desk>) -> Reply<Json<MoneyTotals>> {
    // Sums of bigints are numerics.
    let payments = sqlx::query_as!(
        PaymentTotal,
        r#"select status, currency, count(*) as "payments!", least(sum(amount_minor), 9223372036854775807)::int8 as "amount_minor!"
           from payments group by status, currency order by status, currency"#
    )
    .fetch_all(&desk.reads)
    .await?;
    let wallets = sqlx::query_as!(
        WalletTotal,
        r#"select w.currency, count(*) as "wallets!", least(sum(w.balance_minor), 9223372036854775807)::int8 as "balance_minor!",
                  least(coalesce(sum(m.moved), 0), 9223372036854775807)::int8 as "movements_minor!"
           from wallets w
           left join (select customer_id, sum(amount_minor) as moved from wallet_movements group by customer_id) m
                on m.customer_id = w.customer_id
           group by w.currency order by w.currency"#
    )
    .fetch_all(&desk.reads)
    .await?;
    Ok(Json(MoneyTotals { payments, wallets }))
}
