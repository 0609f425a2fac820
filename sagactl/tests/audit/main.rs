//! The auditor against real databases. What it finds is tested on a real system (`corruptions`); how it goes about it, on a small
//! one that is written by hand (`system`).

use std::time::Duration;

use sagactl::audit::Database::{Inventory, Orders};
use sagactl::audit::{self, AuditError, Database};

mod corruptions;
mod ledger;
mod stage;
mod system;

use system::{CANCELLED_BY_CARD, System, clean_ledger};

#[tokio::test]
async fn a_clean_system_passes() {
    let system = System::new().await;
    system.restore().await;
    let report = system.audit().await;
    assert!(report.is_clean() && report.warned().count() == 0, "{report}");
    assert_eq!((report.counts["orders"], report.counts["provider intents"]), (6, 2));
}

#[tokio::test]
async fn a_ledger_of_many_pages_is_read_to_its_end() {
    let system = System::new().await;
    system.restore().await;
    let mut ledger = ledger::Ledger::default();
    for n in 0..250 {
        ledger = ledger.intent(&format!("pi_{n}"), CANCELLED_BY_CARD, 990, "requires_payment_method");
    }
    let clean = clean_ledger();
    ledger.intents.extend(clean.intents);
    ledger.refunds.extend(clean.refunds);
    system.provider_shows(ledger);
    let report = system.audit().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.counts["provider intents"], 252);
}

#[tokio::test]
async fn what_is_younger_than_the_grace_is_under_way() {
    let mut system = System::new().await;
    system.restore().await;
    let fresh = "insert into saga.outbox (unit, ids, sagas, types, fanned_out, causations, traceparents, announcements, bodies,
                                          owner, leased_until)
        values (gen_random_uuid(), array[gen_random_uuid()], array[gen_random_uuid()], '{x.v1}', '{f}', '{null}', '{null}', '{0}',
                array[''::bytea], gen_random_uuid(), now())";
    system.sql(Orders, fresh).await;
    assert!(!system.audit().await.is_clean());
    system.config.grace = Duration::from_secs(60);
    let report = system.audit().await;
    assert!(report.is_clean(), "{report}");
    system.sql(Orders, "update saga.outbox set created_at = created_at - interval '2 minutes'").await;
    assert!(!system.audit().await.is_clean());
}

#[tokio::test]
async fn a_system_with_work_in_flight_is_waited_for_and_then_said_to_be_restless() {
    let system = System::new().await;
    system.restore().await;
    let report = audit::until_quiescent(&system.config, Duration::from_secs(20)).await.expect("an audit");
    assert!(report.is_clean(), "{report}");
    assert!(report.check("quiescent").is_some_and(|check| check.passed));

    system
        .sql(
            Orders,
            "update orders set status = 'pending', deadline_at = now() + interval '1 hour' where id::text like '%e5'",
        )
        .await;
    let report = audit::until_quiescent(&system.config, Duration::from_millis(600)).await.expect("an audit");
    let restless = report.check("quiescent").expect("made");
    assert_eq!(restless.findings[0].id, "orders: orders pending");
}

#[tokio::test]
async fn a_database_without_tables_is_an_error_in_one_sentence() {
    let system = System::new().await;
    system.sql(Inventory, "drop table reservations").await;
    let error = audit::run(&system.config).await.expect_err("nothing to read");
    assert!(matches!(error, AuditError::MissingTable { database: Inventory, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "the inventory database lacks what the audit reads (relation \"reservations\" does not exist): \
         has inventory's service been started on it?"
    );
}

#[tokio::test]
async fn a_history_that_is_none_is_an_error_in_one_sentence() {
    let mut system = System::new().await;
    let file = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no-history.jsonl");
    std::fs::write(&file, "{\"what\":\"dreamt\"}\n").expect("a file");
    system.config.history = Some(file.clone());
    let error = audit::run(&system.config).await.expect_err("nothing to read").to_string();
    assert!(
        error.starts_with(&format!("the history {} cannot be read: line 1: unknown variant", file.display())),
        "{error}"
    );
    std::fs::remove_file(&file).expect("the file");
    let error = audit::run(&system.config).await.expect_err("nothing to read");
    assert!(matches!(error, AuditError::History { .. }), "{error}");
}

#[tokio::test]
async fn guard_rows_past_retention_are_not_missed() {
    let system = System::new().await;
    system.restore().await;
    for database in Database::ALL {
        let retention = "alter table saga.idempotency_keys detach partition saga.every_key;
            drop table saga.every_key;
            create table saga.latest_keys partition of saga.idempotency_keys
                for values from ('019a0000-0000-7000-8000-0000000000ff') to (maxvalue)";
        system.sql(database, retention).await;
    }
    let report = system.audit().await;
    assert!(report.is_clean(), "{report}");
}
