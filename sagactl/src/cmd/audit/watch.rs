//! `sagactl audit --watch`: the audit again and again, and the sagas that do not end, with what each waits for and what helps.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use serde::Serialize;
use uuid::Uuid;

use super::served::Verdict;
use crate::audit::{self, AuditConfig, AuditReport};
use crate::client::{Client, ClientError, OrderFilter};
use crate::cmd::launch::StopSignal;
use crate::cmd::saga::{self, SagaView};
use crate::cmd::{Failure, Session};

/// Flags of `--watch`.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Watch {
    /// Audit again and again, a system at work as with `--live 60` unless said; print what is new
    #[arg(long)]
    pub(super) watch: bool,
    /// How long after an audit the next one begins
    #[arg(long, default_value_t = 60, value_name = "SECONDS", requires = "watch")]
    interval_seconds: u64,
    /// From which age on an order that has not ended is named, with what it waits for
    #[arg(long, default_value_t = 120, value_name = "SECONDS", requires = "watch")]
    stuck_after_seconds: u64,
    /// Serve `/metrics` and `/livez` here: violations, stuck sagas, and when the last audit was
    #[arg(long, value_name = "ADDRESS", requires = "watch")]
    metrics_listen: Option<SocketAddr>,
}

/// An order that has not ended, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Stuck {
    saga_id: Uuid,
    status: String,
    waits_for: String,
    command: String,
}

/// One line of output.
#[derive(Debug, Serialize)]
struct Round {
    at: String,
    checks: usize,
    violations: u64,
    /// Findings that were not there the last time: `check: what`.
    new: Vec<String>,
    /// None: the services did not answer.
    stuck: Option<Vec<Stuck>>,
}

impl Watch {
    /// Audits until stopped. `shows`: order-svc is told each verdict, since it is the one whose databases are read.
    pub(super) async fn run(&self, config: &AuditConfig, session: &Session, shows: bool) -> Result<ExitCode, Failure> {
        let verdict = Verdict::none_yet();
        let mut stop =
            StopSignal::listen().map_err(|error| Failure::Failed(format!("listening for signals: {error}")))?;
        if let Some(address) = self.metrics_listen {
            verdict
                .serve(address)
                .await
                .map_err(|error| Failure::Usage(format!("--metrics-listen {address}: {error}")))?;
        }
        let again = async {
            let mut known = BTreeSet::new();
            loop {
                match audit::run(config).await {
                    Ok(report) => {
                        let stuck = self.stuck(session, shows.then_some(&report)).await;
                        let violations = report.failed().map(|check| check.violations).sum();
                        verdict.note(violations, stuck.as_ref().map(Vec::len));
                        let found = findings(&report);
                        let new = found.difference(&known).cloned().collect();
                        known = found;
                        let round = Round { at: now(), checks: report.checks.len(), violations, new, stuck };
                        session.print_line(&round, people)?;
                    }
                    // It may be starting again. The time of the last audit tells how long it has not been made.
                    Err(error) => eprintln!("{}  {error}", now()),
                }
                tokio::time::sleep(Duration::from_secs(self.interval_seconds)).await;
            }
        };
        tokio::select! {
            failed = again => failed,
            () = stop.received() => Ok(ExitCode::SUCCESS),
        }
    }

    /// The sagas that do not end, and the verdict to order-svc. Services that do not answer are no reason not to tell what the databases say.
    async fn stuck(&self, session: &Session, report: Option<&AuditReport>) -> Option<Vec<Stuck>> {
        let asked = async {
            let client = session.renewed_client().await?;
            if let Some(report) = report
                && let Err(error) = client.tell_audit(report).await
            {
                eprintln!("{}  note: order-svc does not show this verdict: {error}", now());
            }
            stuck(&client, Duration::from_secs(self.stuck_after_seconds)).await
        };
        match asked.await {
            Ok(stuck) => Some(stuck),
            Err(failure) => {
                eprintln!("{}  who is stuck is not known: {failure}", now());
                None
            }
        }
    }
}

