//! A load run, from the shelves to the audit.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError, mpsc};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::beside::{self, BesideError, Measure};
use super::finals;
use super::mix::Mix;
use super::placing::{Orders, Pace, Placing};
use super::processes::{self, Cpu};
use super::report::{Report, Round};
use super::sampling::Sampling;
use super::shelf;
use super::tally::{self, Window};
use super::watching::Watch;
use crate::audit::{self, AuditConfig, AuditError, AuditReport};
use crate::client::{Client, ClientError, NoToken, Service, TokenRequest};
use crate::stack::{StackRecord, session};

const TELL_EVERY: Duration = Duration::from_secs(5);
/// Patience of the audit with a system that comes to rest.
const QUIET_WITHIN: Duration = Duration::from_secs(120);

/// The queue that shows people what travels, in stacks that are not made for measuring.
pub(super) const TAP: &str = "saga.tap";

/// What to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How orders follow each other.
    pub pace: Pace,
    /// What they are like.
    pub mix: Mix,
    /// Decides which orders are placed.
    pub seed: u64,
    /// Before anything counts.
    pub warm_up: Duration,
    /// How long it counts.
    pub duration: Duration,
    /// How often all that is done.
    pub rounds: usize,
    /// A command that measures something else before the first round and after each.
    pub beside: Option<String>,
    /// The command that does the same again.
    pub command: String,
    /// What is known to speak against the figures.
    pub warnings: Vec<String>,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The shelves could not be filled.
    #[error("the articles cannot be made: {0}")]
    Client(#[from] ClientError),
    /// The issuer gives no token.
    #[error(transparent)]
    NoToken(#[from] NoToken),
    /// The load client itself failed.
    #[error("the load client failed: {0}")]
    Io(#[from] io::Error),
    /// The orders cannot be read.
    #[error("the orders cannot be read: {0}")]
    Database(#[from] tokio_postgres::Error),
    /// Nothing that could be measured.
    #[error("no order has ended in the measured time{}", because(.0.as_deref()))]
    Nothing(Option<String>),
    /// Orders that never ended.
    #[error("{count} orders have not ended, {first} among them: there are no figures")]
    Unended {
        /// How many.
        count: usize,
        /// One of them.
        first: Uuid,
    },
    /// The other command failed.
    #[error(transparent)]
    Beside(#[from] BesideError),
    /// The audit could not be made.
    #[error("there are no figures, because nobody can tell whether they are of anything: {0}")]
    Audit(#[from] AuditError),
    /// The audit found something.
    #[error("the audit is not clean, so there are no figures: {}", wrong(.0))]
    NotClean(Box<AuditReport>),
}

fn because(why: Option<&str>) -> String {
    why.map_or_else(String::new, |why| format!("; {why}"))
}

fn wrong(audit: &AuditReport) -> String {
    let checks = audit.failed().map(|check| format!("{} violations of \"{}\"", check.violations, check.claim));
    checks.collect::<Vec<_>>().join("; ")
}

/// Runs on a stack that is up, and audits it.
///
/// # Errors
/// When anything went wrong that makes the figures worthless.
pub async fn run(
    stack: &StackRecord,
    audit: &AuditConfig,
    settings: &Settings,
    say: impl Fn(&str),
) -> Result<Report, LoadError> {
    let begun = Utc::now();
    say("Filling the shelves ..");
    let token = match stack.issuer_url() {
        Some(issuer) => Some(TokenRequest::operator().ask(issuer).await?.access_token),
        None => None,
    };
    shelf::fill(&Client::new(stack.endpoints()).with_token(token.clone()), &settings.mix).await?;
    let runner = Runner { stack, settings, token, run: format!("load-{:08x}", rand::random::<u32>()), say: &say };
    let (mut rounds, mut theirs) = (Vec::<Round>::new(), Vec::<Measure>::new());
    let mut next = 0;
    theirs.extend(runner.beside().await?);
    for n in 0..settings.rounds.max(1) {
        say(&format!("Round {} of {} ..", n + 1, settings.rounds.max(1)));
        rounds.push(runner.round(&mut next).await?);
        theirs.extend(runner.beside().await?);
    }
    say("Waiting for rest, then audit ..");
    let audited = audit::until_quiescent(audit, QUIET_WITHIN).await?;
    if !audited.is_clean() {
        return Err(LoadError::NotClean(Box::new(audited)));
    }
    let ours: Vec<Measure> = rounds.iter().map(Round::measure).collect();
    let median = |of: &dyn Fn(&Measure) -> f64| beside::median(ours.iter().map(of).collect()).unwrap_or_default();
    let machine = machine(stack).await;
    let cpu: Option<Vec<f64>> = ours.iter().map(|it| it.cpu_s_per_1000).collect();
    Ok(Report {
        measure: Measure {
            rate: median(&|it| it.rate),
            p50_ms: median(&|it| it.p50_ms),
            p99_ms: median(&|it| it.p99_ms),
            cpu_s_per_1000: cpu.and_then(beside::median),
        },
        command: settings.command.clone(),
        begun,
        warnings: warnings(settings, &rounds, &machine),
        machine,
        comparison: beside::compare(&ours, &theirs),
        rounds,
        beside: theirs,
        audited: audited.counts,
    })
}

/// What the rounds themselves say against their figures, after what was known before.
fn warnings(settings: &Settings, rounds: &[Round], machine: &BTreeMap<String, String>) -> Vec<String> {
    let mut warnings = settings.warnings.clone();
    let mut warn = |is: bool, what: &str| {
        if is {
            warnings.push(what.to_owned());
        }
    };
    warn(rounds.iter().any(|it| !it.figures.keeps_up), "the ends of sagas did not keep up: this rate does not last");
    let drifts = rounds.iter().any(|it| it.figures.drift_percent.abs() > 20.0);
    warn(
        drifts,
        "the rate changed by more than 20 % within the window: the state was not steady, so try a longer --warm-up",
    );
    warn(machine.contains_key(TAP), "every message is copied into the queue saga.tap (TAP), which costs something");
    warn(rounds.iter().any(|it| it.failed > 0), "some orders could not be placed");
    warn(rounds.iter().any(|it| it.others_percent > 12.0), "other programs took more than 12 % of the machine");
    let late = rounds.iter().any(|it| it.figures.late.p99_ms > 0.1 * it.figures.terminal.p99_ms);
    warn(late, "the client was late itself by more than a tenth of the times: it is part of the limit");
    warnings
}

struct Runner<'a, Say> {
    stack: &'a StackRecord,
    settings: &'a Settings,
    token: Option<String>,
    run: String,
    say: &'a Say,
}

impl<Say: Fn(&str)> Runner<'_, Say> {
    async fn beside(&self) -> Result<Option<Measure>, BesideError> {
        let Some(command) = &self.settings.beside else { return Ok(None) };
        (self.say)(&format!("Beside: {command}"));
        let measure = beside::measure(command).await?;
        (self.say)(&format!("  {:.1}/s, p50 {:.2} ms, p99 {:.2} ms", measure.rate, measure.p50_ms, measure.p99_ms));
        Ok(Some(measure))
    }

    /// One round; `next` is the number of its first order, and then of the next round's.
    async fn round(&self, next: &mut u64) -> Result<Round, LoadError> {
        let Settings { pace, warm_up, duration, .. } = *self.settings;
        let orders_url = self.stack.process(Service::Order).and_then(|it| it.database_url.clone()).unwrap_or_default();
        let parts = processes::parts(self.stack, "sagactl load");
        let places = Arc::new(Semaphore::new(0));
        let (placed, to_watch) = mpsc::channel();
        let begun = Instant::now();
        let watch = Watch::start(&orders_url, begun, to_watch, Arc::clone(&places)).await?;
        // Connecting took a moment of it.
        let from = begun.elapsed() + warm_up;
        let to = from + duration;
        let orders = Orders {
            url: self.stack.endpoints().order,
            token: self.token.clone(),
            mix: self.settings.mix.clone(),
            seed: self.settings.seed,
            first: *next,
            run: self.run.clone(),
            pace,
            duration: to,
        };
        let sampling = Sampling::start(self.stack.clone(), parts.clone(), begun);
        let placing = Placing::start(orders, begun, placed, places)?;
        tokio::time::sleep_until((begun + from).into()).await;
        let before = Cpu::read(&parts, watch.backend);
        self.tell_until(begun + to, &watch).await;
        let after = Cpu::read(&parts, watch.backend);
        let (failures, counter) = (Arc::clone(&placing.failures), Arc::clone(&placing.next));
        placing.end().await?;
        let watched = watch.end().await?;
        let samples = sampling.end().await;
        *next = counter.load(std::sync::atomic::Ordering::Relaxed);
        if let Some(&first) = watched.unended.first() {
            return Err(LoadError::Unended { count: watched.unended.len(), first });
        }
        let finals = finals::read(&orders_url, &watched.ended, begun).await?;
        let window = Window { from_us: micros(from), to_us: micros(to), open: matches!(pace, Pace::Rate(_)) };
        let figures = tally::figures(&watched.ended, &finals, window);
        let (failed, first_failure) = failures.told();
        if figures.ended == 0 {
            return Err(LoadError::Nothing(first_failure));
        }
        let per_1000 = 1_000.0 / figures.ended as f64;
        let used = if self.stack.postgres_pid.is_some() { after.since(&before) } else { Vec::new() };
        let (idle_percent, others_percent) = after.shares(&before);
        Ok(Round {
            failed,
            first_failure,
            cpu_s_per_1000_sum: used.iter().map(|(_, seconds)| seconds * per_1000).sum(),
            cpu_s_per_1000: used.into_iter().map(|(name, seconds)| (name, seconds * per_1000)).collect(),
            idle_percent,
            others_percent,
            looks: watched.looks,
            samples,
            figures,
        })
    }

    /// Says how it is going until then.
    async fn tell_until(&self, end: Instant, watch: &Watch) {
        let (mut at, mut count) = (Instant::now(), 0);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            tokio::time::sleep(left.min(TELL_EVERY)).await;
            let seen = watch.seen.lock().unwrap_or_else(PoisonError::into_inner).ended;
            let rate = seen.saturating_sub(count) as f64 / at.elapsed().as_secs_f64().max(f64::EPSILON);
            if count > 0 && at.elapsed() >= TELL_EVERY {
                (self.say)(&format!("  {seen} sagas have ended, {rate:.1}/s lately"));
            }
            (at, count) = (Instant::now(), seen);
        }
    }
}

async fn machine(stack: &StackRecord) -> BTreeMap<String, String> {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let mut machine = BTreeMap::from([
        ("cores".to_owned(), cores.to_string()),
        ("sagactl".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("system".to_owned(), format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
    ]);
    if let Some(url) = stack.process(Service::Order).and_then(|it| it.database_url.as_deref())
        && let Ok(database) = session(url).await
        && let Ok(row) = database.query_one("show server_version", &[]).await
    {
        machine.insert("PostgreSQL".to_owned(), row.get(0));
    }
    if let Ok(version) = stack.management.version().await {
        machine.insert("RabbitMQ".to_owned(), version);
    }
    if let Ok(queues) = stack.management.queues(&stack.vhost).await {
        let queue = |name: &str| queues.iter().find(|queue| queue.name == name);
        if let Some(events) = queue("order.events") {
            machine.insert("queues".to_owned(), events.kind.clone());
        }
        if queue(TAP).is_some() {
            machine.insert(TAP.to_owned(), "keeps a copy of every message".to_owned());
        }
    }
    machine
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// When a run began, for folder names.
#[must_use]
pub fn stamp(at: DateTime<Utc>) -> String {
    at.format("%Y%m%d-%H%M%S").to_string()
}
