//! Bad requests: a clear problem, and nothing happens.

use crate::world::{MUG, Outcome, TEAPOT, World, order, order_of};
use sagactl::client::{NewOrder, Service};
use sagactl::stack::StackOptions;
use serde_json::{Value, json};

#[tokio::test]
async fn bad_orders_are_refused_with_a_clear_problem() -> Outcome {
    let world = World::start().await?;
    let dear = sagactl::client::Product {
        sku: "GOLD".to_owned(),
        name: "A ton of gold".to_owned(),
        unit_price_minor: 9_007_199_254_740_991,
        currency: "EUR".to_owned(),
    };
    world.client.put_product(&dear).await?;
    let refused: Vec<(&str, NewOrder)> = vec![
        ("there is no product", order("anna", "NO-SUCH-SKU", 1, "wallet")),
        ("quantity", order("anna", MUG, 0, "wallet")),
        ("too large", order("anna", "GOLD", 2, "wallet")),
        ("1 to 200 lines", order_of("anna", &[], "wallet")),
        ("1 to 200 lines", order_of("anna", &[(MUG, 1); 201], "wallet")),
        ("not in USD", NewOrder { currency: "USD".to_owned(), ..order("anna", MUG, 1, "wallet") }),
        ("three capital letters", NewOrder { currency: "euro".to_owned(), ..order("anna", MUG, 1, "wallet") }),
        ("payment_method", order("anna", MUG, 1, "cash")),
        ("customer_id", order("", MUG, 1, "wallet")),
        ("must not contain NUL", order("anna", "MUG\0STONE", 1, "wallet")),
        ("customer_id", order("an\0na", MUG, 1, "wallet")),
    ];
    for (words, bad) in refused {
        let error = world.client.place_order(&bad, None, None).await.expect_err(words);
        assert_eq!(error.status(), Some(422), "{error}");
        assert!(error.to_string().contains(words), "`{error}` says `{words}`");
    }
    world.assert_consistent().await
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_problems_too() -> Outcome {
    let world = World::start().await?;
    let base = world.stack.url(sagactl::client::Service::Order)?;
    let http = world.stack.http();
    let post = |body: String| http.post(format!("{base}/orders")).header("content-type", "application/json").body(body);
    let whole = json!({"customer_id": "a", "currency": "EUR", "items": [{"sku": TEAPOT, "quantity": 1}], "payment_method": "wallet"});
    let huge = json!({"customer_id": "x".repeat(2_000_000)});
    let mut fraction = whole.clone();
    fraction["items"][0]["quantity"] = json!(1.5);
    let answers = [
        (400, post("{".to_owned()).send().await?),
        (413, post(huge.to_string()).send().await?),
        (422, post("{}".to_owned()).send().await?),
        (422, post(fraction.to_string()).send().await?),
        (400, post(whole.to_string()).header("Idempotency-Key", "\"\"").send().await?),
        (400, http.get(format!("{base}/orders/not-an-id")).send().await?),
        (404, http.get(format!("{base}/orders/{}", uuid::Uuid::now_v7())).send().await?),
        (404, http.get(format!("{base}/nothing/here")).send().await?),
        (404, http.get(format!("{base}/products/MUG%00STONE")).send().await?),
        (405, http.delete(format!("{base}/orders")).send().await?),
        (400, http.get(format!("{base}/orders?status=lost")).send().await?),
    ];
    for (status, answer) in answers {
        assert_eq!(answer.status().as_u16(), status, "{}", answer.url());
        let media = answer.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        assert_eq!(media, "application/problem+json");
        let problem: Value = answer.json().await?;
        assert_eq!(problem["status"], json!(status));
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
    world.assert_consistent().await
}

#[tokio::test]
async fn a_fault_directive_for_a_point_that_nobody_has_is_refused() -> Outcome {
    let world = World::with(StackOptions::unique().env_all("FAULTS", "on")).await?;
    let service = Service::Payment;
    let refused =
        world.client.set_faults(service, "payment-svc/after-nonsense=crash", 1).await.expect_err("no such point");
    assert_eq!(refused.status(), Some(400), "{refused}");
    assert!(refused.to_string().contains("after-nonsense"), "{refused}");
    let taken = world.client.set_faults(service, "payment-svc/after-charge=delay(0)", 1).await?;
    assert_eq!(taken.directives, "payment-svc/after-charge=delay(0)");
    world.assert_consistent().await
}
