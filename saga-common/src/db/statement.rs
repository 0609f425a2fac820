//! Statements that leave together: one round trip for all of them, answered in order.

use deadpool_postgres::Object;
use futures::TryStreamExt;
use futures::future::join_all;
use std::borrow::Cow;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// A statement with its values, on its way to the database together with others: see [`Tx::later`](super::Tx::later).
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

/// What has to be prepared is prepared before anything is sent: it would leave out of turn otherwise.
pub(super) async fn prepare(
    client: &Object,
    statements: &[&Statement<'_>],
) -> Result<Vec<tokio_postgres::Statement>, tokio_postgres::Error> {
    let mut prepared = Vec::with_capacity(statements.len());
    for statement in statements {
        prepared.push(client.prepare_cached(&statement.sql).await?);
    }
    Ok(prepared)
}

/// Sends all statements before it waits for the first answer. The database runs them in this order; after one that fails there,
/// it refuses the others of the transaction and makes a COMMIT a ROLLBACK, so the first error is the one that says why. (A value
/// that cannot be encoded never leaves; types are fixed here, and none of this size is.)
pub(super) async fn send(
    client: &Object,
    statements: &[&Statement<'_>],
    bracket: Bracket,
) -> Result<Vec<Answer>, tokio_postgres::Error> {
    let prepared = prepare(client, statements).await?;
    let ask = async |prepared: &tokio_postgres::Statement, statement: &Statement<'_>| {
        let values = statement.values.iter().map(|value| &**value as &(dyn ToSql + Sync));
        let mut answer = std::pin::pin!(client.query_raw(prepared, values).await?);
        let mut rows = Vec::new();
        while let Some(row) = answer.try_next().await? {
            rows.push(row);
        }
        Ok::<_, tokio_postgres::Error>(Answer { rows, hit: answer.rows_affected().unwrap_or_default() })
    };
    let bare = |wanted: Bracket, sql: &'static str| async move {
        if bracket == wanted { client.batch_execute(sql).await } else { Ok(()) }
    };
    // A request leaves when its future is first polled, and they are polled in this order.
    let (begun, answers, committed) = futures::join!(
        bare(Bracket::Begin, BEGIN),
        join_all(prepared.iter().zip(statements).map(|(prepared, statement)| ask(prepared, statement))),
        bare(Bracket::Commit, "COMMIT"),
    );
    begun?;
    let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    committed?;
    Ok(answers)
}
