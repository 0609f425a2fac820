//! PostgreSQL stops, crashes, cuts off, refuses, locks.

use super::{Call, Claim, Done, Fault, Group, Kind, NotInjected, Outcome, Recovers, sentence};
use crate::chaos::rig::Rig;
use crate::client::Service;
use crate::stack::Program::{self, InventorySvc, NotificationSvc, OrderSvc, PaymentSvc};

mod server;
mod session;

use session::Session;

/// What happens to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Immediate stop and start.
    Crash,
    /// Fast stop and start.
    Restart,
    /// Nothing can be written.
    DiskFull,
    /// All backends of one service are ended.
    EndBackends,
    /// Backends of one service that are in a transaction are ended, again and again.
    EndTransactions,
    /// Statements of one service are cancelled, again and again.
    CancelStatements,
    /// A stranger locks business rows.
    LockRows,
    /// A stranger locks the outbox as a whole.
    LockOutbox,
    /// A stranger locks rows in the opposite order.
    Deadlock,
    /// A stranger's transaction stays open.
    LongTransaction,
    /// The service gets no new connection, and loses those it has.
    NoConnections,
    /// The service finds its database read-only.
    ReadOnly,
    /// Columns come and go.
    Ddl,
}

const SERVICES: &[Program] = &[OrderSvc, InventorySvc, PaymentSvc, NotificationSvc];
const PARTICIPANTS: &[Program] = &[OrderSvc, InventorySvc, PaymentSvc];

const CRASH: Kind = Kind {
    name: "postgres-crash",
    group: Group::Database,
    does: "immediate stop of PostgreSQL, then it is started and recovers from its log",
    stands_for: "a crash or power cut of the database machine",
    heals: "started again at once",
    lasts_ms: (0, 2_000),
    overhead_ms: 1_500,
    claim: Claim::Servers,
    targets: &[],
    recovers: Recovers::FromEnd,
    fault: Fault::Database(Trouble::Crash),
};

