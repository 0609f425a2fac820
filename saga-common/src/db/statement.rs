//! Statements that leave together: one round trip for all of them, answered in order.

use deadpool_postgres::Object;
use futures::TryStreamExt;
use futures::future::maybe_done;
use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// A statement with its values, on its way to the database together with others: see [`Tx::run_later`](super::Tx::run_later).
pub struct Statement<'a> {
    sql: Cow<'a, str>,
    values: Vec<Box<dyn ToSql + Send + Sync + 'a>>,
}

impl<'a> Statement<'a> {
    /// A statement whose parameters have no values yet.
    pub fn new(sql: impl Into<Cow<'a, str>>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    /// Gives the next parameter its value.
    #[must_use]
    pub fn with(mut self, value: impl ToSql + Send + Sync + 'a) -> Self {
        self.values.push(Box::new(value));
        self
    }

    pub(super) fn sql(&self) -> &str {
        &self.sql
    }
}

/// What a statement came to.
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    /// How many rows it has hit or found.
    pub(crate) hit: u64,
}

/// How the engine begins a transaction. Deferrable makes no difference to one that may write and is not serialisable; but it can
/// be seen in SQL, so that a statement that was sent together with this one knows whether this one has succeeded.
const BEGIN: &str = "BEGIN DEFERRABLE";

/// What stands before and behind a series of statements, without values or rows of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Begin,
    Commit,
    None,
}

/// Sends all statements before it waits for the first answer. The database runs them in this order; after one that fails there,
/// it refuses the others of the transaction and makes a COMMIT a ROLLBACK, so the first error is the one that says why. One whose
/// values cannot be encoded never leaves, and the database knows nothing of it: then COMMIT does not leave either.
pub(super) async fn send(
    client: &Object,
    statements: &[&Statement<'_>],
    bracket: Bracket,
) -> Result<Vec<Answer>, tokio_postgres::Error> {
    // What has to be prepared is prepared before: it would leave out of turn otherwise.
    let mut prepared = Vec::with_capacity(statements.len());
    for statement in statements {
        prepared.push(client.prepare_cached(&statement.sql).await?);
    }
    let refused = AtomicBool::new(false);
    let ask = async |prepared: &tokio_postgres::Statement, statement: &Statement<'_>| {
        let values = statement.values.iter().map(|value| &**value as &(dyn ToSql + Sync));
        let asked = client.query_raw(prepared, values).await;
        let mut answer = std::pin::pin!(asked.inspect_err(|_| refused.store(true, Ordering::Relaxed))?);
        let mut rows = Vec::new();
        while let Some(row) = answer.try_next().await? {
            rows.push(row);
        }
        Ok::<_, tokio_postgres::Error>(Answer { rows, hit: answer.rows_affected().unwrap_or_default() })
    };
    let begin = async { if bracket == Bracket::Begin { client.batch_execute(BEGIN).await } else { Ok(()) } };
    let commit = async {
        // First polled behind all others: whoever could not be encoded has said so.
        let commits = bracket == Bracket::Commit && !refused.load(Ordering::Relaxed);
        if commits { client.batch_execute("COMMIT").await } else { Ok(()) }
    };
    let asked = prepared.iter().zip(statements).map(|(prepared, statement)| ask(prepared, statement));
    // A request leaves when its future is first polled, and they are polled in this order.
    let (begun, answers, committed) = futures::join!(begin, in_order(asked), commit);
    begun?;
    let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    committed?;
    Ok(answers)
}

/// All of them at once, each polled in its turn. (`join_all` does not promise that of more than thirty.)
async fn in_order<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(|future| Box::pin(maybe_done(future))).collect();
    poll_fn(|cx| {
        let pending =
            futures.iter_mut().filter_map(|future| future.as_mut().poll(cx).is_pending().then_some(())).count();
        if pending == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    futures.iter_mut().filter_map(|future| future.as_mut().take_output()).collect()
}
