//! What `/metrics` serves is what `docs/metrics.md` lists, and its numbers are those of what happened.

use crate::world::{Fallible, LIMIT, MUG, Outcome, POOR, TEAPOT, World, order};
use saga_common::testkit::{Wire, properties};
use sagactl::audit::ExpectedParked;
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::{StackOptions, eventually};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const PAGE: &str = include_str!("../../docs/metrics.md");

/// What is known of a metric, from the page or from a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Shape {
    kind: String,
    labels: BTreeSet<String>,
}

/// One sample: name, labels, value.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// The answer of one service's `/metrics`.
#[derive(Default)]
struct Scrape {
    help: BTreeMap<String, String>,
    kinds: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

impl Scrape {
    async fn of(world: &World, service: Service) -> Fallible<Self> {
        let answer = world.stack.http().get(format!("{}/metrics", world.stack.url(service)?)).send().await?;
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let mut scrape = Self::default();
        for line in answer.text().await?.lines().filter(|line| !line.is_empty()) {
            let cannot = || format!("cannot be read: {line}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or_else(cannot)?;
                scrape.help.insert(name.to_owned(), help.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(cannot)?;
                scrape.kinds.insert(name.to_owned(), kind.to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').ok_or_else(cannot)?;
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let pairs = labels.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty());
                let labels = pairs.map(|pair| {
                    let (label, value) = pair.split_once('=').ok_or_else(cannot)?;
                    Ok((label.to_owned(), value.trim_matches('"').to_owned()))
                });
                let labels = labels.collect::<Fallible<_>>()?;
                scrape.samples.push(Sample { name: name.to_owned(), labels, value: value.parse()? });
            }
        }
        Ok(scrape)
    }

    /// The metric that a sample belongs to: of a histogram without the ending.
    fn metric_of<'a>(&self, sample: &'a str) -> &'a str {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|ending| sample.strip_suffix(ending));
        base.filter(|base| self.kinds.get(*base).is_some_and(|kind| kind == "histogram")).unwrap_or(sample)
    }

    /// The sum over all series with these labels, given as `step=reserve-stock,verdict=done`.
    fn sum(&self, name: &str, labels: &str) -> f64 {
        let wanted: Vec<(&str, &str)> = labels.split(',').filter_map(|pair| pair.split_once('=')).collect();
        let fits = |sample: &&Sample| {
            sample.name == name
                && wanted.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|it| it == value))
        };
        self.samples.iter().filter(fits).map(|sample| sample.value).sum()
    }
}

/// The rows of the page's tables.
fn documented() -> BTreeMap<String, Shape> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    let shape = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 7, "five cells: {line}");
        let labels = cells[3].split(',').map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned);
        (cells[1].trim_matches('`').to_owned(), Shape { kind: cells[2].to_owned(), labels: labels.collect() })
    };
    rows.map(shape).collect()
}

fn holds_an_id(value: &str) -> bool {
    value.split(|c: char| !c.is_ascii_hexdigit() && c != '-').any(|part| part.parse::<Uuid>().is_ok())
}

/// A confirmed order of a wallet and one of a card, a declined one, one that is out of stock, one that its customer cancels
/// before it is charged; a message that nobody can read, and one that comes twice.
async fn play(world: &World) -> Outcome {
    let wallet = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    let card = world.place(&order("berta", MUG, 1, "pm_card_visa")).await?.id;
    for id in [wallet, card] {
        world.ends(id, OrderStatus::Confirmed).await?;
        world.client.wait_closed(id, LIMIT).await?;
    }
    for refused in [order(POOR, MUG, 1, "wallet"), order("anna", TEAPOT, 1, "wallet")] {
        let id = world.place(&refused).await?.id;
        world.ends(id, OrderStatus::Cancelled).await?;
    }
    let slow = world.client.clone().with_faults(Some("payment-svc/before-begin@stock.reserved=hold".to_owned()));
    let unwanted = slow.place_order(&order("anna", MUG, 1, "wallet"), None, None).await?.order.id;
    eventually("the reservation", || async { Ok((world.client.stock(MUG).await?.reserved == 1).then_some(())) })
        .await?;
    world.client.cancel(unwanted).await?;
    world.ends(unwanted, OrderStatus::Cancelled).await?;
    eventually("the charge is let go", || async {
        Ok((world.client.release(Service::Payment, unwanted).await? > 0).then_some(()))
    })
    .await?;

    let wire = Wire::connect(world.stack.amqp_url()).await?;
    assert!(wire.send("", "inventory.events", properties("order.placed.v1", Uuid::now_v7().into()), b"{").await?);
    let said = wire.take_all("saga.tap").await?;
    let placed = said.iter().find(|it| it.event_type == "order.placed.v1" && it.saga_id == Some(wallet.into()));
    let placed = placed.ok_or("order.placed is in the tap")?;
    assert!(wire.send(&placed.exchange, &placed.routing_key, placed.properties.clone(), &placed.body).await?);
    Ok(())
}

