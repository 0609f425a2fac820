//! RabbitMQ's own management UI, as an operator finds it: names that speak, and messages that can be read.

use super::browser::Browser;
use crate::world::{Fallible, LIMIT, MUG, Outcome, World, order};
use sagactl::stack::StackOptions;

/// Logged in, on servers that nobody else uses, so that the lists are this stack's.
async fn management_of(world: &World) -> Fallible<Browser> {
    let management = world.stack.servers().management().clone();
    let browser = Browser::open().await?;
    browser.go(&management.url).await?;
    browser.shows("Username").await?;
    browser.run(&fill("username", &management.user)).await?;
    browser.run(&fill("password", &management.password)).await?;
    browser.run("document.querySelector('input[type=submit]').click()").await?;
    browser.shows("Overview").await?;
    Ok(browser)
}

/// Sections are folded until somebody clicks on their headings.
fn unfold(heading: &str) -> String {
    format!("[...document.querySelectorAll('h2')].find((it) => it.textContent.trim().startsWith({heading:?})).click()")
}

fn fill(field: &str, value: &str) -> String {
    format!("document.querySelector('input[name={field}]').value = {value:?}")
}

#[tokio::test]
async fn the_management_ui_shows_queues_connections_and_messages_by_names_that_speak() -> Outcome {
    let world = World::alone(StackOptions::unique().env_all("TAP", "true")).await?;
    for customer in ["anna", "poor-paula"] {
        let id = world.place(&order(customer, MUG, 1, "wallet")).await?.id;
        world.client.wait_closed(id, LIMIT).await.or(world.client.wait_terminal(id, LIMIT).await)?;
    }
    let browser = management_of(&world).await?;
    let url = &world.stack.servers().management().url;
    let vhost = world.stack.vhost();

    browser.go(&format!("{url}/#/queues")).await?;
    for queue in
        ["order.events", "order.failures", "inventory.events", "payment.failures", "notification.events", "saga.tap"]
    {
        browser.shows(queue).await?;
    }
    browser.screenshot("management-queues.png").await?;

    browser.go(&format!("{url}/#/connections")).await?;
    for connection in ["order/consumer@", "order/publisher@", "inventory/consumer@", "payment/publisher@"] {
        browser.shows(connection).await?;
    }
    browser.screenshot("management-connections.png").await?;

    browser.go(&format!("{url}/#/exchanges/{vhost}/saga.failures")).await?;
    browser.shows("Bindings").await?;
    browser.run(&unfold("Bindings")).await?;
    for bound in ["fanout", "order.failures", "inventory.failures", "payment.failures"] {
        browser.shows(bound).await?;
    }
    browser.screenshot("management-failures.png").await?;

    browser.go(&format!("{url}/#/queues/{vhost}/saga.tap")).await?;
    browser.shows("Get messages").await?;
    browser.run(&unfold("Get messages")).await?;
    let get = "const form = document.querySelector('form[action=\"#/queues/get\"]'); form.querySelector('[name=count]').value = 20; \
               form.querySelector('input[type=submit]').click()";
    browser.run(get).await?;
    for property in ["order.placed.v1", "payment.declined.v1", "correlation_id", "message_id", "application/json"] {
        browser.shows(property).await?;
    }
    browser.run("document.querySelector('#msg-wrapper').scrollIntoView()").await?;
    browser.screenshot("management-messages.png").await?;
    world.assert_consistent().await
}
