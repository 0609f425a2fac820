//! Orders that are read from memory: fast, and never older than they may be.

use crate::world::{MUG, Outcome, World, order};
use futures::future::join_all;
use reqwest::{Client, Response};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::StackOptions;
use serde_json::{Value, json};
use std::time::Duration;

/// What no answer without `If-None-Match` may be older than.
const OLDEST: Duration = Duration::from_secs(1);

fn etag(answer: &Response) -> String {
    answer.headers()["etag"].to_str().unwrap_or_default().to_owned()
}

fn version(etag: &str) -> u64 {
    etag.trim_matches('"').parse().unwrap_or_default()
}

async fn get(http: &Client, url: &str, seen: Option<&str>) -> reqwest::Result<Response> {
    let request = http.get(url);
    seen.map_or(request.try_clone().expect("no body"), |seen| request.header("if-none-match", seen)).send().await
}

#[tokio::test]
async fn an_orders_version_grows_and_who_has_it_gets_no_body() -> Outcome {
    let world = World::start().await?;
    let http = world.stack.http();
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    let url = format!("{}/orders/{id}", world.stack.url(Service::Order)?);
    let first = etag(&get(&http, &url, None).await?);
    world.client.wait_closed(id, crate::world::LIMIT).await?;
    let mut last = first.clone();
    for status in ["shipped", "delivered"] {
        let moved = http.post(format!("{url}/status")).json(&json!({"status": status})).send().await?;
        assert_eq!(moved.status(), 200);
        let read = get(&http, &url, None).await?;
        let tag = etag(&read);
        assert!(version(&tag) > version(&last), "{tag} after {last}");
        assert_eq!(read.json::<Value>().await?["status"], status, "what a replica has changed itself it shows at once");
        last = tag;
    }
    let same = get(&http, &url, Some(&last)).await?;
    assert_eq!((same.status().as_u16(), etag(&same)), (304, last.clone()));
    assert!(same.text().await?.is_empty());
    let several = get(&http, &url, Some(&format!("{first}, W/{last}"))).await?;
    assert_eq!(several.status(), 304);
    assert_eq!(get(&http, &url, Some(&first)).await?.status(), 200, "an old version is not the latest");
    assert_eq!(get(&http, &url, Some("\"999999\"")).await?.status(), 200, "nor is one that has never been");
    world.assert_consistent().await
}

#[tokio::test]
async fn a_replica_that_was_told_nothing_is_never_older_than_a_second_or_than_what_the_caller_has_seen() -> Outcome {
    let world = World::with(StackOptions::unique().replicas(Service::Order, 2)).await?;
    let http = world.stack.http();
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    world.client.wait_closed(id, crate::world::LIMIT).await?;
    let here = format!("{}/orders/{id}", world.stack.url(Service::Order)?);
    let there = format!("{}/orders/{id}", world.stack.url((Service::Order, 1))?);
    let mut stale = 0;
    for status in ["shipped", "delivered"] {
        // The other replica has it in memory, as it was.
        let before = etag(&get(&http, &there, None).await?);
        let moved = http.post(format!("{here}/status")).json(&json!({"status": status})).send().await?;
        assert_eq!(moved.status(), 200);
        let now = etag(&get(&http, &here, None).await?);
        assert!(version(&now) > version(&before));
        stale += u32::from(etag(&get(&http, &there, None).await?) == before);
        let told = get(&http, &there, Some(&now)).await?;
        assert_eq!((told.status().as_u16(), etag(&told)), (304, now.clone()), "what the caller has seen is looked for");
        assert_eq!(etag(&get(&http, &there, None).await?), now, "and known from then on");
    }
    // Time itself is what is tested: nobody tells the other replica, and nobody asks it with a version.
    let before = etag(&get(&http, &there, None).await?);
    let returned = http.post(format!("{here}/return")).send().await?;
    assert_eq!(returned.status(), 202);
    tokio::time::sleep(OLDEST).await;
    assert!(version(&etag(&get(&http, &there, None).await?)) > version(&before), "a second later it knows by itself");
    println!("{stale} of 2 reads were answered with what was true before");
    world.client.wait_terminal(id, crate::world::LIMIT).await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn a_crowd_that_asks_for_one_order_costs_one_read() -> Outcome {
    let world = World::start().await?;
    let http = world.stack.http();
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    let base = world.stack.url(Service::Order)?;
    let reads = async || -> crate::world::Fallible<f64> {
        let text = http.get(format!("{base}/metrics")).send().await?.text().await?;
        Ok(text.lines().find_map(|line| line.strip_prefix("order_reads_total ")?.parse().ok()).unwrap_or(0.0))
    };
    let before = reads().await?;
    let url = format!("{base}/orders/{id}");
    let begun = std::time::Instant::now();
    let crowd = join_all((0..300).map(|_| get(&http, &url, None))).await;
    let seconds = begun.elapsed().as_secs_f64();
    for answer in crowd {
        assert_eq!(answer?.status(), 200);
    }
    // One a second, and one for the second that had begun.
    let cost = reads().await? - before;
    assert!(cost <= seconds + 2.0, "{cost} reads in {seconds} s");
    world.assert_consistent().await
}
