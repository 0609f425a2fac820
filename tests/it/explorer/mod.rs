//! The Saga Explorer as a reader has it: a headless Chromium in front of a stack. What is asserted is what is seen, or found by what it is
//! and what it is called. With `EXPLORER_SCREENSHOTS=on` the pictures of the documentation are made anew.

mod browser;

use crate::world::{Fallible, MUG, Outcome, World, order};
use browser::{Browser, ENTER, TAB};
use saga_common::testkit::{Wire, properties};
use sagactl::audit::{self, ExpectedParked};
use sagactl::client::{OrderStatus, Service, explorer};
use sagactl::stack::{StackOptions, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

/// A stack with fault injection that starts again what crashes.
fn breakable() -> StackOptions {
    StackOptions::unique().env_all("FAULTS", "on").supervise(true)
}

/// An operator's page.
async fn page_of(world: &World) -> Fallible<Browser> {
    let browser = Browser::open().await?;
    browser.go(&explorer(&world.stack.url(Service::Order)?, world.stack.token())).await?;
    browser.shows("operator").await?;
    assert!(!browser.address().await?.contains("token"), "the address does not keep the token");
    Ok(browser)
}

impl Browser {
    /// Shows another view, which its link in the navigation names.
    async fn view(&self, name: &str) -> Fallible<()> {
        self.click("link", name).await
    }

    /// Places an order with what has been chosen, and returns it once its story is on the page.
    async fn place(&self, customer: &str, method: &str) -> Fallible<Uuid> {
        let before = self.address().await?;
        self.write("Customer", customer).await?;
        self.choose("Article", MUG).await?;
        self.choose("Paid by", method).await?;
        self.click("button", "Place the order").await?;
        self.chosen(&before).await
    }

    async fn chosen(&self, before: &str) -> Fallible<Uuid> {
        eventually("the story of the new order", || async {
            let now = self.address().await?;
            let id = now.split("#/sagas/").nth(1).filter(|_| now != before);
            Ok(id.and_then(|id| id.parse().ok()))
        })
        .await
    }

    /// Nothing sticks out of the window, and it can be read: 4.5 to 1 is WCAG's AA.
    async fn fits_and_can_be_read(&self, what: &str) -> Fallible<()> {
        let wide = self.run("return [document.documentElement.scrollWidth, innerWidth]").await?;
        assert!(wide[0].as_u64() <= wide[1].as_u64(), "{what} is {} wide in a window of {}", wide[0], wide[1]);
        let weakest = self.run(CONTRASTS).await?;
        assert!(weakest[1].as_f64().is_some_and(|ratio| ratio >= 4.5), "{what}: {weakest}");
        Ok(())
    }

    async fn screenshot(&self, name: &str) -> Fallible<()> {
        if std::env::var_os("EXPLORER_SCREENSHOTS").is_none() {
            return Ok(());
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/screenshots");
        let file = std::fs::File::create(folder.join(name))?;
        let mut decoder = tokio::process::Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(file).spawn()?;
        decoder.stdin.take().ok_or("no input")?.write_all(self.picture().await?.as_bytes()).await?;
        assert!(decoder.wait().await?.success());
        Ok(())
    }
}

/// The weakest contrast of all colours that text has, with the panel that it stands on.
const CONTRASTS: &str = r#"
    const style = getComputedStyle(document.documentElement);
    const light = (name) => {
        const hex = style.getPropertyValue(name).trim().slice(1);
        const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const panel = light("--panel");
    const all = ["ink", "dim", "accent", "good", "bad", "comp", "wait", "fault", "held"].map((name) => {
        const tone = light("--" + name);
        return [name, (Math.max(tone, panel) + 0.05) / (Math.min(tone, panel) + 0.05)];
    });
    return all.sort((a, b) => a[1] - b[1])[0];
"#;

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
    for step in ["place-order", "reserve-stock", "charge-payment", "confirm-order", "commit-stock", "close-order", "notify"] {
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
    for (view, words) in [("Held up", "Nothing is held up."), ("Figures", "The last ten minutes"), ("Books", "Do the books agree?"), ("Sagas", "poor-paula")] {
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
    browser.shows("It is being tried again.").await?;
    let acts = format!("{}/acts", world.stack.url(Service::Inventory)?);
    let acts: Value = world.stack.http().get(acts).send().await?.json().await?;
    assert_eq!(acts["acts"][0]["act"], "redrive");
    // Nobody has learned of it meanwhile.
    browser.shows("1 message parked, 0 waiting.").await?;
    assert_eq!(browser.complaints().await?, [""; 0]);
    world.assert_consistent_with(ExpectedParked::Count(1)).await
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

#[tokio::test]
async fn the_books_agree_the_auditors_verdict_is_shown_and_figures_count_every_order() -> Outcome {
    let world = World::start().await?;
    for customer in ["anna", "otto", "poor-paula"] {
        let id = world.place(&order(customer, MUG, 2, "wallet")).await?.id;
        world.client.wait_closed(id, crate::world::LIMIT).await?;
    }
    let browser = page_of(&world).await?;
    browser.view("Books").await?;
    browser.shows("Nobody has told this order-svc of an audit since it started").await?;
    browser.shows("Nothing is under way.").await?;
    browser.shows("72.00 EUR charged, 72.00 EUR ordered").await?;
    browser.shows("4 sold, 4 ordered").await?;
    assert!(!browser.text().await?.contains("differ"));
    let report = audit::until_quiescent(&world.stack.audit_config(), crate::world::LIMIT).await?;
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
    let sum = |of: &dyn Fn(&Value) -> Option<i64>| figures["slots"].as_array().map(|all| all.iter().filter_map(of).sum::<i64>());
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