fn now() -> String {
    Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn findings(report: &AuditReport) -> BTreeSet<String> {
    let of = |check: &crate::audit::Check| {
        let name = check.name.clone();
        let tell = move |it: &crate::audit::Finding| {
            format!("{name}: {}: expected {}; found {}", it.id, it.expected, it.actual)
        };
        check.findings.iter().map(tell).collect::<Vec<_>>()
    };
    report.failed().flat_map(of).collect()
}

async fn stuck(client: &Client, after: Duration) -> Result<Vec<Stuck>, Failure> {
    let mut stuck = Vec::new();
    for status in ["pending", "cancelling", "returning"] {
        let mut cursor = None;
        loop {
            let filter = OrderFilter { status: Some(status.to_owned()), limit: Some(100), cursor };
            let page = client.orders(&filter).await.map_err(Failure::from)?;
            for order in page.orders {
                let (saga_id, since) = match &order.taken_back {
                    Some(taken_back) if status == "returning" => (taken_back.id, taken_back.requested_at),
                    _ => (order.id, order.created_at),
                };
                if (Utc::now() - since).to_std().is_ok_and(|age| age > after) {
                    stuck.push(explain(saga_id, status, saga::view(client, saga_id).await));
                }
            }
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
    }
    stuck.sort();
    Ok(stuck)
}

/// What a saga waits for, by what its services tell: what is set aside first, then who is silent, then who should act.
fn explain(saga_id: Uuid, status: &str, view: Result<SagaView, Vec<ClientError>>) -> Stuck {
    let show = format!("sagactl saga show {saga_id}");
    let (waits_for, command) = match view {
        Err(_) => ("any service to answer".to_owned(), show),
        Ok(view) => {
            if let Some(saga::Waiting { service, message }) = view.waiting.first() {
                let reason = message.reason.as_deref().unwrap_or("no reason");
                let what = format!(
                    "{} at {service}, {} for {} attempts: {reason}",
                    message.step, message.state, message.attempts
                );
                (what, format!("sagactl parked redrive {}", message.message_id))
            } else if let Some(silence) = view.silent.first() {
                (format!("{}, which is silent: {}", silence.service, silence.reason), show)
            } else if let Some(expected) = view.expected.first() {
                (format!("{} at {} to react to {}", expected.step, expected.service, expected.reacts_to), show)
            } else if let Some(line) =
                view.lines.iter().rev().find(|line| ["intent", "undoing"].contains(&line.verdict.as_str()))
            {
                (format!("{} at {}, whose call outside has not ended", line.step, line.service), show)
            } else {
                ("nothing that its services know of".to_owned(), format!("sagactl audit; {show}"))
            }
        }
    };
    Stuck { saga_id, status: status.to_owned(), waits_for, command }
}

fn people(round: &Round) -> String {
    let Round { at, checks, violations, new, stuck } = round;
    let how_many = stuck.as_ref().map_or("nobody knows how many".to_owned(), |stuck| stuck.len().to_string());
    let mut text = format!("{at}  {checks} checks, {violations} violations, {how_many} stuck");
    for finding in new {
        text += &format!("\n  new: {finding}");
    }
    for Stuck { saga_id, status, waits_for, command } in stuck.iter().flatten() {
        text += &format!("\n  stuck: {saga_id} is {status} and waits for {waits_for}\n         {command}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Service, WaitingMessage};
    use saga_choreography::{Expectation, ExpectedState};

    fn view() -> SagaView {
        let nothing = (vec![], vec![], vec![], vec![], vec![]);
        let (lines, expected, terminal, waiting, silent) = nothing;
        SagaView { saga_id: Uuid::nil(), lines, expected, terminal, waiting, silent }
    }

    #[test]
    fn a_stuck_saga_is_told_with_what_it_waits_for_and_what_helps() {
        let message = WaitingMessage {
            message_id: Uuid::max(),
            step: "reserve-stock".to_owned(),
            state: "parked".to_owned(),
            attempts: 12,
            reason: Some("no such shelf".to_owned()),
            due_at: None,
        };
        let waiting = SagaView { waiting: vec![saga::Waiting { service: Service::Inventory, message }], ..view() };
        let stuck = explain(Uuid::nil(), "pending", Ok(waiting));
        assert_eq!(stuck.waits_for, "reserve-stock at inventory-svc, parked for 12 attempts: no such shelf");
        assert_eq!(stuck.command, format!("sagactl parked redrive {}", Uuid::max()));
        let expected = Expectation {
            service: "payment-svc".to_owned(),
            step: "charge-payment".to_owned(),
            reacts_to: "stock.reserved.v1".to_owned(),
            message_id: Uuid::nil(),
            said_at: Utc::now(),
            state: ExpectedState::Late,
        };
        let stuck = explain(Uuid::nil(), "pending", Ok(SagaView { expected: vec![expected], ..view() }));
        assert_eq!(stuck.waits_for, "charge-payment at payment-svc to react to stock.reserved.v1");
        assert!(stuck.command.starts_with("sagactl saga show"));
    }
}
