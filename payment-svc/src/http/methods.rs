//! `GET /payment-methods`: how an order can be paid, for whoever has to choose.

use crate::sandbox;
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// Ways to pay.
#[derive(Serialize, ToSchema)]
pub(super) struct PaymentMethods {
    /// The wallet first.
    methods: Vec<PaymentMethod>,
}

/// A way to pay.
#[derive(Serialize, ToSchema)]
struct PaymentMethod {
    /// What an order says.
    #[schema(example = "pm_card_visa")]
    method: String,
    /// What it does.
    #[schema(example = "succeeds")]
    means: &'static str,
}

/// The wallet, and the test cards that the sandbox provider knows; a real provider knows cards of its own, and declines some of these.
#[utoipa::path(get, path = "/payment-methods", tag = "payments", responses((status = 200, body = PaymentMethods)))]
pub(super) async fn list() -> Json<PaymentMethods> {
    let wallet = PaymentMethod {
        method: "wallet".to_owned(),
        means: "the customer's wallet, charged inside of the step's transaction",
    };
    let cards = sandbox::methods().map(|(method, means)| PaymentMethod { method, means });
    Json(PaymentMethods { methods: std::iter::once(wallet).chain(cards).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_method_that_can_be_chosen_can_be_ordered_with() {
        let Json(PaymentMethods { methods }) = list().await;
        let names: Vec<&str> = methods.iter().map(|it| it.method.as_str()).collect();
        assert_eq!(names[..2], ["wallet", "pm_card_visa"]);
        assert!(names.len() == 8 && names[1..].iter().all(|name| name.starts_with("pm_card_")), "{names:?}");
        assert!(methods.iter().all(|it| !it.means.is_empty()));
    }
}
