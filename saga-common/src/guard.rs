//! R1, guard rows: one row per (saga, step), inserted before anything else in the step's transaction. It makes the
//! effect happen once, fences a late action after its undo, and is this service's line in the saga's timeline.
//! All SQL on `saga.idempotency_keys` is here; everything is set-wise and in key order (R7).
//!
//! The barrier is dtm's (insert the action's key from the undo); that it is written first, by one unique index, and
//! never deleted eagerly is what makes it hold (see ARCHITECTURE.md).

use crate::db::{DbError, Tx};
use crate::ids::{MessageId, SagaId};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// `(saga, step)`.
pub(crate) type Key = (SagaId, String);

/// What a guard row says of its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Inserted by a transaction that is still running: never seen by another.
    Open,
    /// The action took effect.
    Done,
    /// The action refused.
    Rejected,
    /// The action came too late to matter.
    Superseded,
    /// A call outside is to be made or under way.
    Intent,
    /// A call outside that reverses the action is to be made or under way.
    Undoing,
    /// The action took effect and was reversed.
    Undone,
    /// The action never ran and never will.
    Fenced,
    /// Of the line `compensate`: there was nothing to reverse.
    NothingToUndo,
}

impl Verdict {
    /// The word in the row, the timeline and the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::Intent => "intent",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::Fenced => "fenced",
            Self::NothingToUndo => "nothing-to-undo",
        }
    }

    pub(crate) fn parse(word: &str) -> Result<Self, DbError> {
        let all = [
            Self::Open,
            Self::Done,
            Self::Rejected,
            Self::Superseded,
            Self::Intent,
            Self::Undoing,
            Self::Undone,
            Self::Fenced,
            Self::NothingToUndo,
        ];
        all.into_iter()
            .find(|v| v.as_str() == word)
            .ok_or_else(|| DbError::Broken(format!("a guard row has the unknown verdict `{word}`")))
    }
}

/// A guard row about to be inserted.
#[derive(Debug, Clone)]
pub(crate) struct NewGuard {
    pub(crate) key: Key,
    pub(crate) verdict: Verdict,
    pub(crate) message_id: MessageId,
    pub(crate) causation_id: Option<MessageId>,
    /// Of the event that made the action run; none for a fence.
    pub(crate) body_hash: Option<Vec<u8>>,
}

/// A guard row that was there already.
#[derive(Debug, Clone)]
pub(crate) struct Existing {
    pub(crate) verdict: Verdict,
    pub(crate) body_hash: Option<Vec<u8>>,
    pub(crate) said: Option<Recorded>,
}

/// What a step said, as its guard row recorded it.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) id: MessageId,
    pub(crate) event_type: String,
    pub(crate) body: Vec<u8>,
}

/// The end of a step: its verdict and what it said.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) key: Key,
    /// The verdict the row must have now; another transaction cannot have changed it.
    pub(crate) was: Verdict,
    pub(crate) verdict: Verdict,
    pub(crate) said: Option<Recorded>,
    pub(crate) detail: Option<String>,
}

/// Inserts what is not there yet and returns the keys it inserted. Waits for a transaction that is inserting the same
/// key. `guards` must have unique keys.
pub(crate) async fn insert(tx: &Tx, mut guards: Vec<NewGuard>) -> Result<BTreeSet<Key>, DbError> {
    guards.sort_by(|a, b| a.key.cmp(&b.key));
    let sagas: Vec<Uuid> = guards.iter().map(|g| g.key.0.as_uuid()).collect();
    let steps: Vec<&str> = guards.iter().map(|g| g.key.1.as_str()).collect();
    let verdicts: Vec<&str> = guards.iter().map(|g| g.verdict.as_str()).collect();
    let messages: Vec<Uuid> = guards.iter().map(|g| g.message_id.as_uuid()).collect();
    let causes: Vec<Option<Uuid>> = guards.iter().map(|g| g.causation_id.map(|id| id.as_uuid())).collect();
    let hashes: Vec<Option<&[u8]>> = guards.iter().map(|g| g.body_hash.as_deref()).collect();
    let rows = tx
        .query(
            "insert into saga.idempotency_keys (saga_id, step, verdict, message_id, causation_id, body_hash)
             select * from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::bytea[])
             on conflict do nothing returning saga_id, step",
            &[&sagas, &steps, &verdicts, &messages, &causes, &hashes],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get::<_, Uuid>(0).into(), row.get(1))).collect())
}

