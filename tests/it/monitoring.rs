//! What `deploy/prometheus` and `deploy/grafana` ask for is there: Debian's own Prometheus reads what a stack serves, and every query
//! of every dashboard and alert is asked.

use crate::watching::Auditor;
use crate::world::{Fallible, LIMIT, MUG, Outcome, POOR, TEAPOT, World, order};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::eventually;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};
use uuid::Uuid;

const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yml");
const ALERT_TESTS: &str = include_str!("../../deploy/prometheus/alerts.test.yml");

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

async fn promtool(arguments: &[&str], file: PathBuf) -> Outcome {
    let told = Command::new("promtool").args(arguments).arg(file).output().await;
    let told = told.map_err(|error| format!("promtool is not installed (apt-get install prometheus): {error}"))?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    if told.status.success() { Ok(()) } else { Err(text.into()) }
}

#[tokio::test]
async fn the_configuration_and_the_rules_are_valid() -> Outcome {
    promtool(&["check", "config"], deploy("prometheus/prometheus.yml")).await?;
    promtool(&["check", "rules"], deploy("prometheus/alerts.yml")).await
}

#[tokio::test]
async fn each_alert_fires_when_it_should_and_not_when_it_should_not() -> Outcome {
    promtool(&["test", "rules"], deploy("prometheus/alerts.test.yml")).await?;
    let named = |line: &'static str| line.trim().strip_prefix("- alert: ");
    for alert in ALERTS.lines().filter_map(named) {
        let quiet = ALERT_TESTS.contains(&format!("alertname: {alert} }}"));
        let behind = format!("alertname: {alert}\n");
        let loud = ALERT_TESTS.split(&behind).skip(1).any(|rest| rest.trim_start().starts_with("exp_alerts:"));
        assert!(quiet && loud, "{alert} is tested both ways");
    }
    Ok(())
}

/// A Prometheus of the test's own, which reads this stack's services each second.
struct Prometheus {
    url: String,
    http: reqwest::Client,
    _process: Child,
    _auditor: Auditor,
}

impl Prometheus {
    async fn of(world: &World) -> Fallible<Self> {
        let port = world.stack.servers().take_port()?;
        let folder = world.stack.servers().data().join(format!("prometheus-{port}"));
        tokio::fs::create_dir_all(&folder).await?;
        let mut config = tokio::fs::read_to_string(deploy("prometheus/prometheus.yml")).await?.replace("5s", "1s");
        let broker = world.stack.servers().broker_metrics_url().ok_or("the broker is none of ours")?;
        let auditor = Auditor::of(world)?;
        let mut targets =
            vec![("rabbitmq:15692".to_owned(), broker), ("auditor:9300".to_owned(), auditor.address.clone())];
        for (service, port) in [
            (Service::Order, 8080),
            (Service::Payment, 8081),
            (Service::Inventory, 8082),
            (Service::Notification, 8083),
        ] {
            targets.push((format!("{}-svc:{port}", service.name()), world.stack.url(service)?));
        }
        for (target, url) in targets {
            assert!(config.contains(&target), "{target}");
            config = config.replace(&target, url.trim_start_matches("http://").trim_end_matches("/metrics"));
        }
        tokio::fs::write(folder.join("prometheus.yml"), config).await?;
        tokio::fs::write(folder.join("alerts.yml"), ALERTS).await?;
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=warn")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("prometheus is not installed (apt-get install prometheus): {error}"))?;
        let prometheus = Self {
            url: format!("http://127.0.0.1:{port}/api/v1"),
            http: reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?,
            _process: process,
            _auditor: auditor,
        };
        eventually("Prometheus", || async {
            let up = prometheus.query("sum(up)").await.unwrap_or_default();
            Ok((up.first().is_some_and(|up| *up == 6.0)).then_some(()))
        })
        .await?;
        Ok(prometheus)
    }

    /// The values that an expression comes to now.
    async fn query(&self, expression: &str) -> Fallible<Vec<f64>> {
        let asked = self.http.get(format!("{}/query", self.url)).query(&[("query", expression)]);
        let answer: Value = asked.send().await?.json().await?;
        if answer["status"] != "success" {
            return Err(format!("{expression}: {answer}").into());
        }
        let series = answer["data"]["result"].as_array().ok_or("no result")?;
        series.iter().map(|it| Ok(it["value"][1].as_str().ok_or("no value")?.parse()?)).collect()
    }

