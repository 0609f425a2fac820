//! The crash matrix: every fault point of every service, with every event that passes it, tried one order at a time in one
//! running system. And every undo edge, with a crash before and after its commit.
//!
//! An order carries the directives of its own cell, so that many cells run side by side. A cell whose fault did not fire has
//! shown nothing, and fails the run; so does an undo edge that did not run.

mod cells;
mod edges;
mod play;
mod report;
mod scenario;

pub use cells::{Cell, Participant, Unreachable, cells};
pub use edges::{Coverage, EDGES, Edge, coverage};
pub use report::{Failed, MatrixReport};
pub use scenario::{Hold, Scenario, Until};

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use futures::StreamExt;
use futures::future::join_all;

use crate::audit;
use crate::client::Service;
use crate::stack::{Stack, database_says};
use edges::Tried;
use play::Stage;

/// What to try.
#[derive(Debug, Clone, Default)]
pub struct MatrixOptions {
    /// Actions to try, as directives name them, such as `crash` or `delay(500)`.
    pub actions: Vec<String>,
    /// Every event at every point; else every point once, with one of its events.
    pub every_event: bool,
    /// Cells that passed are written here, and those that are here already are not tried again.
    pub progress: Option<PathBuf>,
}

/// Why the matrix could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// A service did not describe itself.
    #[error(transparent)]
    Client(#[from] crate::client::ClientError),
    /// Fault injection is off.
    #[error("fault injection is off in {0}: start it with FAULTS=on")]
    Off(Service),
    /// A database could not be read.
    #[error("a database cannot be read: {}", database_says(.0))]
    Database(#[from] tokio_postgres::Error),
    /// The file of what has passed cannot be used.
    #[error("the progress file cannot be used: {0}")]
    Progress(#[from] std::io::Error),
    /// The audit could not be made.
    #[error(transparent)]
    Audit(#[from] audit::AuditError),
}

/// Longest time in which the system must come to rest at the end.
const REST_LIMIT: std::time::Duration = std::time::Duration::from_secs(120);
/// Cells of one service at a time that do not end it.
const SIDE_BY_SIDE: usize = 4;

/// Runs the matrix in a supervised stack that was started with `FAULTS=on` and a deadline of a minute or more; `say` is told
/// what happens.
///
/// # Errors
/// When it cannot be run. What fails in it is in the report.
pub async fn run(
    stack: &Stack,
    options: &MatrixOptions,
    say: &(dyn Fn(&str) + Sync),
) -> Result<MatrixReport, MatrixError> {
    let begun = Instant::now();
    let stage = Stage::open(stack).await?;
    let participants = stage.participants().await?;
    let actions: Vec<&str> = options.actions.iter().map(String::as_str).collect();
    let (all, unreachable) = cells(&participants, &actions);
    let chosen = if options.every_event { all } else { one_event_each(all) };
    let passed_before = report::passed(options.progress.as_deref())?;
    let total = chosen.len();
    let chosen: Vec<Cell> = chosen.into_iter().filter(|cell| !passed_before.contains(&cell.directive())).collect();
    say(&format!("{total} cells, {} of them to be tried; {} undo edges", chosen.len(), EDGES.len()));

    let lanes = Service::ALL.map(|service| {
        let cells: Vec<&Cell> = chosen.iter().filter(|cell| cell.service == service).collect();
        let edges: Vec<&Edge> = EDGES.iter().filter(|edge| edge.service == service).collect();
        lane(&stage, cells, edges, options, say)
    });
    let (mut failed, mut tried, mut passed) = (Vec::new(), Vec::new(), 0);
    for outcome in join_all(lanes).await {
        passed += outcome.passed;
        failed.extend(outcome.failed);
        tried.extend(outcome.tried);
    }
    let coverage = coverage(&tried);
    say("waiting until nothing is under way, then auditing ..");
    let audit = audit::until_quiescent(&stack.audit_config(), REST_LIMIT).await?;
    Ok(MatrixReport {
        cells: total,
        passed,
        passed_before: total - chosen.len(),
        failed,
        unreachable,
        coverage,
        restarts: stack.restart_log().len(),
        seconds: begun.elapsed().as_secs_f64(),
        audit,
    })
}

/// Of each point one cell for each action; the events take turns, so that all are met somewhere.
fn one_event_each(cells: Vec<Cell>) -> Vec<Cell> {
    let mut points: Vec<Vec<Cell>> = Vec::new();
    for cell in cells {
        let same =
            |other: &Cell| (other.service, &other.point, &other.action) == (cell.service, &cell.point, &cell.action);
        match points.iter_mut().find(|cells| same(&cells[0])) {
            Some(cells) => cells.push(cell),
            None => points.push(vec![cell]),
        }
    }
    points.into_iter().enumerate().map(|(turn, mut cells)| cells.swap_remove(turn % cells.len())).collect()
}

#[derive(Default)]
struct Outcome {
    passed: usize,
    failed: Vec<Failed>,
    tried: Vec<Tried>,
}

/// The cells of one service: what ends it one after another, the rest a few at a time.
async fn lane(
    stage: &Stage<'_>,
    cells: Vec<&Cell>,
    edges: Vec<&Edge>,
    options: &MatrixOptions,
    say: &(dyn Fn(&str) + Sync),
) -> Outcome {
    let mut outcome = Outcome::default();
    let (crashes, others): (Vec<&Cell>, Vec<&Cell>) =
        cells.into_iter().partition(|cell| cell.action.starts_with("crash"));
    for (cells, at_once) in [(crashes, 1), (others, SIDE_BY_SIDE)] {
        let mut running = futures::stream::iter(cells)
            .map(|cell| async move { (cell, stage.try_cell(cell).await) })
            .buffer_unordered(at_once);
        while let Some((cell, tried)) = running.next().await {
            match tried {
                Ok(took) => {
                    outcome.passed += 1;
                    say(&format!("{:>6} ms  {}", took.as_millis(), cell.directive()));
                    report::remember(options.progress.as_deref(), &cell.directive());
                }
                Err(why) => {
                    say(&format!("FAILED     {}: {why}", cell.directives()));
                    outcome.failed.push(Failed { cell: cell.directives(), why });
                }
            }
        }
    }
    for edge in edges {
        for crash in edge.crashes() {
            match stage.try_edge(edge, &crash).await {
                Ok(tried) => outcome.tried.push(tried),
                Err(why) => outcome.failed.push(Failed { cell: format!("{} with {crash}", edge.failure), why }),
            }
            say(&format!("   edge    {} had {}: {} with {crash}", edge.service, edge.had, edge.answers));
        }
    }
    outcome
}

/// The directives of cells that have passed.
type Passed = BTreeSet<String>;
