//! `sagactl matrix`: every fault at every point with every event, one order each.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::launch::refused;
use crate::client::Service;
use crate::matrix::{self, MatrixOptions};
use crate::stack::{self, ServerSettings, Servers, Stack, StackError, StackOptions};

/// Longer than any order takes that is hit by a fault: here only faults end orders, not the clock.
const DEADLINE_MS: u32 = 120_000;

const ACTIONS: [&str; 6] = ["crash", "error", "duplicate", "delay(500)", "drop", "skip-ack"];

/// Flags of `sagactl matrix`.
#[derive(Debug, clap::Args)]
pub struct Matrix {
    /// What to try at each point, with commas between
    #[arg(long, value_delimiter = ',', value_parser = action, default_values_t = ACTIONS.map(str::to_owned))]
    actions: Vec<String>,
    /// Each point with one of its events only
    #[arg(long)]
    quick: bool,
    /// What has passed is written here, and not tried again by the next run with the same file: to go on where one was cut off
    #[arg(long, value_name = "FILE")]
    progress: Option<PathBuf>,
    /// Folder with the services' programs, used as they are [default: beside this program, built first with cargo]
    #[arg(long, env = "ORDERSAGA_PROGRAMS", value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Do not run cargo build first
    #[arg(long, env = "ORDERSAGA_NO_BUILD")]
    no_build: bool,
}

/// One that no point takes would be a matrix without cells, which passes.
fn action(text: &str) -> Result<String, String> {
    let name = |action: &str| action.split('(').next().unwrap_or_default().to_owned();
    let known = ACTIONS.iter().any(|known| name(known) == name(text));
    if known { Ok(text.to_owned()) } else { Err(format!("known actions are {}", ACTIONS.join(", "))) }
}

impl Matrix {
    /// Everything there is to try.
    pub(super) fn full(progress: Option<PathBuf>, programs: Option<PathBuf>, no_build: bool) -> Self {
        Self { actions: ACTIONS.map(str::to_owned).into(), quick: false, progress, programs, no_build }
    }

    /// Status 0: every cell passed, every undo edge ran, the audit is clean; 1: not so; 2: it could not begin.
    pub(super) async fn run(self, json: bool) -> ExitCode {
        let stack = match self.stack().await {
            Ok(stack) => stack,
            Err(error) => {
                refused(&error);
                return ExitCode::from(2);
            }
        };
        if let Some(folder) = self.progress.as_deref().and_then(Path::parent) {
            // If it cannot be made, the matrix says so.
            let _ = std::fs::create_dir_all(folder);
        }
        let options = MatrixOptions { actions: self.actions, every_event: !self.quick, progress: self.progress };
        let ran = matrix::run(&stack, &options, &|line| eprintln!("{line}")).await;
        // In order, and before their folder is removed.
        stack.stop().await;
        stack.servers().stop().await;
        match ran {
            Ok(report) => {
                println!(
                    "{}",
                    if json { serde_json::to_string_pretty(&report).unwrap_or_default() } else { report.text() }
                );
                if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::from(2)
            }
        }
    }

    async fn stack(&self) -> Result<Stack, StackError> {
        let settings = ServerSettings::from_env()?;
        stack::ensure_servers(&settings, |line| eprintln!("{line}")).await?;
        if !self.no_build && self.programs.is_none() {
            stack::build(None).await?;
        }
        let servers = Arc::new(Servers::temporary(&settings).await?);
        let options = StackOptions::unique().supervise(true).programs_folder(self.programs.clone());
        let options = options.env_all("FAULTS", "on");
        Stack::up_on(servers, options.env(Service::Order, "DEADLINE_MS", DEADLINE_MS)).await
    }
}