    /// The name and the expression of each alert that it has loaded.
    async fn alerts(&self) -> Fallible<Vec<(String, String)>> {
        let answer: Value = self.http.get(format!("{}/rules", self.url)).send().await?.json().await?;
        let groups = answer["data"]["groups"].as_array().ok_or("no groups")?;
        let rules = groups.iter().filter_map(|group| group["rules"].as_array()).flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(rules.map(|rule| (text(&rule["name"]), text(&rule["query"]))).collect())
    }
}

/// Every dashboard's expressions, with Grafana's variables filled in.
fn dashboards() -> Fallible<Vec<(String, String)>> {
    let mut asked = Vec::new();
    for entry in std::fs::read_dir(deploy("grafana/dashboards"))? {
        let board: Value = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
        let ids: BTreeSet<u64> =
            board["panels"].as_array().ok_or("no panels")?.iter().filter_map(|p| p["id"].as_u64()).collect();
        assert_eq!(ids.len(), board["panels"].as_array().map_or(0, Vec::len), "each panel has an id of its own");
        for panel in board["panels"].as_array().ok_or("no panels")? {
            assert_eq!(panel["datasource"]["uid"], "prometheus");
            for target in panel["targets"].as_array().ok_or("no targets")? {
                let expression = target["expr"].as_str().ok_or("no expression")?;
                let filled = expression.replace("$__rate_interval", "1m").replace("$job", ".*");
                assert!(!filled.contains('$'), "{filled}");
                asked.push((format!("{}: {}", board["title"], panel["title"]), filled));
            }
        }
    }
    Ok(asked)
}

/// Names of metrics in an expression: what is followed by labels, a range or nothing, and is no word of the language.
fn metrics_in(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| *word == "up" || ["saga_", "order_", "payment_"].iter().any(|of| word.starts_with(of)))
        .collect()
}

/// One order of each kind, and a return.
async fn mix(world: &World) -> Outcome {
    let mut confirmed: Vec<Uuid> = Vec::new();
    for method in ["wallet", "pm_card_visa"] {
        confirmed.push(world.place(&order("anna", MUG, 1, method)).await?.id);
    }
    for id in &confirmed {
        world.ends(*id, OrderStatus::Confirmed).await?;
        world.client.wait_closed(*id, LIMIT).await?;
        for status in [OrderStatus::Shipped, OrderStatus::Delivered] {
            world.client.set_order_status(*id, &status).await?;
        }
        world.client.return_order(*id).await?;
        world.client.wait_returned(*id, LIMIT).await?;
    }
    for refused in [
        order(POOR, MUG, 1, "wallet"),
        order("anna", TEAPOT, 1, "wallet"),
        order("anna", MUG, 1, "pm_card_chargeDeclined"),
    ] {
        let id = world.place(&refused).await?.id;
        world.ends(id, OrderStatus::Cancelled).await?;
    }
    Ok(())
}

#[tokio::test]
async fn every_query_of_every_dashboard_and_alert_is_answered() -> Outcome {
    let world = World::start().await?;
    let prometheus = Prometheus::of(&world).await?;
    mix(&world).await?;
    world.assert_consistent().await?;
    eventually("the orders are counted, as a rate too", || async {
        let rate = prometheus.query("sum(rate(order_cancelled_total[1m])) > 0").await?;
        let mails = prometheus.query("sum(rate(notification_mails_total[1m])) > 0").await?;
        Ok((!rate.is_empty() && !mails.is_empty()).then_some(()))
    })
    .await?;
    for (panel, expression) in dashboards()? {
        let values = prometheus.query(&expression).await?;
        assert!(values.iter().any(|value| value.is_finite()), "{panel} shows nothing: {expression} is {values:?}");
    }
    let alerts = prometheus.alerts().await?;
    assert_eq!(alerts.len(), ALERTS.matches("- alert: ").count());
    for (alert, expression) in alerts {
        let firing = prometheus.query(&expression).await?;
        assert!(firing.is_empty(), "{alert} in a healthy stack: {expression} is {firing:?}");
        let metrics = metrics_in(&expression);
        assert!(!metrics.is_empty(), "{alert}: {expression}");
        for metric in metrics {
            assert!(!prometheus.query(metric).await?.is_empty(), "{alert} looks at {metric}, which nobody serves");
        }
    }
    Ok(())
}
