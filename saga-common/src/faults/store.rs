//! All SQL on `saga.faults`: which directives a saga carries, and how often each may still fire here.

use super::directive::{Action, Directive, Directives};
use crate::db::{Db, DbError};
use crate::ids::SagaId;
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// Writes down what a saga carries; what is known already keeps its count.
pub(super) async fn learn(db: &Db, saga_id: SagaId, directives: &Directives) -> Result<(), DbError> {
    let texts: Vec<String> = directives.0.iter().map(ToString::to_string).collect();
    let times: Vec<i32> = directives.0.iter().map(times).collect();
    db.execute(
        "insert into saga.faults (saga_id, n, directive, times_left)
         select $1, u.n, u.directive, u.times from unnest($2::text[], $3::int4[]) with ordinality u(directive, times, n)
         on conflict do nothing",
        &[&saga_id.as_uuid(), &texts, &times],
    )
    .await?;
    Ok(())
}

fn times(directive: &Directive) -> i32 {
    let unless_said = if matches!(directive.action, Action::Hold(_)) { u32::MAX } else { 1 };
    i32::try_from(directive.times.unwrap_or(unless_said)).unwrap_or(i32::MAX)
}

/// What these sagas carry, as far as this service has seen it.
pub(super) async fn known(db: &Db, sagas: &BTreeSet<SagaId>) -> Result<Vec<(SagaId, String)>, DbError> {
    let sagas: Vec<Uuid> = sagas.iter().map(SagaId::as_uuid).collect();
    let sql = "select saga_id, directive from saga.faults where saga_id = any($1) order by saga_id, n";
    let rows = db.query(sql, &[&sagas]).await?;
    Ok(rows.iter().map(|row| (row.get::<_, Uuid>(0).into(), row.get(1))).collect())
}

/// Spends one firing, durably: a fault that ends the process must not meet itself after the restart. Tells what fires: of a
/// hold, what is left of its limit, which counts from its first firing however often it fires. `None`: nothing is left.
pub(super) async fn spend(db: &Db, saga_id: SagaId, directive: &Directive) -> Result<Option<Action>, DbError> {
    let limit_ms = match directive.action {
        Action::Hold(limit) => Some(limit.as_secs_f64() * 1_000.0),
        _ => None,
    };
    let sql = "update saga.faults set times_left = times_left - 1, fired_at = coalesce(fired_at, clock_timestamp())
               where saga_id = $1 and directive = $2 and times_left > 0 and released_at is null
                 and ($3::float8 is null or fired_at is null or clock_timestamp() < fired_at + $3 * interval '1 ms')
               returning $3 - extract(epoch from clock_timestamp() - fired_at)::float8 * 1000";
    let rows = db.query(sql, &[&saga_id.as_uuid(), &directive.to_string(), &limit_ms]).await?;
    let left = |row: &tokio_postgres::Row| match row.get::<_, Option<f64>>(0) {
        Some(left_ms) => Action::Hold(Duration::from_secs_f64(left_ms.max(0.0) / 1_000.0)),
        None => directive.action,
    };
    Ok(rows.first().map(left))
}

/// Is this hold over? Also if its row is gone: nobody could release it any more.
pub(super) async fn released(db: &Db, saga_id: SagaId, directive: &Directive) -> Result<bool, DbError> {
    let sql = "select 1 from saga.faults where saga_id = $1 and directive = $2 and released_at is null";
    Ok(db.query(sql, &[&saga_id.as_uuid(), &directive.to_string()]).await?.is_empty())
}

/// Ends every hold of the saga that this service knows of, for all its replicas and whether or not it has held anything;
/// tells how many.
pub(crate) async fn release(db: &Db, service: &str, saga_id: SagaId) -> Result<u64, DbError> {
    let here = [format!("{service}-svc/%=hold(%"), "*/%=hold(%".to_owned()];
    let sql = "update saga.faults set released_at = clock_timestamp()
               where saga_id = $1 and directive like any($2) and released_at is null";
    db.execute(sql, &[&saga_id.as_uuid(), &here.as_slice()]).await
}
