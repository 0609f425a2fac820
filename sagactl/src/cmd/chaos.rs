//! `sagactl chaos`: break a stack of its own, see it heal, check everything.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::watch;

use super::launch::{StopSignal, refused};
use super::load::positive;
use super::matrix::Matrix;
use super::show::table;
use crate::chaos::{self, ChaosError, ENDED_EARLY, Pace, Report, Settings, kinds};
use crate::stack;

/// Flags of `sagactl chaos`.
#[derive(Debug, clap::Args)]
pub struct Chaos {
    /// How long faults are injected
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    minutes: f64,
    /// Decides which faults strike when, and which orders are placed; the same seed gives the same [default: a random one]
    #[arg(long)]
    seed: Option<u64>,
    /// Not more orders than this
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    orders: u64,
    /// Orders a second
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    rate: f64,
    /// Kinds of fault and groups of them, with commas between; a minus takes away again: all,-broker,-kill-order-svc
    #[arg(long, default_value = "all", value_delimiter = ',', allow_hyphen_values = true)]
    faults: Vec<String>,
    /// Each fault alone, with time to recover before the next one: for recovery times, which otherwise contain those of others
    #[arg(long)]
    one_at_a_time: bool,
    /// Cancel what is undecided after this long
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    deadline_ms: u64,
    /// Folder for the reports, each run in one of its own
    #[arg(long, default_value = "chaos-report", value_name = "DIR")]
    report: PathBuf,
    /// Keep the servers' data and all logs beside the report, also when nothing is wrong
    #[arg(long)]
    keep: bool,
    /// Instead of a schedule: every fault at every point with every event, one order each, as `sagactl matrix` does
    #[arg(long)]
    matrix: bool,
    /// Of the matrix: what has passed is written here, and not tried again by the next run with the same file
    #[arg(long, value_name = "FILE", requires = "matrix")]
    progress: Option<PathBuf>,
    /// Show the kinds of fault and do nothing
    #[arg(long)]
    list: bool,
    /// Folder with the services' programs, used as they are [default: beside this program, built first with cargo]
    #[arg(long, env = "ORDERSAGA_PROGRAMS", value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Do not run cargo build first
    #[arg(long, env = "ORDERSAGA_NO_BUILD")]
    no_build: bool,
}

impl Chaos {
    /// Status 0: nothing contradicts anything; 1: something does; 2: it could not begin; 130: nothing does, but it was ended early.
    pub(super) async fn run(self, json: bool) -> ExitCode {
        if self.list {
            show(&list(json));
            return ExitCode::SUCCESS;
        }
        if self.matrix {
            return Matrix::full(self.progress, self.programs, self.no_build).run(json).await;
        }
        let chosen = match kinds::chosen(&self.faults) {
            Ok(chosen) => chosen,
            Err(wrong) => return could_not_begin(&wrong),
        };
        let began = async {
            stack::ensure_servers(&stack::ServerSettings::from_env()?, say).await?;
            if !self.no_build && self.programs.is_none() {
                stack::build(None).await?;
            }
            Ok::<_, stack::StackError>(())
        };
        if let Err(error) = began.await {
            refused(&error);
            return ExitCode::from(2);
        }
        let stop = match stop_flag() {
            Ok(stop) => stop,
            Err(error) => return could_not_begin(&format!("cannot listen for Ctrl-C: {error}")),
        };
        match chaos::run(&self.settings(chosen), stop, say).await {
            Ok(report) => {
                show(&if json { serde_json::to_string_pretty(&report).unwrap_or_default() } else { people(&report) });
                match report.clean {
                    true if report.remarks.iter().any(|remark| remark == ENDED_EARLY) => ExitCode::from(130),
                    true => ExitCode::SUCCESS,
                    false => ExitCode::FAILURE,
                }
            }
            Err(ChaosError::Stack(error)) => {
                refused(&error);
                ExitCode::from(2)
            }
            Err(error) => could_not_begin(&error.to_string()),
        }
    }

