//! What operators have on the page: held messages, books, figures.

use super::page_of;
use crate::world::{LIMIT, MUG, Outcome, World, order};
use saga_common::testkit::{Wire, properties};
use sagactl::audit::{self, ExpectedParked};
use sagactl::client::Service;
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn a_parked_message_is_shown_with_its_payload_and_redriven() -> Outcome {
    let world = World::start().await?;
    let browser = page_of(&world).await?;
    let wire = Wire::connect(world.stack.amqp_url()).await?;
    let unknown = properties("order.placed.v9", Uuid::now_v7().into());
    assert!(wire.send("", "inventory.events", unknown, br#"{"gift_wrapping": "blue"}"#).await?);
    browser.view("Held up").await?;
    browser.find("listitem", "parked: order.placed.v9 at inventory-svc").await?;
    browser.shows("unknown").await?;
    browser.run("document.querySelector('#held summary').click()").await?;
    browser.shows(r#""gift_wrapping": "blue""#).await?;
    browser.screenshot("held.png").await?;
    browser.click("button", "Redrive").await?;
    browser.shows("order.placed is being tried again by inventory-svc since").await?;
    let acts = format!("{}/acts", world.stack.url(Service::Inventory)?);
    let acts: Value = world.stack.http().get(acts).send().await?.json().await?;
    assert_eq!(acts["acts"][0]["act"], "redrive");
    // Nobody has learned of it meanwhile.
    browser.shows("1 message parked, 0 waiting.").await?;
    assert_eq!(browser.complaints().await?, [""; 0]);
    world.assert_consistent_with(ExpectedParked::Count(1)).await
}

#[tokio::test]
async fn the_books_agree_the_auditors_verdict_is_shown_and_figures_count_every_order() -> Outcome {
    let world = World::start().await?;
    for customer in ["anna", "otto", "poor-paula"] {
        let id = world.place(&order(customer, MUG, 2, "wallet")).await?.id;
        world.client.wait_closed(id, LIMIT).await?;
    }
    let browser = page_of(&world).await?;
    browser.view("Books").await?;
    browser.shows("Nobody has told this order-svc of an audit since it started").await?;
    browser.shows("Nothing is under way.").await?;
    browser.shows("72.00 EUR charged, 72.00 EUR ordered").await?;
    browser.shows("4 sold, 4 ordered").await?;
    assert!(!browser.text().await?.contains("differ"));
    let report = audit::until_quiescent(&world.stack.audit_config(), LIMIT).await?;
    world.client.tell_audit(&report).await?;
    browser.shows("✓clean").await?;
    browser.screenshot("books.png").await?;
    let wrong = json!({"checks": [{"name": "stock-balances", "claim": "it balances", "passed": false, "violations": 1,
        "findings": [{"id": "MUG-STONE", "expected": "1", "actual": "2"}]}]});
    world.client.tell_audit(&wrong).await?;
    browser.shows("✕not clean").await?;
    browser.shows("stock-balances: 1 against “it balances”").await?;

    // Somebody takes money out of the books: no saga is under way that could explain it.
    let payment = world.database(Service::Payment).await?;
    payment.execute("update payments set amount_minor = amount_minor + 1 where customer_id = 'anna'", &[]).await?;
    browser.shows("72.01 EUR charged, 72.00 EUR ordered").await?;
    browser.shows("✕differ").await?;
    payment.execute("update payments set amount_minor = amount_minor - 1 where customer_id = 'anna'", &[]).await?;

    let figures = format!("{}/figures", world.stack.url(Service::Order)?);
    let figures: Value = world.stack.http().get(figures).send().await?.json().await?;
    let sum = |of: &dyn Fn(&Value) -> Option<i64>| {
        figures["slots"].as_array().map(|all| all.iter().filter_map(of).sum::<i64>())
    };
    assert_eq!(figures["slots"].as_array().map(Vec::len), Some(120));
    assert_eq!(sum(&|slot| slot["placed"].as_i64()), Some(3));
    assert_eq!(sum(&|slot| slot["confirmed"].as_i64()), Some(2));
    assert_eq!(sum(&|slot| slot["cancelled"]["payment.declined"].as_i64()), Some(1));
    assert_eq!(sum(&|slot| slot["under_way"].as_i64()), Some(0));
    browser.view("Figures").await?;
    browser.shows("payment.declined").await?;
    browser.screenshot("figures.png").await?;
    assert_eq!(browser.complaints().await?, [""; 0]);
    world.assert_consistent().await
}
