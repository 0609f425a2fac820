//! The crash matrix: every fault point of every service with a crash, and every undo edge with a crash before and after its
//! commit, in one running system. It takes minutes, and waits for most of them: so it comes early among its neighbours.

use crate::world::Outcome;
use sagactl::client::Service;
use sagactl::matrix::{self, MatrixOptions};
use sagactl::stack::{Stack, StackOptions};

/// Longer than any order takes that is hit by a crash: here only faults end orders, not the clock.
const DEADLINE_MS: u32 = 120_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_point_survives_a_crash_and_every_undo_edge_runs() -> Outcome {
    let options = StackOptions::unique().supervise(true).env_all("FAULTS", "on");
    let stack = Stack::up(options.env(Service::Order, "DEADLINE_MS", DEADLINE_MS)).await?;
    let options = MatrixOptions { actions: vec!["crash".to_owned()], ..MatrixOptions::default() };
    let report = matrix::run(&stack, &options, &|line| println!("{line}")).await?;
    println!("{}", report.text());
    assert!(report.is_clean(), "{}", report.text());
    assert!(report.restarts >= report.passed, "a crash that ended nothing is none");
    Ok(())
}