    fn settings(self, chosen: Vec<&'static kinds::Kind>) -> Settings {
        let seed = self.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
        let begun = Utc::now().format("%Y%m%d-%H%M%S");
        let folder = self.report.join(format!("{begun}-seed-{seed}"));
        say(&format!("Seed {seed}; the report will be in {}.", folder.display()));
        let mut command = format!(
            "sagactl chaos --minutes {} --seed {seed} --rate {} --deadline-ms {} --faults {}",
            self.minutes,
            self.rate,
            self.deadline_ms,
            self.faults.join(",")
        );
        if self.orders < u64::MAX {
            command.push_str(&format!(" --orders {}", self.orders));
        }
        if self.one_at_a_time {
            command.push_str(" --one-at-a-time");
        }
        Settings {
            pace: if self.one_at_a_time { Pace::OneAtATime } else { Pace::Crowded },
            duration: Duration::from_secs_f64((self.minutes * 60.0).clamp(1.0, 1e6)),
            seed,
            orders: self.orders,
            rate: self.rate,
            kinds: chosen,
            deadline: Duration::from_millis(self.deadline_ms),
            folder,
            programs: self.programs,
            keep: self.keep,
            command,
        }
    }
}

/// Becomes true with the first Ctrl-C. The second one ends this process, and with it everything it started.
fn stop_flag() -> std::io::Result<watch::Receiver<bool>> {
    let mut signal = StopSignal::listen()?;
    let (stop, follow) = watch::channel(false);
    tokio::spawn(async move {
        signal.received().await;
        say("Ending early: healing, then audit (another Ctrl-C ends everything at once) ..");
        stop.send_replace(true);
        signal.received().await;
        std::process::exit(2);
    });
    Ok(follow)
}

fn list(json: bool) -> String {
    let all = kinds::all();
    if json {
        let fact = |kind: &&'static kinds::Kind| {
            serde_json::json!({"kind": kind.name, "group": kind.group, "does": kind.does, "stands_for": kind.stands_for,
                               "heals": kind.heals})
        };
        return serde_json::to_string_pretty(&all.iter().map(fact).collect::<Vec<_>>()).unwrap_or_default();
    }
    let mut rows = table(["kind", "group", "what is done", "what it stands for", "who heals it"], &[]);
    for kind in &all {
        rows.add_row([kind.name, kind.group.name(), kind.does, kind.stands_for, kind.heals]);
    }
    format!("{rows}\n{} kinds", all.len())
}

fn people(report: &Report) -> String {
    let mut text = String::new();
    for check in report.failed() {
        text.push_str(&format!("WRONG: {}: {} violations of \"{}\"\n", check.name, check.violations, check.claim));
        for it in &check.findings {
            text.push_str(&format!("  {}: expected {}, is {}\n", it.id, it.expected, it.actual));
        }
    }
    for check in report.audit.warned() {
        text.push_str(&format!("warning: {}: {} times not \"{}\"\n", check.name, check.violations, check.claim));
    }
    for remark in &report.remarks {
        text.push_str(&format!("{remark}.\n"));
    }
    let struck = report.totals.get("faults that struck").copied().unwrap_or_default();
    let kinds = report.kinds.iter().filter(|line| line.struck > 0).count();
    let placed = report.totals.get("orders known to be placed").copied().unwrap_or_default();
    text.push_str(&format!(
        "{struck} faults of {kinds} kinds, {placed} orders, {} violations. Again: {}",
        report.violations(),
        report.command
    ));
    text
}

fn could_not_begin(why: &str) -> ExitCode {
    eprintln!("error: {why}");
    ExitCode::from(2)
}

/// Progress; what the command answers is on the other stream.
fn say(line: &str) {
    eprintln!("{line}");
}

/// A reader that has seen enough (`| head`) is no failure.
fn show(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}
