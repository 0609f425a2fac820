//! `sagactl load`: how fast it is, and what that costs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use super::launch::refused;
use super::session::Global;
use super::{Failure, Session};
use crate::audit::{AuditConfig, DatabaseUrls, ProviderAccount};
use crate::client::Service;
use crate::load::{self, LoadError, Mix, Pace, Report, Settings};
use crate::stack::{self, Program, ServerSettings, Servers, Stack, StackError, StackOptions, StackRecord};

/// Flags of `sagactl load`.
#[derive(Debug, clap::Args)]
pub struct Load {
    /// Keep so many orders in flight: a closed loop, the next is placed when one has ended
    #[arg(long, default_value_t = 64, value_name = "COUNT", conflicts_with = "rate")]
    in_flight: usize,
    /// Place so many orders a second, whatever becomes of them: an open loop, times count from the moment each was meant to be placed
    #[arg(long, value_name = "PER_SECOND", value_parser = positive)]
    rate: Option<f64>,
    /// How long it counts
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    seconds: f64,
    /// How long it runs before it counts, in seconds
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    warm_up: f64,
    /// What orders are like: lines of an order, articles to choose from, and in percent declines, out-of-stock, cancels, card (the
    /// others pay from a wallet), keys (with an Idempotency-Key); parts may be left out
    #[arg(long, default_value_t, value_name = "items=1-2,skus=1000,declines=3,..")]
    mix: Mix,
    /// Decides which orders are placed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Measure something else before the first round and after each: a command that prints a line of JSON with rate, p50_ms and p99_ms
    /// (and perhaps cpu_s_per_1000), such as this one with --json, or a line of the floor program
    #[arg(long, value_name = "COMMAND")]
    beside: Option<String>,
    /// How often to measure; medians are reported
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Use the stack that runs in --data instead of one of its own
    #[arg(long, conflicts_with_all = ["set", "replicas", "programs"])]
    running: bool,
    /// A setting for all services of its own stack, such as QUEUE_TYPE=classic; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = super::launch::assignment)]
    set: Vec<(String, String)>,
    /// Processes of each service of its own stack
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    replicas: usize,
    /// Folder for the reports, each run in one of its own
    #[arg(long, default_value = "load-report", value_name = "DIR")]
    report: PathBuf,
    /// Folder with the services' programs, used as they are [default: beside this program, built first with cargo]
    #[arg(long, env = "ORDERSAGA_PROGRAMS", value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Do not run cargo build first
    #[arg(long, env = "ORDERSAGA_NO_BUILD")]
    no_build: bool,
}

/// A number above 0.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0).ok_or_else(|| "not above 0".to_owned())
}

