//! Days, the names of their partitions, and which ids belong to them. Pure.
//!
//! Statements of a batch name the partition of its day, if it has one: for a statement on the whole table PostgreSQL opens
//! and locks all partitions, or finds the right one for each row.

use crate::db::DbError;
use crate::ids::{SagaId, UnitId};
use uuid::Uuid;

pub(super) const DAY_MS: u64 = 86_400_000;

/// The smallest UUIDv7 of a millisecond.
pub(super) fn floor_id(ms: u64) -> Uuid {
    Uuid::from_u128(u128::from(ms) << 80)
}

/// Guard rows, and what they refer to.
pub(super) const GUARDS: &str = "idempotency_keys";
pub(super) const SAID: &str = "said";

/// The table to find the guard rows of these sagas in: the partition of their day, or all if they are of several. It is there
/// for every saga that [can be guarded](super::Window::check).
pub(crate) fn guards_of(sagas: impl IntoIterator<Item = SagaId>) -> String {
    let mut days = sagas.into_iter().map(|saga| saga.made_at_ms().map(|ms| ms / DAY_MS));
    let day = days.next().flatten().filter(|day| days.all(|other| other == Some(*day)));
    of_day(GUARDS, day)
}

/// The table to record in what a unit of work says.
pub(crate) fn said_of(unit: UnitId) -> String {
    of_day(SAID, unit.made_at_ms().map(|ms| ms / DAY_MS))
}

fn of_day(table: &str, day: Option<u64>) -> String {
    let name = day.and_then(|day| partition(table, day).ok());
    format!("saga.{}", name.as_deref().unwrap_or(table))
}

/// The name of a day's partition.
pub(super) fn partition(table: &str, day: u64) -> Result<String, DbError> {
    let seconds = i64::try_from(day * DAY_MS / 1_000).unwrap_or_default();
    let date = chrono::DateTime::from_timestamp(seconds, 0)
        .ok_or_else(|| DbError::Broken(format!("day {day} has no date")))?;
    Ok(format!("{table}_{}", date.format("%Y%m%d")))
}

/// The day whose partition has this name.
pub(super) fn day_of(table: &str, partition: &str) -> Option<u64> {
    let date = partition.strip_prefix(table)?.strip_prefix('_')?;
    let date = chrono::NaiveDate::parse_from_str(date, "%Y%m%d").ok()?;
    let seconds = date.and_hms_opt(0, 0, 0)?.and_utc().timestamp();
    u64::try_from(seconds).ok().map(|s| s * 1_000 / DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_named_after_its_day_and_bounded_by_ids_of_that_day() {
        let day = 20_000;
        assert_eq!(partition(GUARDS, day).expect("a date"), "idempotency_keys_20241004");
        assert_eq!(day_of(GUARDS, "idempotency_keys_20241004"), Some(day));
        let next_midnight = SagaId::from(floor_id((day + 1) * DAY_MS)).as_uuid();
        assert!(floor_id((day + 1) * DAY_MS - 1) < next_midnight);
    }

    #[test]
    fn sagas_of_one_day_are_in_its_partition_and_those_of_several_in_the_whole() {
        let on = |ms: u64| SagaId::from(Uuid::from_u128(floor_id(ms).as_u128() | 0x7000_8000_0000_0000_0001));
        let midnight = 20_000 * DAY_MS;
        assert_eq!(guards_of([on(midnight), on(midnight + DAY_MS - 1)]), "saga.idempotency_keys_20241004");
        assert_eq!(guards_of([on(midnight), on(midnight - 1)]), "saga.idempotency_keys");
        assert_eq!(guards_of([on(midnight), SagaId::from(Uuid::nil())]), "saga.idempotency_keys");
        assert_eq!(guards_of([SagaId::from(Uuid::nil()), on(midnight)]), "saga.idempotency_keys");
        assert_eq!(said_of(UnitId::from(on(midnight).as_uuid())), "saga.said_20241004");
    }
}