const fn on_one(
    name: &'static str,
    targets: &'static [Program],
    trouble: Trouble,
    lasts_ms: (u64, u64),
    texts: [&'static str; 3],
) -> Kind {
    Kind {
        name,
        does: texts[0],
        stands_for: texts[1],
        heals: texts[2],
        lasts_ms,
        overhead_ms: 200,
        claim: Claim::ServersUp,
        targets,
        fault: Fault::Database(trouble),
        ..CRASH
    }
}

/// The kinds.
pub static KINDS: &[Kind] = &[
    CRASH,
    Kind {
        name: "postgres-restart",
        does: "fast restart of PostgreSQL: open transactions are aborted, clients cut off",
        stands_for: "an upgrade of the database",
        fault: Fault::Database(Trouble::Restart),
        ..CRASH
    },
    Kind {
        name: "postgres-disk-full",
        does: "nothing can be written beyond the first pages of any file: transactions fail, then the server ends itself",
        stands_for: "a full disk",
        heals: "there is room again, and the server is started",
        lasts_ms: (1_000, 5_000),
        fault: Fault::Database(Trouble::DiskFull),
        ..CRASH
    },
    Kind {
        recovers: Recovers::FromBegin,
        ..on_one(
            "end-backends",
            SERVICES,
            Trouble::EndBackends,
            (0, 0),
            ["all of a service's backends are ended", "an administrator's command", "the service connects again"],
        )
    },
    on_one(
        "end-transactions",
        PARTICIPANTS,
        Trouble::EndTransactions,
        (1_000, 3_000),
        [
            "backends of a service are ended in the middle of their transactions, again and again",
            "a database that is being emptied for maintenance",
            "the service connects again",
        ],
    ),
    on_one(
        "cancel-statements",
        PARTICIPANTS,
        Trouble::CancelStatements,
        (500, 1_500),
        ["running statements of a service are cancelled, again and again", "statement timeouts", "tried again"],
    ),
    on_one(
        "lock-rows",
        PARTICIPANTS,
        Trouble::LockRows,
        (1_000, 6_000),
        [
            "a stranger locks all stock rows, the latest orders, or all wallets",
            "a report, a backup, a forgotten transaction",
            "the stranger rolls back",
        ],
    ),
    on_one(
        "lock-outbox",
        PARTICIPANTS,
        Trouble::LockOutbox,
        (1_000, 4_000),
        ["a stranger locks the outbox table as a whole", "a migration, VACUUM FULL", "the stranger rolls back"],
    ),
    on_one(
        "deadlock",
        &[InventorySvc, PaymentSvc],
        Trouble::Deadlock,
        (1_500, 4_000),
        [
            "a stranger locks stock rows or wallets one by one, in the opposite order",
            "another program on the same tables",
            "PostgreSQL ends one of the two; tried again",
        ],
    ),
    on_one(
        "long-transaction",
        SERVICES,
        Trouble::LongTransaction,
        (8_000, 20_000),
        [
            "a stranger's transaction stays open, so that nothing can be vacuumed",
            "a forgotten session: the queue tables bloat",
            "the stranger rolls back",
        ],
    ),
    on_one(
        "no-connections",
        SERVICES,
        Trouble::NoConnections,
        (500, 4_000),
        [
            "a service's backends are ended and it gets no new ones: too many connections",
            "connection slots used up",
            "the limit is lifted",
        ],
    ),
    on_one(
        "read-only",
        PARTICIPANTS,
        Trouble::ReadOnly,
        (500, 3_000),
        [
            "a service finds its database read-only",
            "a failover to a standby that is not promoted",
            "it is writable again",
        ],
    ),
    on_one(
        "schema-change",
        PARTICIPANTS,
        Trouble::Ddl,
        (300, 1_500),
        ["a column is added to the busiest table and dropped again", "a migration under load", "prepared anew"],
    ),
];

pub(super) async fn inject(trouble: Trouble, rig: &Rig, mut call: Call) -> Outcome {
    if let Trouble::Crash | Trouble::Restart | Trouble::DiskFull = trouble {
        return server::inject(trouble, rig, &call).await;
    }
    let target = call.target()?;
    let database = target.database().unwrap_or_default();
    let session = Session::open(rig, database).await?;
    match trouble {
        Trouble::EndBackends => {
            let ended = session.end_backends(database).await?;
            return Ok(if ended == 0 { Done::missed("it had none") } else { Done::with(format!("{ended} backends")) });
        }
        Trouble::EndTransactions => {
            let busy =
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1 and xact_start is not null";
            return session.repeat(rig, call.lasts, busy, database).await;
        }
        Trouble::CancelStatements => {
            let busy = "select pg_cancel_backend(pid) from pg_stat_activity where usename = $1 and state = 'active'";
            return session.repeat(rig, call.lasts, busy, database).await;
        }
        Trouble::LockRows => {
            let rows = match target {
                InventorySvc => "select from stock order by sku for update",
                PaymentSvc => "select from wallets order by customer_id for update",
                _ => "select from orders order by id desc limit 200 for update",
            };
            session.hold_open(rig, call.lasts, &format!("begin; {rows}")).await?;
        }
        Trouble::LockOutbox => {
            session.hold_open(rig, call.lasts, "begin; lock table saga.outbox in access exclusive mode").await?;
        }
        Trouble::LongTransaction => {
            let look = "begin isolation level repeatable read; select count(*) from saga.outbox";
            session.hold_open(rig, call.lasts, look).await?;
        }
        Trouble::Deadlock => return session.deadlock(rig, &mut call, target).await,
        Trouble::NoConnections => {
            session.execute(&format!("alter role {database} connection limit 0")).await?;
            let ended = session.end_backends(database).await;
            rig.hold(call.lasts).await;
            session.execute(&format!("alter role {database} connection limit -1")).await?;
            return Ok(Done::with(format!("{} backends", ended?)));
        }
        Trouble::ReadOnly => {
            session.execute(&format!("alter role {database} set default_transaction_read_only = on")).await?;
            session.end_backends(database).await?;
            rig.hold(call.lasts).await;
            session.execute(&format!("alter role {database} reset default_transaction_read_only")).await?;
            session.end_backends(database).await?;
        }
        Trouble::Ddl => {
            let table = match target {
                InventorySvc => "stock",
                PaymentSvc => "wallets",
                _ => "orders",
            };
            session.execute(&format!("alter table {table} add column if not exists chaos int default 1")).await?;
            rig.hold(call.lasts).await;
            session.execute(&format!("alter table {table} drop column if exists chaos")).await?;
        }
        Trouble::Crash | Trouble::Restart | Trouble::DiskFull => {}
    }
    Ok(Done::quietly())
}

/// Undoes what a fault that was broken off may have left in the catalogue.
pub(in crate::chaos) async fn heal(rig: &Rig) -> Result<(), NotInjected> {
    let session = Session::open(rig, "postgres").await?;
    for service in Service::ALL {
        let role = Program::from(service).database().unwrap_or_default();
        session.execute(&format!("alter role {role} connection limit -1")).await?;
        session.execute(&format!("alter role {role} reset default_transaction_read_only")).await?;
    }
    Ok(())
}
