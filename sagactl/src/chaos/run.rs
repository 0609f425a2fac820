//! One chaos run, from the start of the servers to the report.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout};

use super::history::History;
use super::injector::{CameTo, Injection, inject_all};
use super::judge::{Judged, judge};
use super::kinds::Kind;
use super::load::{self, Load};
use super::report::{self, Report};
use super::rig::{Proxied, Rig};
use super::schedule::{self, Pace};
use super::watch as measure;
use super::wiretap::Wiretap;
use crate::client::{ClientError, Service};
use crate::stack::{Stack, StackError};

/// Patience with outstanding requests once the faults are over.
const LOAD_ENDS_WITHIN: Duration = Duration::from_secs(120);
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long faults are injected.
    pub duration: Duration,
    /// Decides schedule and orders.
    pub seed: u64,
    /// At most so many orders.
    pub orders: u64,
    /// Orders a second.
    pub rate: f64,
    /// The kinds of fault.
    pub kinds: Vec<&'static Kind>,
    /// How they follow each other.
    pub pace: Pace,
    /// Whatever is undecided after this long is cancelled.
    pub deadline: Duration,
    /// The folder for this run: report, history, and the data if something is wrong. Made here.
    pub folder: PathBuf,
    /// The services' programs [default: beside this one].
    pub programs: Option<PathBuf>,
    /// Whether data and logs stay also when nothing is wrong.
    pub keep: bool,
    /// The command that does the same again.
    pub command: String,
}

/// Why a run could not begin, or could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// A file.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The time is over before the first fault.
    #[error("no fault fits into so short a time")]
    NoFault,
    /// The stack did not start.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The stack is up and does not take orders.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// The remark of a run that somebody has ended.
pub const ENDED_EARLY: &str = "It was ended before its time";

/// Runs. Ends the faults early, but in order, when `stop` becomes true; `say` hears of everything as it happens.
///
/// # Errors
/// When it could not begin. Whatever went wrong later is in the report.
pub async fn run(
    settings: &Settings,
    stop: watch::Receiver<bool>,
    say: impl Fn(&str) + Clone + Send + Sync + 'static,
) -> Result<Report, ChaosError> {
    let planned = schedule::schedule(settings.seed, millis(settings.duration), &settings.kinds, settings.pace);
    if planned.is_empty() {
        return Err(ChaosError::NoFault);
    }
    let in_folder = |name: &str| settings.folder.join(name);
    std::fs::create_dir_all(&settings.folder).map_err(doing("make the folder of the report"))?;
    say(&format!(
        "{} faults of {} kinds are planned. Starting servers and services ..",
        planned.len(),
        settings.kinds.len()
    ));
    let proxied = Proxied::start(&in_folder("data"), settings.deadline, settings.programs.as_deref()).await?;
    let history = History::create(&in_folder("history.jsonl")).map_err(doing("begin the history"))?;
    load::prepare(&proxied.stack.client()).await?;
    let wiretap = Wiretap::on(proxied.stack.amqp_url());
    let begun = Utc::now();
    let load = Arc::new(Load::new(proxied.stack.client(), settings.seed, history));
    let rig = Arc::new(Rig::new(proxied, Arc::clone(&load), wiretap, stop.clone()));

    let placing = tokio::spawn(Arc::clone(&load).run(settings.rate, settings.orders));
    let telling = tokio::spawn(tell(Arc::clone(&load), say.clone()));
    let faults = {
        let say = say.clone();
        inject_all(&rig, planned, stop.clone(), move |it| say(&line(it, begun)))
    };
    let injections = until(faults, settings.duration, stop.clone()).await;
    let seconds = (Utc::now() - begun).num_seconds().unsigned_abs();
    say("Healing ..");
    load.stop();
    let mut remarks = rig.heal().await;
    let healed = Utc::now();
    if *stop.borrow() {
        remarks.push(ENDED_EARLY.to_owned());
    }
    let ended = timeout(LOAD_ENDS_WITHIN, placing).await;
    telling.abort();
    if ended.is_err() {
        remarks.push("Some requests were still open two minutes after healing".to_owned());
    }
    say("Waiting until everything has come to rest ..");
    let judged = judge(&rig, settings, in_folder("history.jsonl"), healed, say).await;
    let facts = Facts { begun, seconds, injections, remarks };
    let report = facts.report(settings, &rig, judged).await;

    write(&in_folder("report.json"), serde_json::to_string_pretty(&report).unwrap_or_default())?;
    write(&in_folder("report.html"), report::html(&report))?;
    rig.stack.servers().remove_data_at_the_end(report.clean && !settings.keep);
    rig.stack.stop().await;
    rig.stack.servers().stop().await;
    Ok(report)
}

