//! What an audit says.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A check shows at most this many of its findings; `violations` counts all.
pub const MAX_FINDINGS: usize = 20;

/// What was checked, what was wrong, and how much there was to check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReport {
    /// Every check that was made, also those that passed.
    pub checks: Vec<Check>,
    /// What need not be wrong, but only a misfortune explains: a queue that was deleted with its messages, say. A report with
    /// warnings is still clean.
    #[serde(default)]
    pub warnings: Vec<Check>,
    /// How many of everything the checks were made on: a clean report about nothing proves nothing.
    pub counts: BTreeMap<String, u64>,
}

/// One statement about the data that should hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Such as `stock-balances`.
    pub name: String,
    /// The statement, in words.
    pub claim: String,
    /// Whether it holds.
    pub passed: bool,
    /// How many contradict it.
    pub violations: u64,
    /// The first of those, at most [`MAX_FINDINGS`].
    pub findings: Vec<Finding>,
}

/// One contradiction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which row, order, article, wallet or message.
    pub id: String,
    /// What should be.
    pub expected: String,
    /// What is.
    pub actual: String,
}

impl AuditReport {
    /// Nothing contradicts anything.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    /// The checks that found something.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.passed)
    }

    /// The warnings that found something.
    pub fn warned(&self) -> impl Iterator<Item = &Check> {
        self.warnings.iter().filter(|check| !check.passed)
    }

    /// The check of this name, if it was made.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// Records the outcome of a check that warns only.
    pub(super) fn warn(&mut self, name: &str, claim: &str, mut findings: Vec<Finding>) {
        let violations = findings.len() as u64;
        findings.truncate(MAX_FINDINGS);
        let (name, claim) = (name.to_owned(), claim.to_owned());
        self.warnings.push(Check { name, claim, passed: violations == 0, violations, findings });
    }

    /// Records the outcome of a check, or of a further part of it; `violations` counts all, also those not among `findings`.
    pub(super) fn add(&mut self, name: &str, claim: &str, violations: u64, findings: Vec<Finding>) {
        let known = self.checks.iter().position(|check| check.name == name);
        let check = match known {
            Some(at) => &mut self.checks[at],
            None => {
                let (name, claim) = (name.to_owned(), claim.to_owned());
                self.checks.push(Check { name, claim, passed: true, violations: 0, findings: Vec::new() });
                self.checks.last_mut().expect("just pushed")
            }
        };
        check.violations += violations;
        check.passed = check.violations == 0;
        check.findings.extend(findings);
        check.findings.truncate(MAX_FINDINGS);
    }
}

/// The failed checks and the warnings with their findings; one line when there are none.
impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, warned) = (self.failed().count(), self.warned().count());
        write!(f, "{} checks, {failed} failed", self.checks.len())?;
        if warned > 0 {
            write!(f, ", {warned} warnings")?;
        }
        for check in self.failed() {
            write!(f, "\n{} ({}): {}", check.name, check.violations, check.claim)?;
            check.write_findings(f)?;
        }
        for check in self.warned() {
            write!(f, "\nwarning: {} ({}): {}", check.name, check.violations, check.claim)?;
            check.write_findings(f)?;
        }
        Ok(())
    }
}

impl Check {
    fn write_findings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { id, expected, actual } in &self.findings {
            write!(f, "\n  {id}: expected {expected}; found {actual}")?;
        }
        match self.violations.saturating_sub(self.findings.len() as u64) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: u32) -> Finding {
        Finding { id: id.to_string(), expected: "1".into(), actual: "2".into() }
    }

    #[test]
    fn parts_of_a_check_add_up_and_only_the_first_findings_are_kept() {
        let mut report = AuditReport::default();
        report.add("outbox-drains", "nothing is left", 0, Vec::new());
        assert!(report.is_clean());
        report.add("outbox-drains", "nothing is left", 30, (0..15).map(finding).collect());
        report.add("outbox-drains", "nothing is left", 15, (0..15).map(finding).collect());
        report.add("stock-balances", "it balances", 0, Vec::new());

        assert_eq!(report.checks.len(), 2);
        let check = report.check("outbox-drains").expect("made");
        assert_eq!((check.violations, check.findings.len(), check.passed), (45, MAX_FINDINGS, false));
        assert!(report.to_string().contains("and 25 more"), "{report}");
    }
}