/// Locks and reads rows that are there, in key order. A new statement: it sees what the insert waited for.
pub(crate) async fn lock(tx: &Tx, keys: &BTreeSet<Key>) -> Result<BTreeMap<Key, Existing>, DbError> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sagas: Vec<Uuid> = keys.iter().map(|k| k.0.as_uuid()).collect();
    let steps: Vec<&str> = keys.iter().map(|k| k.1.as_str()).collect();
    let rows = tx
        .query(
            "select k.saga_id, k.step, k.verdict, k.body_hash, k.said_id, k.said_type, k.said_body
             from saga.idempotency_keys k
             join unnest($1::uuid[], $2::text[]) u(saga_id, step) on k.saga_id = u.saga_id and k.step = u.step
             order by k.saga_id, k.step for update of k",
            &[&sagas, &steps],
        )
        .await?;
    rows.iter().map(|row| Ok(((row.get::<_, Uuid>(0).into(), row.get(1)), existing(row)?))).collect()
}

/// Has each of these (different) steps of the saga run? Also those of the running transaction; not those that are fenced.
pub(crate) async fn all_run(tx: &Tx, saga_id: SagaId, steps: &[String]) -> Result<bool, DbError> {
    let row = tx
        .query_one(
            "select count(*) from saga.idempotency_keys where saga_id = $1 and step = any($2) and verdict <> $3",
            &[&saga_id.as_uuid(), &steps, &Verdict::Fenced.as_str()],
        )
        .await?;
    Ok(usize::try_from(row.get::<_, i64>(0)).is_ok_and(|run| run == steps.len()))
}

fn existing(row: &tokio_postgres::Row) -> Result<Existing, DbError> {
    let said = row.get::<_, Option<Uuid>>(4).map(|id| Recorded {
        id: id.into(),
        event_type: row.get::<_, Option<String>>(5).unwrap_or_default(),
        body: row.get::<_, Option<Vec<u8>>>(6).unwrap_or_default(),
    });
    Ok(Existing { verdict: Verdict::parse(row.get(2))?, body_hash: row.get(3), said })
}

/// Writes the verdicts: the last statement before COMMIT (R5). It must hit every row, because the COMMIT of an aborted
/// transaction succeeds silently.
pub(crate) async fn settle(tx: &Tx, settled: &[Settled]) -> Result<(), DbError> {
    if settled.is_empty() {
        return Ok(());
    }
    let sagas: Vec<Uuid> = settled.iter().map(|s| s.key.0.as_uuid()).collect();
    let steps: Vec<&str> = settled.iter().map(|s| s.key.1.as_str()).collect();
    let was: Vec<&str> = settled.iter().map(|s| s.was.as_str()).collect();
    let verdicts: Vec<&str> = settled.iter().map(|s| s.verdict.as_str()).collect();
    let said = |f: &dyn Fn(&Recorded) -> Uuid| -> Vec<Option<Uuid>> {
        settled.iter().map(|s| s.said.as_ref().map(f)).collect()
    };
    let said_ids = said(&|r| r.id.as_uuid());
    let said_types: Vec<Option<&str>> =
        settled.iter().map(|s| s.said.as_ref().map(|r| r.event_type.as_str())).collect();
    let said_bodies: Vec<Option<&[u8]>> = settled.iter().map(|s| s.said.as_ref().map(|r| r.body.as_slice())).collect();
    let details: Vec<Option<&str>> = settled.iter().map(|s| s.detail.as_deref()).collect();
    let hit = tx
        .execute(
            "update saga.idempotency_keys k
             set verdict = u.verdict, settled_at = clock_timestamp(), detail = coalesce(u.detail, k.detail),
                 said_id = coalesce(u.said_id, k.said_id), said_type = coalesce(u.said_type, k.said_type),
                 said_body = coalesce(u.said_body, k.said_body)
             from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::bytea[], $8::text[])
                  u(saga_id, step, was, verdict, said_id, said_type, said_body, detail)
             where k.saga_id = u.saga_id and k.step = u.step and k.verdict = u.was",
            &[&sagas, &steps, &was, &verdicts, &said_ids, &said_types, &said_bodies, &details],
        )
        .await?;
    if hit == settled.len() as u64 {
        return Ok(());
    }
    Err(DbError::Broken(format!("{hit} of {} verdicts were written: the transaction is given up", settled.len())))
}

/// How many guard rows of the saga have this verdict.
pub(crate) async fn count(tx: &Tx, saga_id: SagaId, verdict: Verdict) -> Result<i64, DbError> {
    let row = tx
        .query_one(
            "select count(*) from saga.idempotency_keys where saga_id = $1 and verdict = $2",
            &[&saga_id.as_uuid(), &verdict.as_str()],
        )
        .await?;
    Ok(row.get(0))
}
