//! Many orders for the same few articles, over two replicas of which one is killed: nothing is lost, nothing is done
//! twice, and nobody waits for somebody who waits for them.

use super::{Inventory, Outcome, confirmed, placed};
use saga_common::SagaId;
use sagactl::client::Service;
use std::collections::{BTreeMap, BTreeSet};

const ORDERS: usize = 600;
/// Of the first there are 500 only; orders for the teapot are refused.
const ARTICLES: [&str; 5] = ["GRINDER-HAND", "MUG-STONE", "SCALE-01", "TEA-SENCHA-100", "TEAPOT-CAST"];

/// What becomes of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is confirmed once it has its stock.
    Wanted,
    /// It fails, before it is placed or after.
    Doomed { first: bool },
}

fn fate(n: usize) -> Fate {
    if n.is_multiple_of(3) { Fate::Doomed { first: n.is_multiple_of(2) } } else { Fate::Wanted }
}

/// Two or three lines, in changing order; one order in forty is for the teapot.
fn lines(n: usize) -> Vec<(&'static str, i64)> {
    let (first, second, third) = (n % 4, (n / 4 + 1) % 4, (n / 16 + 2) % 4);
    let quantity = i64::try_from(n % 5 + 1).unwrap_or(1);
    let mut lines = vec![(ARTICLES[first], quantity), (ARTICLES[second], 1), (ARTICLES[third], 2)];
    if n.is_multiple_of(40) {
        lines.push((ARTICLES[4], 1));
    }
    lines
}

#[tokio::test]
async fn a_storm_over_two_replicas_loses_nothing_and_does_nothing_twice() -> Outcome {
    let mut inventory = Inventory::up_as(2).await?;
    let orders: Vec<(SagaId, Fate)> = (0..ORDERS).map(|n| (SagaId::new(), fate(n))).collect();
    for (n, (saga_id, fate)) in orders.iter().enumerate() {
        if *fate == (Fate::Doomed { first: true }) {
            inventory.wire.fails(*saga_id).await?;
        }
        inventory.wire.say(*saga_id, &placed(*saga_id, &lines(n))?).await?;
        if *fate == (Fate::Doomed { first: false }) {
            inventory.wire.fails(*saga_id).await?;
        }
        if n == ORDERS / 2 {
            inventory.stack.kill9((Service::Inventory, 1)).await?;
        }
    }
    inventory.stack.start((Service::Inventory, 1)).await?;

    let fates: BTreeMap<SagaId, Fate> = orders.iter().copied().collect();
    let mut open: BTreeSet<SagaId> = fates.keys().copied().collect();
    let mut said: BTreeMap<(SagaId, String), serde_json::Value> = BTreeMap::new();
    while !open.is_empty() {
        let heard = inventory.wire.listen().await.map_err(|error| format!("{error}; {} open", open.len()))?;
        let key = (heard.saga_id, heard.event_type.clone());
        // A repeated publication is the same message; another one of its type would be a second effect.
        let again = said.insert(key, heard.body.clone());
        assert!(again.is_none_or(|before| before == heard.body), "{} said twice", heard.event_type);
        match (heard.event_type.as_str(), fates[&heard.saga_id]) {
            ("stock.reserved.v1", Fate::Wanted) => {
                inventory.wire.say(heard.saga_id, &confirmed(heard.saga_id)).await?;
            }
            ("stock.committed.v1" | "saga.compensated.v1", _) => {
                open.remove(&heard.saga_id);
            }
            _ => {}
        }
    }
    inventory.rests().await?;
    assert_eq!(inventory.count("select count(*) from saga.waiting").await?, 0);
    assert_eq!(inventory.count("select coalesce(sum(reserved), 0)::bigint from stock").await?, 0);
    let bought = said.keys().filter(|(_, event_type)| event_type == "stock.committed.v1").count();
    assert_eq!(
        inventory.count("select count(distinct order_id) from reservations where state = 'sold'").await?,
        i64::try_from(bought)?
    );
    for replica in 0..2 {
        let log = std::fs::read_to_string(inventory.stack.log((Service::Inventory, replica))?)?;
        assert!(!log.contains("run one by one"), "a batch failed:\n{log}");
    }
    inventory.stack.stop().await;
    Ok(())
}
