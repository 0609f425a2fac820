//! What the matrix found, for people and machines; and the file of what has passed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use comfy_table::{Table, presets};
use serde::Serialize;

use super::{Coverage, Passed, Unreachable};
use crate::audit::AuditReport;

/// A cell or an edge that did not go as it should.
#[derive(Debug, Clone, Serialize)]
pub struct Failed {
    /// Its directives: place an order with them to see it again.
    pub cell: String,
    /// What was wrong.
    pub why: String,
}

/// What the matrix found.
#[derive(Debug, Serialize)]
pub struct MatrixReport {
    /// Cells there are.
    pub cells: usize,
    /// Cells that passed now.
    pub passed: usize,
    /// Cells that had passed in an earlier run.
    pub passed_before: usize,
    /// What failed.
    pub failed: Vec<Failed>,
    /// Points and events that no order brings together, and why.
    pub unreachable: Vec<Unreachable>,
    /// Which undo edges really ran.
    pub coverage: Vec<Coverage>,
    /// Processes that were started again.
    pub restarts: usize,
    /// How long it took.
    pub seconds: f64,
    /// The audit at the end.
    pub audit: AuditReport,
}

impl MatrixReport {
    /// Did every cell pass, every edge run with every crash, and the audit find nothing?
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let whole = |edge: &Coverage| edge.crashed_before_commit > 0 && edge.crashed_after_commit > 0;
        self.failed.is_empty()
            && self.passed + self.passed_before == self.cells
            && self.coverage.iter().all(whole)
            && self.audit.is_clean()
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut edges = Table::new();
        edges.load_style(presets::UTF8_HORIZONTAL_ONLY);
        edges.set_header(["service", "had", "failure", "answers", "ran", "crashed before commit", "crashed after"]);
        for edge in &self.coverage {
            edges.add_row([
                edge.service.clone(),
                edge.had.to_owned(),
                edge.failure.to_owned(),
                edge.answers.to_owned(),
                edge.ran.to_string(),
                edge.crashed_before_commit.to_string(),
                edge.crashed_after_commit.to_string(),
            ]);
        }
        let mut text = format!("Undo edges\n{edges}\n");
        for failed in &self.failed {
            let _ = writeln!(text, "FAILED {}\n       {}", failed.cell, failed.why);
        }
        for finding in self.audit.failed() {
            let _ = writeln!(text, "AUDIT  {finding:?}");
        }
        let _ = write!(
            text,
            "{} cells: {} passed, {} had passed before, {} failed; {} restarts; {:.0} s; audit {}",
            self.cells,
            self.passed,
            self.passed_before,
            self.failed.len(),
            self.restarts,
            self.seconds,
            if self.audit.is_clean() { "clean" } else { "NOT CLEAN" },
        );
        text
    }
}

/// The cells that passed in earlier runs.
pub(super) fn passed(file: Option<&Path>) -> std::io::Result<Passed> {
    match file {
        Some(file) if file.exists() => Ok(std::fs::read_to_string(file)?.lines().map(str::to_owned).collect()),
        _ => Ok(Passed::new()),
    }
}

/// Adds a cell to them. A line that is lost is only tried again.
pub(super) fn remember(file: Option<&Path>, cell: &str) {
    let Some(file) = file else { return };
    let appended = std::fs::OpenOptions::new().create(true).append(true).open(file);
    if let Err(error) = appended.and_then(|mut file| writeln!(file, "{cell}")) {
        tracing::warn!(%error, "what has passed cannot be written down");
    }
}
