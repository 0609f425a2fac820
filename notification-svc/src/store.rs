//! All SQL that writes.

use crate::domain::Note;
use saga_common::{DbError, MessageId, Statement, Tx};
use uuid::Uuid;

/// Adds notes, each under the message that was the reason for it. The database refuses a second one for a message: its guard
/// row would have been there, too.
pub(crate) fn add(tx: &Tx, notes: &[(MessageId, Note)]) -> Result<(), DbError> {
    let messages: Vec<Uuid> = notes.iter().map(|(message_id, _)| message_id.as_uuid()).collect();
    let orders: Vec<Uuid> = notes.iter().map(|(_, note)| note.order_id.0).collect();
    let kinds: Vec<&'static str> = notes.iter().map(|(_, note)| note.kind).collect();
    let texts: Vec<String> = notes.iter().map(|(_, note)| note.text.clone()).collect();
    let sql = "insert into notifications (message_id, order_id, kind, text)
               select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[])";
    tx.run_later(Statement::new(sql).with(messages).with(orders).with(kinds).with(texts))
}
