//! `sagactl audit`: check everything for contradictions.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

mod served;
mod watch;

use super::show::table;
use super::{Failure, Session};
use crate::audit::{
    self, AuditConfig, AuditReport, Check, ConnectionLimits, DatabaseUrls, ExpectedParked, ProviderAccount,
};
use crate::stack::{Program, StackRecord};

/// Seconds after which something is stuck, for who watches and says nothing else.
const WATCHED_LIVE: u64 = 60;

/// Flags of `sagactl audit`. Whatever URL is not given is that of the running private stack.
#[derive(Debug, clap::Args)]
pub struct Audit {
    /// The orders database
    #[arg(long, env = "ORDERS_DATABASE_URL", hide_env_values = true, value_name = "URL", help_heading = "Databases")]
    orders_database_url: Option<String>,
    /// The inventory database
    #[arg(
        long,
        env = "INVENTORY_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Databases"
    )]
    inventory_database_url: Option<String>,
    /// The payment database
    #[arg(long, env = "PAYMENT_DATABASE_URL", hide_env_values = true, value_name = "URL", help_heading = "Databases")]
    payment_database_url: Option<String>,
    /// The notification database
    #[arg(
        long,
        env = "NOTIFICATION_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Databases"
    )]
    notification_database_url: Option<String>,
    /// The payment provider; without it the money outside is not checked
    #[arg(long, env = "PROVIDER_URL", value_name = "URL", help_heading = "Payment provider")]
    provider_url: Option<String>,
    /// Its secret key
    #[arg(long, env = "PROVIDER_KEY", hide_env_values = true, value_name = "KEY", help_heading = "Payment provider")]
    provider_key: Option<String>,

    /// The broker's virtual host; without it queues are not looked at
    #[arg(long, env = "AMQP_URL", hide_env_values = true, value_name = "URL", help_heading = "Broker")]
    amqp_url: Option<String>,

    /// What all clients asked for and were told: JSON lines, as `sagactl chaos` writes them
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// From when on everything worked: orders must have ended 30 s after that, or after their deadline
    #[arg(long, value_name = "TIME")]
    working_since: Option<DateTime<Utc>>,
    /// Look at connections too: at most so many to each database, none idle in a transaction for 5 s
    #[arg(long, value_name = "COUNT")]
    connections: Option<u32>,
    /// Audit a system at work, without waiting for it to come to rest: what is younger than this is under way, not stuck
    #[arg(long, value_name = "SECONDS")]
    live: Option<u64>,
    /// Wait at most this long for the system to come to rest
    #[arg(long, default_value_t = 30, value_name = "SECONDS", conflicts_with = "live")]
    wait: u64,
    /// How many messages should be parked
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    parked: usize,
    /// A message that should be parked; may be repeated
    #[arg(long, value_name = "MESSAGE_ID", conflicts_with = "parked")]
    parked_message: Vec<Uuid>,

    #[command(flatten)]
    watch: watch::Watch,
}

impl Audit {
    pub(super) async fn run(mut self, session: &Session) -> Result<ExitCode, Failure> {
        // Of another system than the one that is spoken to it would tell nothing.
        let is_of_stack = session.stack.is_some() && self.orders_database_url.is_none();
        if self.watch.watch {
            let shows = is_of_stack || session.names_order_svc;
            let grace = Duration::from_secs(self.live.unwrap_or(WATCHED_LIVE));
            let watch = std::mem::take(&mut self.watch);
            let config = AuditConfig { grace, ..self.config(session.stack.as_ref())? };
            return watch.run(&config, session, shows).await;
        }
        let (live, wait) = (self.live, Duration::from_secs(self.wait));
        let mut config = self.config(session.stack.as_ref())?;
        let report = match live {
            Some(grace) => {
                config.grace = Duration::from_secs(grace);
                audit::run(&config).await?
            }
            None => {
                audit::reach(&config.databases).await?;
                audit::until_quiescent(&config, wait).await?
            }
        };
        if is_of_stack && let Err(error) = session.client.tell_audit(&report).await {
            eprintln!("note: order-svc does not show this verdict: {error}");
        }
        session.print(&report, people)?;
        Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn config(self, stack: Option<&StackRecord>) -> Result<AuditConfig, Failure> {
        let named = self.orders_database_url.is_some();
        let database = |given: Option<String>, program: Program, flag: &str| {
            let found = || stack?.process(program)?.database_url.clone();
            let missing = || {
                Failure::Usage(format!(
                    "no stack is running here: start one with `cargo demo` or `sagactl up`, or say where the databases are \
                     (--{flag} and so on, see --help)"
                ))
            };
            given.or_else(found).ok_or_else(missing)
        };
        let databases = DatabaseUrls {
            orders: database(self.orders_database_url, Program::OrderSvc, "orders-database-url")?,
            inventory: database(self.inventory_database_url, Program::InventorySvc, "inventory-database-url")?,
            payment: database(self.payment_database_url, Program::PaymentSvc, "payment-database-url")?,
            notification: database(
                self.notification_database_url,
                Program::NotificationSvc,
                "notification-database-url",
            )?,
        };
        let provider = match (self.provider_url, self.provider_key) {
            (Some(url), Some(key)) => Some(ProviderAccount { url, key }),
            (Some(_), None) => {
                return Err(Failure::Usage("--provider-url needs --provider-key".to_owned()));
            }
            (None, _) => stack.and_then(|stack| {
                let url = stack.process(Program::SandboxProvider)?.url.clone();
                Some(ProviderAccount { url, key: stack.provider_key.clone() })
            }),
        };
        let parked = match (self.parked, self.parked_message) {
            (0, ids) if ids.is_empty() => ExpectedParked::Nothing,
            (count, ids) if ids.is_empty() => ExpectedParked::Count(count),
            (_, ids) => ExpectedParked::Messages(ids),
        };
        // The stack's broker is that of other databases only by mistake.
        let amqp_url = self.amqp_url.or_else(|| Some(stack.filter(|_| !named)?.amqp_url.clone()));
        Ok(AuditConfig {
            parked,
            history: self.history,
            working_since: self.working_since,
            connections: self.connections.map(|connections| ConnectionLimits { connections, ..Default::default() }),
            amqp_url,
            ..AuditConfig::new(databases, provider)
        })
    }
}

fn people(report: &AuditReport) -> String {
    let mut checks = table(["check", "", "claim"], &[]);
    let mut row = |check: &Check, wrong: &str| {
        let verdict = if check.passed { "ok".to_owned() } else { format!("{} {wrong}", check.violations) };
        checks.add_row([check.name.clone(), verdict, check.claim.clone()]);
    };
    report.checks.iter().for_each(|check| row(check, "WRONG"));
    report.warnings.iter().for_each(|check| row(check, "ODD"));
    let counts: Vec<String> = report.counts.iter().map(|(what, n)| format!("{n} {what}")).collect();
    format!("{checks}\n{}\n{report}", counts.join(", "))
}
