//! What people have done by hand, and who they were: all SQL that writes `saga.acts`. A line commits with what it speaks of.

use crate::db::{DbError, Statement, Tx};

/// Adds a line to the transaction: `subject` has done `act` to `target`.
///
/// # Errors
/// When the transaction has ended.
pub fn note(tx: &Tx, subject: &str, act: &'static str, target: &str) -> Result<(), DbError> {
    let line = Statement::new("insert into saga.acts (subject, act, target) values ($1, $2, $3)");
    tx.run_later(line.with(subject.to_owned()).with(act).with(target.to_owned()))
}
