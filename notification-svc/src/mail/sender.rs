//! The task that sends: takes what is due, a few at once, says what became of each. Replicas share the work; a crash between
//! the mail server's yes and the mark here sends an e-mail once more.

use super::post::Unsent;
use super::{Mail, Post};
use crate::store;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use saga_common::retry::{Decision, Patience, RetryPolicy};
use saga_common::telemetry::{Metric, describe};
use sqlx::PgPool;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const MAILS: &str = "notification_mails_total";
const PENDING: &str = "notification_mails_pending";
const OLDEST: &str = "notification_mails_oldest_seconds";

/// What is counted here; the list for people is `docs/metrics.md`.
const METRICS: &[Metric] = &[
    Metric::counter(MAILS, "E-mails that were tried to be sent, by what became of it.").labelled(),
    Metric::gauge(PENDING, "E-mails that wait to be sent."),
    Metric::gauge(OLDEST, "Age of the oldest of them."),
];

const LOOK_EVERY: Duration = Duration::from_millis(500);
const OBSERVE_EVERY: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 32;
/// Everything about one e-mail, and clearly less than the lease.
const SEND_LIMIT: Duration = Duration::from_secs(20);
const LEASE: Duration = Duration::from_secs(30);
/// What is kept of an error.
const LONGEST_ERROR: usize = 500;

/// Never given up; after a night without a mail server everybody hears within minutes.
const PATIENCE: RetryPolicy = RetryPolicy {
    in_place: 0,
    first_wait: Duration::from_millis(500),
    longest_wait: Duration::from_secs(300),
    attempts: 0,
    fatal_attempts: 0,
};

/// Sends until stopped.
pub(crate) async fn deliver(pool: PgPool, post: Post, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let leased = store::lease(&pool, AT_ONCE as i64, LEASE).await;
        let mails = leased.unwrap_or_else(|error| {
            tracing::warn!(%error, "e-mails cannot be looked for");
            Vec::new()
        });
        send_all(&pool, &post, &mails).await;
        if mails.len() < AT_ONCE {
            tokio::select! { () = tokio::time::sleep(LOOK_EVERY) => {}, () = stop.cancelled() => {} }
        }
    }
}

/// Sends them at the same time, and notes what became of each as soon as it is known, together with what is known by then of the
/// others: a commit for each e-mail would cost the database more than an order does.
async fn send_all(pool: &PgPool, post: &Post, mails: &[Mail]) {
    let sending: FuturesUnordered<_> = mails.iter().map(async |mail| (mail, send_one(post, mail).await)).collect();
    let mut ended = sending.ready_chunks(AT_ONCE);
    while let Some(ended) = ended.next().await {
        let (sent, unsent): (Vec<_>, Vec<_>) = ended.into_iter().partition(|(_, ended)| ended.is_ok());
        if !sent.is_empty() {
            let sent: Vec<_> = sent.iter().map(|(mail, _)| mail.message_id).collect();
            noted("sent", &sent, store::sent(pool, &sent).await);
        }
        let unsent = unsent.into_iter().filter_map(|(mail, ended)| Some((mail, ended.err()?)));
        join_all(unsent.map(|(mail, why)| note_unsent(pool, mail, why))).await;
    }
}

async fn send_one(post: &Post, mail: &Mail) -> Result<(), Unsent> {
    let too_long = |_| Err(Unsent::NotNow(format!("it took longer than {} s", SEND_LIMIT.as_secs())));
    tokio::time::timeout(SEND_LIMIT, post.send(mail)).await.unwrap_or_else(too_long)
}

async fn note_unsent(pool: &PgPool, mail: &Mail, why: Unsent) {
    let ids = [mail.message_id];
    match why {
        Unsent::Refused(why) => {
            tracing::warn!(message.id = %mail.message_id, why, "an e-mail is refused");
            noted("refused", &ids, store::refused(pool, mail.message_id, &kept(&why)).await);
        }
        Unsent::NotNow(why) => {
            tracing::debug!(message.id = %mail.message_id, attempt = mail.attempt, why, "an e-mail waits");
            noted("failed", &ids, store::postpone(pool, mail, &kept(&why), wait(mail.attempt)).await);
        }
    }
}

fn noted(outcome: &'static str, mails: &[Uuid], noted: Result<(), sqlx::Error>) {
    metrics::counter!(MAILS, "outcome" => outcome).increment(mails.len() as u64);
    if let Err(error) = noted {
        tracing::warn!(?mails, %error, outcome, "what became of e-mails cannot be noted: they are sent once more");
    }
}

fn wait(attempt: i32) -> Duration {
    match PATIENCE.after(u32::try_from(attempt).unwrap_or(1), Patience::Endless, rand::random()) {
        Decision::Wait(wait) => wait,
        Decision::Park => PATIENCE.longest_wait,
    }
}

fn kept(why: &str) -> String {
    why.chars().filter(|c| !c.is_control()).take(LONGEST_ERROR).collect()
}

/// Shows how many e-mails wait, and for how long.
pub(crate) async fn observe(pool: PgPool, stop: CancellationToken) {
    describe(METRICS);
    for outcome in ["sent", "refused", "failed"] {
        drop(metrics::counter!(MAILS, "outcome" => outcome));
    }
    while !stop.is_cancelled() {
        let waiting = sqlx::query!(
            r#"select count(*) as "mails!", coalesce(extract(epoch from clock_timestamp() - min(created_at))::float8, 0) as "oldest!"
               from mails where state = 'pending'"#
        );
        match waiting.fetch_one(&pool).await {
            Ok(waiting) => {
                metrics::gauge!(PENDING).set(waiting.mails as f64);
                metrics::gauge!(OLDEST).set(waiting.oldest);
            }
            Err(error) => tracing::debug!(%error, "waiting e-mails cannot be counted"),
        }
        tokio::select! { () = tokio::time::sleep(OBSERVE_EVERY) => {}, () = stop.cancelled() => {} }
    }
}
