//! What steps have said, for those who ask again: an announcement that is repeated is answered with the recorded words (R4).
//! `saga.said` has one row for each unit of work that said anything, and is only ever inserted into: by the statement that writes
//! the unit's outbox row (`outbox/store.rs`).
//!
//! The id of a unit is made by this process's clock. One that is weeks ahead finds no partition for it, and the unit fails as a
//! whole; with one that is days behind, the words are dropped so many days before the guard rows are.

use crate::db::{DbError, Tx};
use crate::guard::Key;
use crate::ids::MessageId;
use crate::partitions;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What a step said, as it was recorded.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) id: MessageId,
    pub(crate) event_type: String,
    pub(crate) body: Vec<u8>,
}

/// What these steps have said, as far as they have said anything.
pub(crate) async fn read(tx: &Tx, keys: &BTreeSet<Key>) -> Result<BTreeMap<Key, Recorded>, DbError> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sagas: Vec<Uuid> = keys.iter().map(|key| key.0.as_uuid()).collect();
    let steps: Vec<&str> = keys.iter().map(|key| key.1.as_str()).collect();
    let sql = format!(
        "select k.saga_id, k.step, k.said_id, k.said_type, s.bodies[array_position(s.ids, k.said_id)]
         from unnest($1::uuid[], $2::text[]) u(saga_id, step)
         join {guards} k on k.saga_id = u.saga_id and k.step = u.step
         join saga.said s on s.unit = k.said_unit
         where array_position(s.ids, k.said_id) is not null",
        guards = partitions::guards_of(keys.iter().map(|key| key.0)),
    );
    let rows = tx.query(&sql, &[&sagas, &steps]).await?;
    let recorded = rows.iter().map(|row| {
        let id: Uuid = row.get(2);
        let key = (row.get::<_, Uuid>(0).into(), row.get(1));
        (key, Recorded { id: id.into(), event_type: row.get(3), body: row.get(4) })
    });
    Ok(recorded.collect())
}
