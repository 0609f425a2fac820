//! Who sees what on the page, and what order-svc passes on for it.

use super::browser::Browser;
use crate::world::{MUG, Outcome, World, order};
use sagactl::client::{OrderStatus, Service};
use serde_json::json;

#[tokio::test]
async fn a_customer_sees_their_own_sagas_and_nothing_that_runs_the_shop() -> Outcome {
    let world = World::start().await?;
    let others = world.place(&order("otto", MUG, 1, "wallet")).await?.id;
    world.ends(others, OrderStatus::Confirmed).await?;
    let (browser, url) = (Browser::open().await?, world.stack.url(Service::Order)?);
    browser.go(&url).await?;
    browser.shows("Nothing is shown without a token.").await?;
    browser.write("Bearer token", &world.stack.token_of("anna").await?).await?;
    browser.click("button", "Use it").await?;
    browser.shows("No order has been placed yet.").await?;
    let text = browser.text().await?;
    for hidden in ["otto", "What is to go wrong", "Held up", "Books", "Figures", "Customer"] {
        assert!(!text.contains(hidden), "{hidden} is for operators:\n{text}");
    }
    let before = browser.address().await?;
    browser.choose("Article", MUG).await?;
    browser.click("button", "Place the order").await?;
    let own = browser.chosen(&before).await?;
    world.ends(own, OrderStatus::Confirmed).await?;
    browser.shows("✓confirmed").await?;
    browser.go(&format!("{url}/#/sagas/{others}")).await?;
    browser.shows("There is no such order.").await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn without_a_gateway_order_svc_passes_on_what_the_page_asks_and_nothing_else() -> Outcome {
    let world = World::start().await?;
    let (url, anna) = (world.stack.url(Service::Order)?, world.stack.token_of("anna").await?);
    let http = reqwest::Client::new();
    let get = |path: &str, token: &str| http.get(format!("{url}{path}")).bearer_auth(token).send();
    for open in ["/", "/explorer/app.css", "/explorer/js/app.js"] {
        let page = http.get(format!("{url}{open}")).send().await?;
        assert_eq!(page.status(), 200, "{open}");
        assert!(page.headers()["content-security-policy"].to_str()?.starts_with("default-src 'self';"), "{open}");
    }
    for (path, without, customer, operator) in [
        ("/services/order/orders", 401, 200, 200),
        ("/services/order/parked", 401, 403, 200),
        ("/services/inventory/stock", 401, 200, 200),
        ("/services/inventory/parked", 401, 403, 200),
        ("/services/payment/faults", 401, 403, 200),
        ("/services/notification/readyz", 401, 200, 200),
        ("/services/payment/metrics", 401, 404, 404),
        ("/services/payment/wallets/anna", 401, 404, 404),
        ("/services/inventory/parked/..%2fmetrics", 401, 404, 404),
        ("/services/order/metrics", 401, 404, 404),
        ("/services/order/services/inventory/metrics", 401, 404, 404),
        ("/services/issuer/tokens", 401, 404, 404),
    ] {
        assert_eq!(http.get(format!("{url}{path}")).send().await?.status(), without, "{path}");
        assert_eq!(get(path, &anna).await?.status(), customer, "{path} for anna");
        assert_eq!(get(path, world.stack.token()).await?.status(), operator, "{path} for an operator");
    }
    let put = http.put(format!("{url}/services/inventory/stock/{MUG}")).bearer_auth(world.stack.token());
    assert_eq!(put.json(&json!({"available": 1})).send().await?.status(), 404, "nothing that the page does not do");
    world.stack.kill9(Service::Inventory).await?;
    let away = get("/services/inventory/stock", &anna).await?;
    assert_eq!((away.status().as_u16(), &away.headers()["content-type"]), (502, &"application/problem+json".parse()?));
    assert!(away.text().await?.contains("inventory-svc cannot be reached"));
    world.stack.start(Service::Inventory).await?;
    world.assert_consistent().await
}