/// The faults, but not less than the whole duration: orders flow on to the end.
async fn until<T>(faults: impl Future<Output = T>, duration: Duration, mut stop: watch::Receiver<bool>) -> T {
    let end = Instant::now() + duration;
    let done = faults.await;
    tokio::select! {
        () = tokio::time::sleep_until(end) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    done
}

/// What is known before it is judged.
struct Facts {
    begun: DateTime<Utc>,
    seconds: u64,
    injections: Vec<Injection>,
    remarks: Vec<String>,
}

impl Facts {
    async fn report(mut self, settings: &Settings, rig: &Rig, judged: Judged) -> Report {
        let Judged { rest, checks, audit, replayed } = judged;
        match measure::settled(&rig.stack).await {
            Ok(settled) => settled.measure(&mut self.injections, &settings.kinds),
            Err(error) => self.remarks.push(format!("Recovery times cannot be read: {error}")),
        }
        let ended_per_second = measure::ended_per_second(&rig.stack, self.begun).await.unwrap_or_default();
        let clean = checks.iter().chain(&audit.checks).all(|check| check.passed);
        let violating: BTreeSet<_> = report::orders_in(checks.iter().chain(&audit.checks).filter(|it| !it.passed));
        let (asked, placed) = rig.load.counts();
        let struck = self.injections.iter().filter(|it| it.came_to == CameTo::Struck).count();
        let mut totals = BTreeMap::from([
            ("orders asked for".to_owned(), asked),
            ("orders known to be placed".to_owned(), placed),
            ("faults that struck".to_owned(), struck as u64),
            ("messages made to be parked".to_owned(), rig.junk().len() as u64),
            ("messages said again at the end".to_owned(), replayed.messages),
            ("parked messages tried again at the end".to_owned(), replayed.parked as u64),
            ("restarts by the supervisor".to_owned(), rig.stack.restart_log().len() as u64),
        ]);
        totals.extend(audit.counts.iter().map(|(what, count)| (format!("audited: {what}"), *count)));
        Report {
            clean,
            remarks: self.remarks,
            seed: settings.seed,
            command: settings.command.clone(),
            begun: self.begun,
            seconds: self.seconds,
            machine: machine(&rig.stack).await,
            totals,
            kinds: report::lines(&settings.kinds, &self.injections, &violating),
            injections: self.injections,
            placed_per_second: rig.load.placed_per_second(),
            ended_per_second,
            rest,
            checks,
            audit,
        }
    }
}

async fn machine(stack: &Stack) -> BTreeMap<String, String> {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let mut machine = BTreeMap::from([
        ("cores".to_owned(), cores.to_string()),
        ("sagactl".to_owned(), format!("{} ({profile})", env!("CARGO_PKG_VERSION"))),
        ("system".to_owned(), format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
    ]);
    if let Ok(database) = measure::connect(stack, Service::Order).await
        && let Ok(row) = database.query_one("show server_version", &[]).await
    {
        machine.insert("PostgreSQL".to_owned(), row.get(0));
    }
    if let Ok(version) = stack.servers().management().version().await {
        machine.insert("RabbitMQ".to_owned(), version);
    }
    machine
}

/// Says from time to time how it is going. Never returns.
async fn tell(load: Arc<Load>, say: impl Fn(&str)) {
    let mut ticks = interval(TELL_EVERY);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let (asked, placed) = load.counts();
        let per_second = load.placed_per_second();
        let last = &per_second[per_second.len().saturating_sub(10)..];
        let rate = last.iter().sum::<u64>() as f64 / last.len().max(1) as f64;
        say(&format!("          {placed} orders placed of {asked} asked for, {rate:.1}/s lately"));
    }
}

fn line(it: &Injection, begun: DateTime<Utc>) -> String {
    let at = (it.began - begun).num_milliseconds() as f64 / 1_000.0;
    let lasted = (it.ended - it.began).num_milliseconds() as f64 / 1_000.0;
    let target = it.target.map_or(String::new(), |target| format!(" {target}"));
    let came_to = match it.came_to {
        CameTo::Struck => "",
        CameTo::Missed => "missed: ",
        CameTo::Failed => "FAILED: ",
    };
    format!("{at:8.1} s {}{target}, {lasted:.1} s  {came_to}{}", it.kind, it.detail)
}

fn write(file: &Path, text: String) -> Result<(), ChaosError> {
    std::fs::write(file, text).map_err(doing(&format!("write {}", file.display())))
}

fn doing(what: &str) -> impl FnOnce(io::Error) -> ChaosError {
    let doing = what.to_owned();
    move |source| ChaosError::Io { doing, source }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
