//! An open transaction that cannot leak: dropped without an end, it takes its connection with it.

use super::statement::{self, Answer, Bracket, Statement};
use super::{DbError, Trouble, answered, trouble};
use deadpool_postgres::Object;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// A transaction on a connection of its own. Statements are prepared once per connection.
///
/// Dropping it closes the connection, so the server rolls back whatever the moment at which the future was cancelled:
/// a connection with an open transaction never returns to the pool.
pub struct Tx {
    client: Option<Object>,
    /// What goes with the next statement.
    later: Mutex<Vec<Statement<'static>>>,
    /// What was to be run with another statement has left, and is not known to have run: there is nothing to commit.
    lost: AtomicBool,
}

/// Refuses what would end the transaction. The guard rows of a whole batch would be true then, and what is left of its steps
/// would never be done. (A statement is one command here, and no function or block can commit inside of a transaction.)
fn must_not_end(sql: &str) -> Result<(), DbError> {
    let mut words = command(sql).split(|c: char| !c.is_ascii_alphabetic()).map(str::to_ascii_lowercase);
    let ends = match words.next().unwrap_or_default().as_str() {
        "begin" | "start" | "commit" | "end" | "abort" | "prepare" => true,
        // To a savepoint is the step's own business.
        "rollback" => words.find(|word| !matches!(word.as_str(), "" | "work" | "transaction")).as_deref() != Some("to"),
        _ => false,
    };
    if ends { Err(DbError::Broken("a step must not end its transaction".to_owned())) } else { Ok(()) }
}

/// A statement without the comments before it.
fn command(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        let behind = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map(|(_, rest)| rest)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            behind_comment(comment)
        } else {
            return rest;
        };
        rest = behind.unwrap_or_default().trim_start();
    }
}

/// What stands behind the comment that this is inside of; PostgreSQL counts comments in comments.
fn behind_comment(mut comment: &str) -> Option<&str> {
    let mut depth = 1_u32;
    while depth > 0 {
        let end = comment.find("*/")?;
        match comment.find("/*").filter(|begin| *begin < end) {
            Some(begin) => (depth, comment) = (depth + 1, &comment[begin + 2..]),
            None => (depth, comment) = (depth - 1, &comment[end + 2..]),
        }
    }
    Some(comment)
}

const OPEN: &str = "a transaction has its connection until it ends";

