//! What a chaos run came to. The JSON form is all of it; the HTML shows it to people.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::injector::{CameTo, Injection};
use super::kinds::Kind;
use super::rest::Rest;
use crate::audit::{AuditReport, Check};

mod html;

pub use html::html;

/// Everything about one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Nothing contradicted anything.
    pub clean: bool,
    /// Why the run ended before its time, or could not be judged; empty as a rule.
    pub remarks: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// The command that does the same again.
    pub command: String,
    /// When orders began to flow.
    pub begun: DateTime<Utc>,
    /// How long faults were injected, in seconds.
    pub seconds: u64,
    /// What it ran on.
    pub machine: BTreeMap<String, String>,
    /// How many of everything.
    pub totals: BTreeMap<String, u64>,
    /// One line for each kind.
    pub kinds: Vec<KindLine>,
    /// Every fault, in the order in which they struck.
    pub injections: Vec<Injection>,
    /// Orders known to be placed in each second.
    pub placed_per_second: Vec<u64>,
    /// Orders that ended in each second.
    pub ended_per_second: Vec<u64>,
    /// How long things took after healing.
    pub rest: Rest,
    /// What the load client's history contradicts, and what did not come to rest.
    pub checks: Vec<Check>,
    /// What the databases and the provider's ledger contradict in each other.
    pub audit: AuditReport,
}

/// What a kind of fault came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KindLine {
    /// The kind.
    pub kind: String,
    /// Its group.
    pub group: String,
    /// What is done.
    pub does: String,
    /// What it stands for.
    pub stands_for: String,
    /// How often it struck.
    pub struck: usize,
    /// How often nothing came by that it could hit.
    pub missed: usize,
    /// How often it could not be injected.
    pub failed: usize,
    /// Recovery times of those that struck, in milliseconds: median, 99th percentile, longest.
    pub recovery_ms: Option<[u64; 3]>,
    /// Violating orders that were under way when it struck.
    pub suspected_of: usize,
}

impl Report {
    /// The checks that found something, of the audit and of the history.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().chain(&self.audit.checks).filter(|check| !check.passed)
    }

    /// How many contradictions there are.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.failed().map(|check| check.violations).sum()
    }
}

/// One line for each kind. `violating` are the orders that something is wrong with.
#[must_use]
pub fn lines(kinds: &[&'static Kind], injections: &[Injection], violating: &BTreeSet<Uuid>) -> Vec<KindLine> {
    let line = |kind: &&'static Kind| {
        let of_kind: Vec<&Injection> = injections.iter().filter(|it| it.kind == kind.name).collect();
        let count = |came_to| of_kind.iter().filter(|it| it.came_to == came_to).count();
        let mut times: Vec<u64> = of_kind.iter().filter_map(|it| it.recovered_after_ms).collect();
        times.sort_unstable();
        let near = |order: &&Uuid| of_kind.iter().any(|it| was_under_way(order, it));
        KindLine {
            kind: kind.name.to_owned(),
            group: kind.group.name().to_owned(),
            does: kind.does.to_owned(),
            stands_for: kind.stands_for.to_owned(),
            struck: count(CameTo::Struck),
            missed: count(CameTo::Missed),
            failed: count(CameTo::Failed),
            recovery_ms: percentiles(&times),
            suspected_of: violating.iter().filter(near).count(),
        }
    };
    kinds.iter().map(line).collect()
}

/// Median, 99th percentile and longest of sorted times.
#[must_use]
pub fn percentiles(sorted: &[u64]) -> Option<[u64; 3]> {
    let last = sorted.len().checked_sub(1)?;
    let at = |percent: usize| sorted[(last * percent).div_ceil(100)];
    Some([at(50), at(99), at(100)])
}

/// Whether an order of this id (a UUIDv7: it holds the time) was placed at most a minute before the fault ended.
fn was_under_way(order: &Uuid, injection: &Injection) -> bool {
    let Some(placed) = order.get_timestamp() else { return false };
    let (seconds, _) = placed.to_unix();
    let Ok(seconds) = i64::try_from(seconds) else { return false };
    let ended = injection.ended.timestamp();
    (ended - 60..=ended).contains(&seconds)
}

/// The orders that findings are about.
#[must_use]
pub fn orders_in<'a>(failed: impl Iterator<Item = &'a Check>) -> BTreeSet<Uuid> {
    let words = |check: &'a Check| check.findings.iter().flat_map(|finding| finding.id.split([' ', ':']));
    failed.flat_map(words).filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
