//! A short chaos run: a dozen kinds of fault, one seed, no contradiction at the end.

use crate::world::Outcome;
use sagactl::chaos::{Settings, kinds, run};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

const KINDS: [&str; 12] = [
    "kill-payment-svc",
    "freeze-inventory-svc",
    "close-all-connections",
    "unbind-failures",
    "end-transactions",
    "lock-rows",
    "broker-link-confirms-lost",
    "commit-unanswered",
    "duplicates-x10",
    "junk-unreadable",
    "crash-after-commit",
    "same-key-x10",
];

#[tokio::test]
async fn a_dozen_kinds_of_fault_in_half_a_minute_leave_no_contradiction() -> Outcome {
    let folder = std::env::temp_dir().join(format!("ordersaga-chaos-{}", Uuid::now_v7()));
    let settings = Settings {
        duration: Duration::from_secs(20),
        seed: 1,
        orders: 200,
        rate: 8.0,
        kinds: kinds::chosen(&KINDS.map(str::to_owned))?,
        pace: sagactl::chaos::Pace::Crowded,
        deadline: Duration::from_secs(10),
        folder: folder.clone(),
        programs: None,
        keep: false,
        command: String::new(),
    };
    let (_go_on, stop) = watch::channel(false);
    let report = run(&settings, stop, |line| eprintln!("{line}")).await?;
    if !report.clean {
        let failed: Vec<_> = report.failed().collect();
        let failed = serde_json::to_string_pretty(&failed)?;
        return Err(format!("evidence is in {}; the run found:\n{failed}", folder.display()).into());
    }
    assert!(report.totals["orders known to be placed"] > 0, "{:?}", report.totals);
    assert!(report.totals["faults that struck"] > 0, "{:?}", report.injections);
    assert!(std::fs::read_to_string(folder.join("report.html"))?.contains("0 violations"));
    assert!(!folder.join("data").exists(), "what is not evidence is not left behind");
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
