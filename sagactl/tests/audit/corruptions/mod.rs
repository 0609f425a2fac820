//! The auditor is tested itself: on a real system at rest, every lie is found, by exactly the checks that should find it, and
//! nothing is found any more once it is taken back.

use std::collections::{BTreeMap, BTreeSet};

use sagactl::audit::{AuditConfig, AuditReport, Database, ExpectedParked};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::ledger::Ledger;
use crate::stage::{Fallible, Stage};

mod clients;
mod engine;
mod money;
mod orders;
mod returns;
mod stock;

/// A change that no correct system makes.
struct Corruption {
    /// Of the 13, the one that it breaks.
    invariant: u8,
    name: &'static str,
    lie: Lie,
    /// The checks that must find it, and no others; with `?` after the name of one that only warns.
    found_by: &'static [&'static str],
}

enum Lie {
    /// Told by SQL, which may name orders as `{wallet}`.
    Sql(Database, &'static str),
    /// Told by the provider.
    Ledger(fn(Ledger, &Stage) -> Ledger),
    /// What clients say otherwise.
    History(fn(Vec<Value>, &Stage) -> Vec<Value>),
    /// A message that nobody has taken, in this queue.
    Queue(&'static str),
    /// So many connections, each with this done on it.
    Connections(usize, &'static str),
    /// What is expected is not there.
    Expected(fn(AuditConfig) -> AuditConfig),
}

const fn sql(
    invariant: u8,
    name: &'static str,
    (database, sql): (Database, &'static str),
    found_by: &'static [&'static str],
) -> Corruption {
    Corruption { invariant, name, lie: Lie::Sql(database, sql), found_by }
}

/// The families of lies, each with the test that tells them: a family that no test tells cannot be listed.
macro_rules! families {
    ($($family:ident $told_by:ident)*) => {
        fn corruptions() -> impl Iterator<Item = &'static Corruption> {
            [$($family::ALL),*].into_iter().flatten()
        }

        $(
            #[tokio::test]
            async fn $told_by() -> Fallible<()> {
                each_is_found_and_nothing_once_it_is_taken_back($family::ALL).await
            }
        )*
    };
}

families! {
    stock every_corruption_of_stock_is_found_and_nothing_once_it_is_taken_back
    money every_corruption_of_money_is_found_and_nothing_once_it_is_taken_back
    orders every_corruption_of_orders_is_found_and_nothing_once_it_is_taken_back
    returns every_corruption_of_returns_is_found_and_nothing_once_it_is_taken_back
    engine every_corruption_of_the_engine_is_found_and_nothing_once_it_is_taken_back
    clients every_corruption_of_what_clients_know_is_found_and_nothing_once_it_is_taken_back
}

/// Tells these lies one by one, each to a clean system of its own.
async fn each_is_found_and_nothing_once_it_is_taken_back(corruptions: &[Corruption]) -> Fallible<()> {
    let stage = Stage::set().await?;
    let clean = stage.audit(&stage.config).await?;
    assert_eq!(found(&clean), BTreeSet::new(), "{clean}");

    let mut mistaken = Vec::new();
    for corruption in corruptions {
        let report = corruption.tell(&stage).await.map_err(|error| format!("{}: {error}", corruption.name))?;
        let expected: BTreeSet<String> = corruption.found_by.iter().map(|name| (*name).to_owned()).collect();
        if found(&report) != expected {
            mistaken.push(format!(
                "{}\n  expected {expected:?}\n  found {:?}\n{report}",
                corruption.name,
                found(&report)
            ));
        }
    }
    assert!(mistaken.is_empty(), "{} of {}:\n\n{}", mistaken.len(), corruptions.len(), mistaken.join("\n\n"));

    let restored = stage.audit(&stage.config).await?;
    assert_eq!(found(&restored), BTreeSet::new(), "{restored}");
    assert_eq!(restored.counts, clean.counts);
    assert_eq!(restored.checks.len(), clean.checks.len());
    Ok(())
}

#[tokio::test]
async fn each_invariant_is_broken_and_each_check_finds_something() -> Fallible<()> {
    let stage = Stage::set().await?;
    let clean = stage.audit(&stage.config).await?;
    assert_eq!(
        (clean.counts["orders"], clean.counts["orders confirmed"], clean.counts["provider intents"]),
        (11, 2, 5)
    );
    assert_nothing_is_untested(&clean);
    Ok(())
}

/// Each invariant is broken by something, and each check finds something.
fn assert_nothing_is_untested(report: &AuditReport) {
    let mut broken: BTreeMap<u8, usize> = BTreeMap::new();
    for corruption in corruptions() {
        *broken.entry(corruption.invariant).or_default() += 1;
    }
    assert_eq!(broken.keys().copied().collect::<Vec<u8>>(), (1..=13).collect::<Vec<u8>>());
    let tested: BTreeSet<&str> = corruptions().flat_map(|corruption| corruption.found_by).copied().collect();
    let checks = report.checks.iter().map(|check| check.name.clone());
    let all = checks.chain(report.warnings.iter().map(|check| format!("{}?", check.name)));
    assert_eq!(all.filter(|name| !tested.contains(name.as_str())).collect::<Vec<String>>(), Vec::<String>::new());
    let names: BTreeSet<&str> = corruptions().map(|corruption| corruption.name).collect();
    assert_eq!(names.len(), corruptions().count(), "each has a name of its own");
}

fn found(report: &AuditReport) -> BTreeSet<String> {
    let failed = report.failed().map(|check| check.name.clone());
    failed.chain(report.warned().map(|check| format!("{}?", check.name))).collect()
}

impl Corruption {
    /// Tells the lie, has it audited, and takes it back.
    async fn tell(&self, stage: &Stage) -> Fallible<AuditReport> {
        let config = &stage.config;
        match &self.lie {
            Lie::Sql(database, sql) => {
                stage.sql(*database, sql).await?;
                let report = stage.audit(config).await?;
                stage.restore(*database).await?;
                Ok(report)
            }
            Lie::Ledger(lie) => {
                stage.provider_shows(lie(stage.ledger.clone(), stage));
                let report = stage.audit(config).await?;
                stage.provider_shows(stage.ledger.clone());
                Ok(report)
            }
            Lie::History(lie) => {
                stage.history_is(&lie(stage.history.clone(), stage))?;
                let report = stage.audit(config).await?;
                stage.history_is(&stage.history)?;
                Ok(report)
            }
            Lie::Queue(queue) => {
                stage.put(queue).await?;
                let report = stage.audit(config).await?;
                stage.purge(queue).await?;
                Ok(report)
            }
            Lie::Connections(count, sql) => {
                let mut open = Vec::new();
                for _ in 0..*count {
                    let connection = stage.connect(Database::Payment).await?;
                    connection.batch_execute(sql).await?;
                    open.push(connection);
                }
                let report = stage.audit(config).await?;
                stage.restore(Database::Payment).await?;
                Ok(report)
            }
            Lie::Expected(lie) => stage.audit(&lie(config.clone())).await,
        }
    }
}

/// A message that should be parked.
fn with_poison(config: AuditConfig) -> AuditConfig {
    AuditConfig { parked: ExpectedParked::Messages(vec![Uuid::from_u128(7)]), ..config }
}

/// A line of the history about the order of this name.
fn line(stage: &Stage, what: &str, name: &str, more: Value) -> Value {
    let mut line = json!({ "what": what, "order": stage.id(name) });
    if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
    line
}
