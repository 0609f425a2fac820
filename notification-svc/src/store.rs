//! All SQL that writes.

use crate::domain::Note;
use crate::mail::Mail;
use chrono::{DateTime, Utc};
use saga_common::{DbError, MessageId, Statement, Tx};
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

/// Adds notes and their e-mails, each under the message that was the reason for it. The database refuses a second one for a
/// message: its guard row would have been there, too. With a lease, the e-mails are written as taken for their first attempt.
pub(crate) fn add(
    tx: &Tx,
    notes: &[(MessageId, Note)],
    created_at: DateTime<Utc>,
    lease: Option<Duration>,
) -> Result<(), DbError> {
    let messages: Vec<Uuid> = notes.iter().map(|(message_id, _)| message_id.as_uuid()).collect();
    let orders: Vec<Uuid> = notes.iter().map(|(_, note)| note.order_id.0).collect();
    let customers: Vec<String> = notes.iter().map(|(_, note)| note.customer_id.as_str().to_owned()).collect();
    let kinds: Vec<&'static str> = notes.iter().map(|(_, note)| note.kind).collect();
    let texts: Vec<String> = notes.iter().map(|(_, note)| note.text.clone()).collect();
    let sql = "with noted as (
                   insert into notifications (message_id, order_id, kind, text, created_at)
                   select *, $6::timestamptz from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]))
               insert into mails (message_id, customer_id, attempts, due_at)
               select *, $7::int, clock_timestamp() + $8::float8 * interval '1 ms' from unnest($1::uuid[], $5::text[])";
    let statement = Statement::new(sql).with(messages).with(orders).with(kinds).with(texts).with(customers);
    let lease_ms = lease.unwrap_or_default().as_secs_f64() * 1_000.0;
    tx.run_later(statement.with(created_at).with(i32::from(lease.is_some())).with(lease_ms))
}

/// Takes e-mails that are due, for so long: whoever does not say in time what became of one has lost it to the others.
pub(crate) async fn lease(pool: &PgPool, at_most: i64, lease: Duration) -> Result<Vec<Mail>, sqlx::Error> {
    sqlx::query_as!(
        Mail,
        r#"with due as (
               select message_id from mails where state = 'pending' and due_at <= clock_timestamp()
               order by due_at limit $1 for update skip locked),
           leased as (
               update mails m set attempts = m.attempts + 1, due_at = clock_timestamp() + $2::float8 * interval '1 ms'
               from due where m.message_id = due.message_id returning m.message_id, m.attempts, m.customer_id)
           select l.message_id as "message_id!", l.attempts as "attempt!", l.customer_id as "customer_id!", n.order_id,
                  n.kind, n.text, n.created_at
           from leased l join notifications n on n.message_id = l.message_id"#,
        at_most,
        lease.as_secs_f64() * 1_000.0
    )
    .fetch_all(pool)
    .await
}

/// The mail server has them.
pub(crate) async fn sent(pool: &PgPool, messages: &[Uuid]) -> Result<(), sqlx::Error> {
    let sent = sqlx::query!(
        "update mails set state = 'sent', last_error = null, settled_at = clock_timestamp() where message_id = any($1)",
        messages
    );
    sent.execute(pool).await.map(|_| ())
}

/// The mail server will never take it.
pub(crate) async fn refused(pool: &PgPool, message_id: Uuid, why: &str) -> Result<(), sqlx::Error> {
    let refused = sqlx::query!(
        "update mails set state = 'refused', last_error = $2, settled_at = clock_timestamp()
         where message_id = $1 and state = 'pending'",
        message_id,
        why
    );
    refused.execute(pool).await.map(|_| ())
}

/// An e-mail that is tried again, after how long, and why.
pub(crate) struct Postponed<'a> {
    pub(crate) mail: &'a Mail,
    pub(crate) why: String,
    pub(crate) wait: Duration,
}

/// It did not work this time. Says nothing of those that somebody else has taken since.
pub(crate) async fn postpone(pool: &PgPool, later: &[Postponed<'_>]) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = later.iter().map(|it| it.mail.message_id).collect();
    let attempts: Vec<i32> = later.iter().map(|it| it.mail.attempt).collect();
    let whys: Vec<String> = later.iter().map(|it| it.why.clone()).collect();
    let waits_ms: Vec<f64> = later.iter().map(|it| it.wait.as_secs_f64() * 1_000.0).collect();
    let postponed = sqlx::query!(
        "update mails m set last_error = it.why, due_at = clock_timestamp() + it.wait_ms * interval '1 ms'
         from unnest($1::uuid[], $2::int[], $3::text[], $4::float8[]) it (message_id, attempts, why, wait_ms)
         where m.message_id = it.message_id and m.attempts = it.attempts and m.state = 'pending'",
        &ids,
        &attempts,
        &whys,
        &waits_ms
    );
    postponed.execute(pool).await.map(|_| ())
}