impl Tx {
    /// Begins, and runs the first statements in the same round trip. What they refuse does not cost the connection.
    pub(super) async fn begin(client: Object, first: &[Statement<'_>]) -> Result<(Self, Vec<Answer>), DbError> {
        let tx = Self { client: Some(client), later: Mutex::default(), lost: AtomicBool::new(false) };
        let first: Vec<&Statement> = first.iter().collect();
        match answered(statement::send(tx.client(), &first, Bracket::Begin)).await {
            Ok(answers) => Ok((tx, answers)),
            Err(error) => {
                if trouble(&error) != Trouble::Gone {
                    tx.rollback().await;
                }
                Err(error)
            }
        }
    }

    #[allow(clippy::expect_used)]
    fn client(&self) -> &Object {
        self.client.as_ref().expect(OPEN)
    }

    /// Runs a statement together with the next one of this transaction, or with its COMMIT, in the order given: it has no
    /// round trip of its own, and nobody is told what it came to. So it must fail by itself if it does not do all that it
    /// has to: an INSERT does, of an UPDATE that must hit some rows `saga.must_all_be_hit` can ask how many they were.
    ///
    /// # Errors
    /// Because it would end the transaction. As the database refuses it, or its values are not what it asks for, the next
    /// statement fails or the unit's end does.
    pub fn run_later(&self, statement: Statement<'static>) -> Result<(), DbError> {
        must_not_end(statement.sql())?;
        self.later().push(statement);
        Ok(())
    }

    fn later(&self) -> MutexGuard<'_, Vec<Statement<'static>>> {
        // Pushed to and taken as a whole: no panic leaves it half-changed.
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the database; what was to be run with the next statement leaves first. Of two errors the first one says why.
    async fn behind_others<T>(
        &self,
        own: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, DbError> {
        let client = self.client();
        // Prepared while they are still to be run, and taken when nothing is left to wait for before they leave: whoever drops
        // this, or asks something else meanwhile, passes nothing over.
        let mut prepared: Vec<String> = Vec::new();
        loop {
            let next = self
                .later()
                .iter()
                .map(Statement::sql)
                .find(|sql| !prepared.iter().any(|it| it == sql))
                .map(str::to_owned);
            let Some(sql) = next else { break };
            answered(client.prepare_cached(&sql)).await?;
            prepared.push(sql);
        }
        let others = std::mem::take(&mut *self.later());
        if others.is_empty() {
            return answered(own).await;
        }
        let others: Vec<&Statement> = others.iter().collect();
        // Until they are known to have run.
        self.lost.store(true, Ordering::Relaxed);
        answered(async {
            // Polled in this order, so they leave in this order.
            let (others, own) = futures::join!(statement::send(client, &others, Bracket::None), own);
            others?;
            self.lost.store(false, Ordering::Relaxed);
            own
        })
        .await
    }

    /// Runs a statement and tells how many rows it hit.
    ///
    /// # Errors
    /// As the statement's; the transaction can then only be dropped. Or because it would end the transaction: then nothing has
    /// happened.
    pub async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, DbError> {
        must_not_end(sql)?;
        let client = self.client();
        self.behind_others(async { client.execute(&client.prepare_cached(sql).await?, params).await }).await
    }

    /// Runs a query.
    ///
    /// # Errors
    /// As the query's; the transaction can then only be dropped.
    pub async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, DbError> {
        must_not_end(sql)?;
        let client = self.client();
        self.behind_others(async { client.query(&client.prepare_cached(sql).await?, params).await }).await
    }

    /// Runs a query that finds one row or none.
    ///
    /// # Errors
    /// As the query's, also when it finds several rows.
    pub async fn query_opt(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>, DbError> {
        must_not_end(sql)?;
        let client = self.client();
        self.behind_others(async { client.query_opt(&client.prepare_cached(sql).await?, params).await }).await
    }

    /// Runs a query that finds exactly one row.
    ///
    /// # Errors
    /// As the query's, also when it finds none or several rows.
    pub async fn query_one(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row, DbError> {
        must_not_end(sql)?;
        let client = self.client();
        self.behind_others(async { client.query_one(&client.prepare_cached(sql).await?, params).await }).await
    }

    /// Does to the transaction what no step can, for tests of what becomes of it.
    ///
    /// # Errors
    /// As the statements'.
    #[cfg(feature = "testkit")]
    pub async fn mistreat(&self, sql: &str) -> Result<(), DbError> {
        answered(self.client().batch_execute(sql)).await
    }

    /// Runs statements in one round trip.
    pub(crate) async fn send(&self, statements: &[Statement<'_>]) -> Result<Vec<Answer>, DbError> {
        let statements: Vec<&Statement> = statements.iter().collect();
        self.behind_others(statement::send(self.client(), &statements, Bracket::None)).await
    }

    /// Runs the last statements and commits, in one round trip: COMMIT is on its way before it is known what they did, so
    /// one that must not be committed has to fail by itself. Returns what they came to. An error leaves the outcome unknown: the
    /// work must be done again, and will meet its guard row if it had been committed.
    pub(crate) async fn commit(mut self, last: &[Statement<'_>]) -> Result<Vec<Answer>, DbError> {
        if self.lost.load(Ordering::Relaxed) {
            return Err(DbError::Broken("what a step has left to be run later has not run".to_owned()));
        }
        let later = std::mem::take(&mut *self.later());
        let all: Vec<&Statement> = later.iter().chain(last).collect();
        let mut answers = answered(statement::send(self.client(), &all, Bracket::Commit)).await?;
        // Only now may the connection go back to the pool.
        drop(self.client.take());
        Ok(answers.split_off(later.len()))
    }

    /// Ends the transaction without effect and keeps the connection.
    pub(crate) async fn rollback(mut self) {
        if answered(self.client().batch_execute("ROLLBACK")).await.is_ok() {
            drop(self.client.take());
        }
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_transaction_is_told_by_its_command() {
        for sql in [
            "commit",
            " COMMIT AND CHAIN",
            "End",
            "abort;",
            "begin",
            "start transaction",
            "rollback",
            "rollback work",
            "rollback and chain",
            "rollback prepared 'to'",
            "prepare transaction 'x'",
            "-- why\n/* not */ commit",
            "/**/rollback",
            "/* /* */ */ commit",
            "/* a */ /* /* b */ */ -- c\n end",
        ] {
            assert!(must_not_end(sql).is_err(), "{sql}");
        }
        for sql in [
            "",
            "-- commit",
            "/* commit",
            "/* /* */ commit",
            "select 'commit'",
            "savepoint a",
            "release a",
            "rollback to a",
            "ROLLBACK TRANSACTION TO SAVEPOINT a",
            "update begins set commit = 1",
            "with ended as (select 1) select 1",
        ] {
            assert!(must_not_end(sql).is_ok(), "{sql}");
        }
    }
}
