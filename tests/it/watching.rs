//! `sagactl audit --watch` on a system at work: as the compose file runs it, beside the services.

use crate::world::{COFFEE, Fallible, LIMIT, MUG, Outcome, World, order};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::eventually;
use serde_json::Value;
use std::process::Stdio;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// An auditor that watches this stack, with a token from a file.
pub(crate) struct Auditor {
    pub(crate) address: String,
    process: Child,
}

impl Auditor {
    pub(crate) fn of(world: &World) -> Fallible<Self> {
        let address = format!("127.0.0.1:{}", world.stack.servers().take_port()?);
        let mut command = world.sagactl()?;
        command.args(["audit", "--watch", "--json", "--interval-seconds", "1", "--stuck-after-seconds", "2"]);
        command
            .args(["--metrics-listen", &address])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        command.env_remove("ORDERSAGA_TOKEN").env("ORDERSAGA_TOKEN_FILE", world.stack.operator_token_file());
        for (variable, service) in [
            ("ORDERS", Service::Order),
            ("INVENTORY", Service::Inventory),
            ("PAYMENT", Service::Payment),
            ("NOTIFICATION", Service::Notification),
        ] {
            command.env(format!("{variable}_DATABASE_URL"), world.stack.database_url(service));
        }
        Ok(Self { address, process: command.spawn()? })
    }

    /// Waits until one of its metrics is this.
    async fn tells(&self, metric: &str, value: u64) -> Outcome {
        let line = format!("{metric} {value}");
        eventually(&line, || async {
            let text = reqwest::get(format!("http://{}/metrics", self.address)).await?.text().await?;
            Ok(text.lines().any(|it| it == line).then_some(()))
        })
        .await
    }

    /// Ends it as an orchestrator does, and returns what it has printed.
    async fn ended(mut self) -> Fallible<Vec<Value>> {
        let pid = self.process.id().ok_or("it has ended by itself")?.to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await?.success());
        let mut printed = String::new();
        let mut output = self.process.stdout.take().ok_or("no output")?;
        timeout(LIMIT, output.read_to_string(&mut printed)).await??;
        assert!(timeout(LIMIT, self.process.wait()).await??.success());
        printed.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

async fn verdict(world: &World) -> Fallible<Option<Value>> {
    let answer = world.stack.http().get(format!("{}/audit", world.stack.url(Service::Order)?)).send().await?;
    Ok(if answer.status() == 404 { None } else { Some(answer.error_for_status()?.json().await?) })
}

#[tokio::test]
async fn a_watch_tells_what_contradicts_and_who_is_stuck_until_it_is_mended() -> Outcome {
    let world = World::faulty().await?;
    let auditor = Auditor::of(&world)?;
    auditor.tells("saga_audit_violations", 0).await?;
    let inventory = world.database(Service::Inventory).await?;
    inventory.execute("update stock set available = available + 1 where sku = $1", &[&MUG]).await?;
    auditor.tells("saga_audit_violations", 1).await?;
    eventually("the page has its verdict", || async {
        Ok(verdict(&world).await?.filter(|it| it["clean"] == false && it["told_by"] == "auditor").map(drop))
    })
    .await?;
    inventory.execute("update stock set available = available - 1 where sku = $1", &[&MUG]).await?;
    auditor.tells("saga_audit_violations", 0).await?;

    // While nobody answers, what the databases say is told all the same.
    world.stack.kill9(Service::Order).await?;
    inventory.execute("update stock set available = available + 1 where sku = $1", &[&COFFEE]).await?;
    auditor.tells("saga_audit_violations", 1).await?;
    inventory.execute("update stock set available = available - 1 where sku = $1", &[&COFFEE]).await?;
    auditor.tells("saga_audit_violations", 0).await?;
    world.stack.start(Service::Order).await?;

    let hold = "payment-svc/before-begin@stock.reserved=hold";
    let id = world.place_with(&order("anna", MUG, 1, "wallet"), hold).await?;
    auditor.tells("saga_audit_stuck_sagas", 1).await?;
    world.client.release(Service::Payment, id).await?;
    auditor.tells("saga_audit_stuck_sagas", 0).await?;
    world.ends(id, OrderStatus::Confirmed).await?;

    let rounds = auditor.ended().await?;
    let new: Vec<&str> =
        rounds.iter().filter_map(|it| it["new"].as_array()).flatten().filter_map(Value::as_str).collect();
    assert_eq!(new.len(), 2, "told once, however often it is found: {new:?}");
    for (new, sku) in new.iter().zip([MUG, COFFEE]) {
        assert!(new.starts_with(&format!("stock-balances: {sku}: ")), "{new}");
    }
    let stuck = rounds.iter().filter_map(|it| it["stuck"].as_array()).flatten().next().ok_or("nobody")?;
    assert_eq!(stuck["saga_id"], id.to_string());
    assert_eq!(stuck["waits_for"], "charge-payment at payment-svc to react to stock.reserved.v1");
    assert!(stuck["command"].as_str().is_some_and(|it| it.starts_with("sagactl saga show")), "{stuck}");
    world.assert_consistent().await
}
