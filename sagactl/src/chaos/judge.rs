//! After healing: waits for rest, audits, says everything again, and audits once more.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::replay::{self, Print, ReplayError, Replayed};
use super::rest::{self, Rest};
use super::rig::Rig;
use super::run::Settings;
use crate::audit::{self, AuditConfig, AuditReport, Check, ConnectionLimits, ExpectedParked, Finding};

/// Patience with what announces, waits and settles after all orders have ended.
const QUIET_WITHIN: Duration = Duration::from_secs(120);
/// Patience with everything being said again: no message does anything, but there are many.
const REPLAY_WITHIN: Duration = Duration::from_secs(1_800);

/// What the checks say.
pub(super) struct Judged {
    pub(super) rest: Rest,
    pub(super) checks: Vec<Check>,
    pub(super) audit: AuditReport,
    pub(super) replayed: Replayed,
}

pub(super) async fn judge(
    rig: &Rig,
    settings: &Settings,
    history: PathBuf,
    healed: DateTime<Utc>,
    say: impl Fn(&str),
) -> Judged {
    let (rest, mut checks) = rest::wait(&rig.stack, settings.deadline).await;
    let config = AuditConfig {
        parked: ExpectedParked::Messages(rig.junk()),
        history: Some(history),
        working_since: Some(healed),
        connections: Some(ConnectionLimits::default()),
        amqp_url: Some(rig.stack.amqp_url().to_owned()),
        ..rig.stack.audit_config()
    };
    let audit = audited(&config, QUIET_WITHIN, &mut checks).await;
    if let Some(trouble) = rig.load.trouble() {
        checks.push(failed("history", "the load client's history is complete", trouble));
    }
    say("Saying everything again, in random order ..");
    let replayed = replayed(rig, &config, &mut checks).await.unwrap_or_else(|error| {
        checks.push(failed("replay", "everything can be said again", error.to_string()));
        Replayed::default()
    });
    Judged { rest, checks, audit, replayed }
}

async fn audited(config: &AuditConfig, patience: Duration, checks: &mut Vec<Check>) -> AuditReport {
    audit::until_quiescent(config, patience).await.unwrap_or_else(|error| {
        checks.push(failed("audit", "everything can be audited", error.to_string()));
        AuditReport::default()
    })
}

/// Says everything again, and compares; what the audit finds then that it should not is a check of its own.
async fn replayed(rig: &Rig, config: &AuditConfig, checks: &mut Vec<Check>) -> Result<Replayed, ReplayError> {
    let until = Utc::now();
    let before = Print::take(rig, until).await?;
    let replayed = replay::replay(rig).await?;
    let audit = audited(config, REPLAY_WITHIN, checks).await;
    checks.push(Print::take(rig, until).await?.unchanged(&before));
    let after = |check: Check| Check { name: format!("{}, after the replay", check.name), ..check };
    checks.extend(audit.checks.into_iter().filter(|check| !check.passed).map(after));
    Ok(replayed)
}

fn failed(name: &str, claim: &str, actual: String) -> Check {
    let finding = Finding { id: name.to_owned(), expected: "it can".to_owned(), actual };
    Check { name: name.to_owned(), claim: claim.to_owned(), passed: false, violations: 1, findings: vec![finding] }
}