impl Load {
    /// Status 0: measured, and the audit is clean; 1: not so, and nothing is reported; 2: it could not begin.
    pub(super) async fn run(self, global: Global) -> ExitCode {
        let json = global.json();
        let folder = self.report.join(load::stamp(Utc::now()));
        let outcome = if self.running {
            match running(global).await {
                Ok(record) => self.measure(&record).await,
                Err(failure) => return failure.tell(None),
            }
        } else {
            let (stack, record) = match self.start(&folder).await {
                Ok(started) => started,
                Err(error) => {
                    refused(&error);
                    return ExitCode::from(2);
                }
            };
            let outcome = self.measure(&record).await;
            stack.servers().remove_data_at_the_end(outcome.is_ok());
            if outcome.is_err() {
                say(&format!("Data and logs stay in {}.", folder.join("data").display()));
            }
            stack.stop().await;
            stack.servers().stop().await;
            outcome
        };
        match outcome.and_then(|report| Ok((write(&folder, &report)?, report).1)) {
            Ok(report) => {
                say(&format!("Report and plots are in {}.", folder.display()));
                show(&if json { serde_json::to_string(&report).unwrap_or_default() } else { report.people() });
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    async fn start(&self, folder: &Path) -> Result<(Stack, StackRecord), StackError> {
        let settings = ServerSettings::from_env()?;
        stack::ensure_servers(&settings, say).await?;
        if !self.no_build && self.programs.is_none() {
            stack::build(None).await?;
        }
        say("Starting PostgreSQL, RabbitMQ and the services ..");
        let servers = Arc::new(Servers::in_folder(&settings, &folder.join("data")).await?);
        servers.remove_data_at_the_end(true);
        let options = StackOptions::lasting().programs_folder(self.programs.clone());
        let options = Service::ALL.into_iter().fold(options, |options, it| options.replicas(it, self.replicas.max(1)));
        let stack = Stack::up_on(servers, options.set(&self.set).await?).await?;
        let record = stack.record().await;
        Ok((stack, record))
    }

    async fn measure(&self, stack: &StackRecord) -> Result<Report, LoadError> {
        let settings = Settings {
            pace: self.rate.map_or(Pace::InFlight(self.in_flight.max(1)), Pace::Rate),
            mix: self.mix.clone(),
            seed: self.seed,
            warm_up: Duration::from_secs_f64(self.warm_up.clamp(0.0, 86_400.0)),
            duration: Duration::from_secs_f64(self.seconds.min(86_400.0)),
            rounds: self.rounds.into(),
            beside: self.beside.clone(),
            command: self.command(),
            warnings: warnings(stack),
        };
        load::run(stack, &audit_config(stack), &settings, say).await
    }

    /// What does the same again.
    fn command(&self) -> String {
        let pace = self.rate.map_or(format!("--in-flight {}", self.in_flight), |rate| format!("--rate {rate}"));
        let mut command = format!(
            "sagactl load {pace} --seconds {} --warm-up {} --mix {} --seed {}",
            self.seconds, self.warm_up, self.mix, self.seed
        );
        for (name, value) in &self.set {
            command.push_str(&format!(" --set {name}={value}"));
        }
        if self.running {
            command.push_str(" --running");
        }
        if self.replicas > 1 {
            command.push_str(&format!(" --replicas {}", self.replicas));
        }
        if self.rounds > 1 {
            command.push_str(&format!(" --rounds {}", self.rounds));
        }
        if let Some(beside) = &self.beside {
            command.push_str(&format!(" --beside '{beside}'"));
        }
        command
    }
}

async fn running(global: Global) -> Result<StackRecord, Failure> {
    let none =
        || Failure::Usage("no stack is running here: start one with `sagactl up`, or leave --running out".to_owned());
    Session::open(global).await?.stack.ok_or_else(none)
}

/// What an auditor needs to check this stack: the strictest audit.
fn audit_config(stack: &StackRecord) -> AuditConfig {
    let url = |program| stack.process(program).and_then(|it| it.database_url.clone()).unwrap_or_default();
    let databases = DatabaseUrls {
        orders: url(Program::OrderSvc),
        inventory: url(Program::InventorySvc),
        payment: url(Program::PaymentSvc),
        notification: url(Program::NotificationSvc),
    };
    let provider = stack.process(Program::SandboxProvider);
    let provider = provider.map(|it| ProviderAccount { url: it.url.clone(), key: stack.provider_key.clone() });
    AuditConfig { amqp_url: Some(stack.amqp_url.clone()), ..AuditConfig::new(databases, provider) }
}

/// What makes figures worth less before anything is measured.
fn warnings(stack: &StackRecord) -> Vec<String> {
    let mut warnings = Vec::new();
    let built_in = |profile: &str| {
        let in_folder = |pid: u32| {
            let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            program.parent().is_some_and(|folder| folder.ends_with(profile))
        };
        stack.processes.iter().filter_map(|it| it.pid).filter(|pid| in_folder(*pid)).count()
    };
    if built_in("debug") > 0 {
        warnings.push("the services are debug builds: these figures say nothing about how fast it is".to_owned());
    } else if built_in("release") < stack.processes.len() {
        warnings.push(
            "whether the services are release builds does not show: they are not in cargo's folder for those"
                .to_owned(),
        );
    }
    if cfg!(debug_assertions) {
        warnings.push(
            "sagactl is a debug build: the client is slower and takes more of the processor than it would".to_owned(),
        );
    }
    warnings
}

fn write(folder: &Path, report: &Report) -> Result<(), LoadError> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("report.json"), serde_json::to_string_pretty(report).map_err(std::io::Error::other)?)?;
    std::fs::write(folder.join("report.txt"), report.people() + "\n")?;
    for (name, svg) in report.plots() {
        std::fs::write(folder.join(name), svg)?;
    }
    Ok(())
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