#[tokio::test]
async fn metrics_are_the_documented_ones_and_count_what_happened() -> Outcome {
    let world = World::with(StackOptions::unique().env_all("TAP", true).env_all("FAULTS", "on")).await?;
    play(&world).await?;
    let told = |scrape: &Scrape| {
        (scrape.sum("saga_parked_messages", ""), scrape.sum("saga_duplicates_total", "step=reserve-stock"))
    };
    eventually("what was set aside and what came twice", || async {
        Ok((told(&Scrape::of(&world, Service::Inventory).await?) == (1.0, 1.0)).then_some(()))
    })
    .await?;
    eventually("the action behind its undo", || async {
        let fenced = Scrape::of(&world, Service::Payment).await?.sum("saga_fenced_total", "step=charge-payment");
        Ok((fenced == 1.0).then_some(()))
    })
    .await?;
    world.assert_consistent_with(ExpectedParked::Count(1)).await?;

    let mut served: BTreeMap<String, Shape> = BTreeMap::new();
    let mut scrapes = BTreeMap::new();
    for service in Service::ALL {
        let scrape = Scrape::of(&world, service).await?;
        for sample in &scrape.samples {
            let metric = scrape.metric_of(&sample.name);
            let kind = scrape.kinds.get(metric).cloned().unwrap_or_default();
            assert!(scrape.help.get(metric).is_some_and(|help| help.ends_with('.')), "{metric} has a sentence");
            let shape = served.entry(metric.to_owned()).or_default();
            shape.kind = kind;
            shape.labels.extend(sample.labels.keys().filter(|label| *label != "le").cloned());
            for value in sample.labels.values() {
                assert!(!holds_an_id(value), "{} has the label value {value}", sample.name);
            }
        }
        scrapes.insert(service.name(), scrape);
    }
    assert_eq!(served, documented(), "what is served, and what docs/metrics.md lists");

    let expected: &[(&str, &str, &str, f64)] = &[
        ("order", "order_placed_total", "", 5.0),
        ("order", "order_confirmed_total", "", 2.0),
        ("order", "order_cancelled_total", "reason=payment.declined", 1.0),
        ("order", "order_cancelled_total", "reason=stock.rejected", 1.0),
        ("order", "order_cancelled_total", "reason=customer", 1.0),
        ("order", "order_cancelled_total", "", 3.0),
        ("order", "order_duration_seconds_count", "outcome=confirmed", 2.0),
        ("order", "order_duration_seconds_count", "outcome=cancelled", 3.0),
        ("order", "order_in_flight", "", 0.0),
        ("order", "saga_steps_total", "step=place-order,verdict=done", 5.0),
        ("order", "saga_steps_total", "step=place-order,verdict=undone", 3.0),
        ("order", "saga_publish_to_commit_seconds_count", "step=confirm-order", 2.0),
        ("order", "saga_publish_to_commit_seconds_count", "step=compensate", 2.0),
        ("order", "saga_announcements_open", "", 0.0),
        ("inventory", "saga_steps_total", "step=reserve-stock,verdict=done", 4.0),
        ("inventory", "saga_steps_total", "step=reserve-stock,verdict=rejected", 1.0),
        ("inventory", "saga_steps_total", "step=reserve-stock,verdict=undone", 2.0),
        ("inventory", "saga_steps_total", "step=commit-stock,verdict=done", 2.0),
        ("inventory", "saga_steps_total", "step=compensate,verdict=nothing-to-undo", 1.0),
        ("inventory", "saga_compensation_duration_seconds_count", "outcome=undone", 2.0),
        ("inventory", "saga_publish_to_commit_seconds_count", "step=reserve-stock", 5.0),
        ("inventory", "saga_publish_to_commit_seconds_count", "step=compensate", 3.0),
        ("inventory", "saga_parked_total", "step=reserve-stock", 1.0),
        ("inventory", "saga_outbox_messages", "", 0.0),
        ("payment", "saga_steps_total", "step=charge-payment,verdict=done", 2.0),
        ("payment", "saga_steps_total", "step=charge-payment,verdict=intent", 1.0),
        ("payment", "saga_steps_total", "step=charge-payment,verdict=rejected", 1.0),
        ("payment", "saga_steps_total", "step=compensate,verdict=fenced", 2.0),
        ("payment", "saga_call_duration_seconds_count", "step=charge-payment,phase=call", 1.0),
        ("payment", "saga_jobs_unknown", "", 0.0),
        ("payment", "saga_database_up", "", 1.0),
        ("payment", "saga_broker_connected", "", 2.0),
        ("payment", "saga_consumers_subscribed", "", 3.0),
        ("payment", "payment_provider_breaker_state", "state=closed", 1.0),
        ("notification", "saga_steps_total", "step=notify,verdict=done", 5.0),
    ];
    for (service, name, labels, value) in expected {
        assert_eq!(scrapes[service].sum(name, labels), *value, "{service}: {name}{{{labels}}}");
    }
    for scrape in scrapes.values() {
        let published = scrape.sum("saga_published_total", "");
        let units = scrape.sum("saga_commit_to_publish_seconds_count", "");
        assert!(units <= published && (units > 0.0) == (published > 0.0), "{units} units, {published} messages");
    }
    Ok(())
}

#[test]
fn an_id_in_a_label_would_be_noticed() {
    assert!(holds_an_id("notify:01a2007a-5c78-71fc-875b-1cd4b7bd1a8b"));
    assert!(!holds_an_id("reserve-stock"));
}
