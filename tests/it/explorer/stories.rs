//! Sagas on the page: as they go well, as they fail, and while something is away.

use super::browser::{ENTER, TAB};
use super::page_of;
use crate::world::{MUG, Outcome, World};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::StackOptions;

/// A stack with fault injection that starts again what crashes.
fn breakable() -> StackOptions {
    StackOptions::unique().env_all("FAULTS", "on").supervise(true)
}

#[tokio::test]
async fn an_order_is_placed_by_keyboard_and_its_story_is_told_while_it_happens() -> Outcome {
    let world = World::start().await?;
    let browser = page_of(&world).await?;
    browser.choose("Article", MUG).await?;
    browser.choose("Paid by", "wallet").await?;
    let before = browser.address().await?;
    browser.run("document.body.focus(); document.activeElement.blur()").await?;
    for pressed in 0.. {
        assert!(pressed < 40, "the button is not reached by keyboard");
        browser.press(TAB).await?;
        if browser.focused().await? == "Place the order" {
            break;
        }
    }
    browser.press(ENTER).await?;
    let id = browser.chosen(&before).await?;
    for step in
        ["place-order", "reserve-stock", "charge-payment", "confirm-order", "commit-stock", "close-order", "notify"]
    {
        browser.find("article", &format!("{step}, done")).await?;
    }
    browser.find("article", "inventory-svc, reserve-stock, done, at +").await?;
    browser.find("article", "says stock.reserved").await?;
    browser.shows("✓confirmed").await?;
    browser.find("link", "anna").await?;
    browser.screenshot("confirmed.png").await?;

    browser.choose("State", "cancelled").await?;
    browser.shows("No saga is like that.").await?;
    browser.choose("State", "confirmed").await?;
    browser.hides("No saga is like that.").await?;
    browser.click("button", "Ship it").await?;
    browser.shows("➚shipped").await?;
    assert_eq!(world.client.order(id).await?.status, OrderStatus::Shipped);
    assert_eq!(browser.complaints().await?, [""; 0]);
    world.assert_consistent().await
}

#[tokio::test]
async fn a_decline_shows_compensation_and_a_fault_from_the_list_shows_where_it_fired() -> Outcome {
    let world = World::with(breakable()).await?;
    let browser = page_of(&world).await?;
    let declined = browser.place("poor-paula", "wallet").await?;
    world.ends(declined, OrderStatus::Cancelled).await?;
    browser.shows("payment.declined: insufficient funds").await?;
    browser.find("article", "payment-svc, charge-payment, rejected").await?;
    browser.find("article", "inventory-svc, compensate, compensation: undone").await?;
    browser.find("article", "reverses reserve-stock").await?;
    browser.find("article", "payment-svc, compensate, compensation: nothing-to-undo").await?;
    browser.find("article", "reserve-stock, done, undone later").await?;
    browser.find("article", "notification-svc, notify, done").await?;
    browser.screenshot("compensation.png").await?;

    browser.choose("Where", "payment-svc/after-commit").await?;
    browser.shows("the transaction is committed; nothing is published, acked or answered").await?;
    browser.choose("What", "crash").await?;
    let crashed = browser.place("anna", "wallet").await?;
    browser.shows("payment-svc/after-commit=crash fired in payment-svc").await?;
    browser.find("article", "payment-svc, crash, fault fired").await?;
    world.ends(crashed, OrderStatus::Confirmed).await?;
    browser.find("article", "charge-payment, done").await?;
    browser.shows("✓confirmed").await?;
    assert_eq!(world.stack.restarts(Service::Payment), 1);
    browser.screenshot("fault.png").await?;

    // A hold is ended from the page.
    browser.choose("Where", "inventory-svc/before-begin").await?;
    browser.choose("What", "hold").await?;
    let held = browser.place("anna", "wallet").await?;
    browser.click("button", "Release the hold in inventory-svc").await?;
    world.ends(held, OrderStatus::Confirmed).await?;
    browser.shows("✓confirmed").await?;

    // On a phone, in the dark.
    browser.dark(true).await?;
    browser.resize(390, 844).await?;
    let story = browser.address().await?.replace(&held.to_string(), &declined.to_string());
    browser.go(&story).await?;
    browser.find("article", "compensation: undone").await?;
    browser.fits_and_can_be_read("a story").await?;
    browser.screenshot("phone.png").await?;
    browser.click("link", "All sagas").await?;
    for (view, words) in [
        ("Held up", "Nothing is held up."),
        ("Figures", "The last ten minutes"),
        ("Books", "Do the books agree?"),
        ("Sagas", "poor-paula"),
    ] {
        browser.view(view).await?;
        browser.shows(words).await?;
        browser.fits_and_can_be_read(view).await?;
    }
    browser.dark(false).await?;
    browser.fits_and_can_be_read("Sagas by day").await?;
    assert_eq!(browser.complaints().await?, [""; 0]);
    world.assert_consistent().await
}

#[tokio::test]
async fn a_broker_or_a_service_that_is_away_is_named_and_the_page_goes_on_when_it_is_back() -> Outcome {
    let world = World::alone(StackOptions::unique().env(Service::Order, "DEADLINE_MS", 120_000)).await?;
    let browser = page_of(&world).await?;
    let first = browser.place("anna", "wallet").await?;
    world.ends(first, OrderStatus::Confirmed).await?;

    world.stack.servers().stop_broker().await?;
    browser.shows("No service is connected to the broker (RabbitMQ)").await?;
    let waits = browser.place("anna", "wallet").await?;
    browser.shows("…pending").await?;
    browser.find("article", "order-svc, place-order, done").await?;
    browser.screenshot("broker-down.png").await?;
    world.stack.servers().start_broker().await?;
    browser.hides("No service is connected to the broker (RabbitMQ)").await?;
    world.ends(waits, OrderStatus::Confirmed).await?;
    browser.shows("✓confirmed").await?;

    world.stack.kill9(Service::Inventory).await?;
    browser.shows("inventory-svc cannot be reached").await?;
    browser.find("article", "inventory-svc does not answer").await?;
    world.stack.start(Service::Inventory).await?;
    browser.hides("inventory-svc cannot be reached").await?;
    browser.find("article", "reserve-stock, done").await?;

    world.stack.kill9(Service::Order).await?;
    browser.shows("order-svc cannot be reached").await?;
    world.stack.start(Service::Order).await?;
    browser.hides("order-svc cannot be reached").await?;
    world.assert_consistent().await
}
