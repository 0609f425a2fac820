//! Orders that are read from memory: fast, and never older than they may be.

use crate::world::{Fallible, MUG, Outcome, World, order};
use futures::future::join_all;
use reqwest::{Client, Response};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::{Servers, StackOptions, eventually};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use uuid::Uuid;

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
    never_too_old(StackOptions::unique()).await
}

#[tokio::test]
async fn nor_is_one_that_shares_what_it_reads_through_redis() -> Outcome {
    let redis = Redis::start().await?;
    never_too_old(StackOptions::unique().env(Service::Order, "REDIS_URL", &redis.url)).await
}

async fn never_too_old(options: StackOptions) -> Outcome {
    let world = World::with(options.replicas(Service::Order, 2)).await?;
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
    let before = metric(&http, &base, "order_reads_total").await?;
    let url = format!("{base}/orders/{id}");
    let begun = std::time::Instant::now();
    let crowd = join_all((0..300).map(|_| get(&http, &url, None))).await;
    let seconds = begun.elapsed().as_secs_f64();
    for answer in crowd {
        assert_eq!(answer?.status(), 200);
    }
    // One a second, and one for the second that had begun.
    let cost = metric(&http, &base, "order_reads_total").await? - before;
    assert!(cost <= seconds + 2.0, "{cost} reads in {seconds} s");
    world.assert_consistent().await
}

async fn metric(http: &Client, base: &str, name: &str) -> Fallible<f64> {
    let text = http.get(format!("{base}/metrics")).send().await?.text().await?;
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    Ok(text.lines().find_map(value).unwrap_or(0.0))
}

/// One Redis for what the replicas have read.
struct Redis {
    url: String,
    address: String,
    process: Option<Child>,
}

impl Redis {
    async fn start() -> Fallible<Self> {
        let port = Servers::shared().await?.take_port()?;
        let mut redis =
            Self { url: format!("redis://127.0.0.1:{port}"), address: format!("127.0.0.1:{port}"), process: None };
        redis.run().await?;
        Ok(redis)
    }

    async fn run(&mut self) -> Outcome {
        let port = self.address.rsplit(':').next().unwrap_or_default();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.process = Some(
            process.map_err(|error| format!("redis-server is not there (apt-get install redis-server): {error}"))?,
        );
        eventually("Redis answers", || async { Ok(self.tell("PING").await.ok().filter(|it| it == "+PONG")) }).await?;
        Ok(())
    }

    async fn signal(&self, name: &str) -> Outcome {
        let pid = self.process.as_ref().and_then(Child::id).ok_or("it does not run")?;
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().await?;
        assert!(sent.success());
        Ok(())
    }

    /// One command, as a person would type it.
    async fn tell(&self, command: &str) -> Fallible<String> {
        let mut connection = BufReader::new(TcpStream::connect(&self.address).await?);
        connection.write_all(format!("{command}\r\n").as_bytes()).await?;
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        Ok(line.trim_end().to_owned())
    }
}

#[tokio::test]
async fn what_one_replica_has_read_another_need_not_unless_redis_is_silent() -> Outcome {
    let mut redis = Redis::start().await?;
    // Longer than a slow machine takes: what the usual times are for is tested above.
    let settings = [("READ_CACHE_MS", "600000"), ("REDIS_TIMEOUT_MS", "2000"), ("REDIS_URL", &redis.url)];
    let options = StackOptions::unique().replicas(Service::Order, 2);
    let options = settings.iter().fold(options, |options, (name, value)| options.env(Service::Order, name, value));
    let world = World::with(options).await?;
    let http = world.stack.http();
    let (here, there) = (world.stack.url(Service::Order)?, world.stack.url((Service::Order, 1))?);
    let placed = world.place_all(&[(); 4].map(|()| order("anna", MUG, 1, "wallet"))).await?;
    // Not over HTTP, where they would be remembered as they are on the way.
    let database = world.database(Service::Order).await?;
    eventually("all orders are closed", || async {
        let open = database.query_one("select count(*) from orders where closed_at is null", &[]).await?;
        Ok((open.get::<_, i64>(0) == 0).then_some(()))
    })
    .await?;
    let cost_there = async |id: Uuid| -> Fallible<f64> {
        let first: Value = get(&http, &format!("{here}/orders/{id}"), None).await?.json().await?;
        let before = metric(&http, &there, "order_reads_total").await?;
        let second: Value = get(&http, &format!("{there}/orders/{id}"), None).await?.json().await?;
        assert_eq!(first, second);
        Ok(metric(&http, &there, "order_reads_total").await? - before)
    };
    assert_eq!(cost_there(placed[0]).await?, 0.0, "the other replica has read it");
    redis.signal("STOP").await?;
    assert_eq!(cost_there(placed[1]).await?, 1.0, "Redis takes requests and answers none");
    redis.signal("CONT").await?;
    redis.tell("SHUTDOWN NOSAVE").await?;
    assert_eq!(cost_there(placed[2]).await?, 1.0, "there is no Redis");
    redis.run().await?;
    let misses = "order_shared_reads_total{outcome=\"miss\"}";
    for replica in [&here, &there] {
        let before = metric(&http, replica, misses).await?;
        eventually("the replica asks Redis again", || async {
            get(&http, &format!("{replica}/orders/{}", Uuid::now_v7()), None).await?;
            Ok((metric(&http, replica, misses).await? > before).then_some(()))
        })
        .await?;
    }
    assert_eq!(cost_there(placed[3]).await?, 0.0, "Redis is back");
    world.assert_consistent().await
}
