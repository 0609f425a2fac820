//! What steps have said, for those who ask again: an announcement that is repeated is answered with the recorded words (R4).
//! All SQL on `saga.said`, which has one row for each unit of work that said anything, and is only ever inserted into.
//!
//! The id of a unit is made by this process's clock; a clock that is days off finds no partition for it, as it finds none
//! for the sagas it starts, and the unit fails as a whole.

use crate::db::{DbError, Statement, Tx, Xact};
use crate::guard::Key;
use crate::ids::{MessageId, UnitId};
use crate::outbox::Outgoing;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What a step said, as it was recorded.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) id: MessageId,
    pub(crate) event_type: String,
    pub(crate) body: Vec<u8>,
}

/// Records what the steps of a unit say.
pub(crate) fn insert<'a>(unit: UnitId, messages: &'a [Outgoing], xact: Option<&'a Xact>) -> Option<Statement<'a>> {
    if messages.is_empty() {
        return None;
    }
    let ids: Vec<Uuid> = messages.iter().map(|m| m.id.as_uuid()).collect();
    let bodies: Vec<&[u8]> = messages.iter().map(|m| m.body.as_slice()).collect();
    let sql = "insert into saga.said (unit, ids, bodies) select $1::uuid, $2::uuid[], $3::bytea[]
               where $4::text is null or pg_current_xact_id_if_assigned() = $4::xid8";
    Some(Statement::new(sql).with(unit.as_uuid()).with(ids).with(bodies).with(xact.map(Xact::as_str)))
}

/// What these steps have said, as far as they have said anything.
pub(crate) async fn read(tx: &Tx, keys: &BTreeSet<Key>) -> Result<BTreeMap<Key, Recorded>, DbError> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sagas: Vec<Uuid> = keys.iter().map(|key| key.0.as_uuid()).collect();
    let steps: Vec<&str> = keys.iter().map(|key| key.1.as_str()).collect();
    let rows = tx
        .query(
            "select k.saga_id, k.step, k.said_id, k.said_type, s.bodies[array_position(s.ids, k.said_id)]
             from unnest($1::uuid[], $2::text[]) u(saga_id, step)
             join saga.idempotency_keys k on k.saga_id = u.saga_id and k.step = u.step
             join saga.said s on s.unit = k.said_unit
             where array_position(s.ids, k.said_id) is not null",
            &[&sagas, &steps],
        )
        .await?;
    let recorded = rows.iter().map(|row| {
        let id: Uuid = row.get(2);
        let key = (row.get::<_, Uuid>(0).into(), row.get(1));
        (key, Recorded { id: id.into(), event_type: row.get(3), body: row.get(4) })
    });
    Ok(recorded.collect())
}
