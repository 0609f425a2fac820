//! The task that sends: takes what steps hand over and what is due, says what became of each. Replicas share what is due; a crash between
//! the mail server's yes, or the file's, and the mark here sends what was under way once more: eight e-mails at most, or 256 into the file.

use super::post::Unsent;
use super::{Arriving, Mail, Post};
use crate::store::{self, Postponed};
use futures::StreamExt;
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
/// What ends within this time is noted together: a commit for each e-mail would cost the database more than an order does.
const TOGETHER: Duration = Duration::from_millis(50);
/// All about one e-mail, or about those that go into the file together; clearly less than the lease.
const SEND_LIMIT: Duration = Duration::from_secs(20);
/// How long whoever has taken an e-mail may take to say what became of it.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
/// What was handed over is tried within this time, so that the slowest attempt ends clearly within the lease, or not from memory.
const FRESH: Duration = Duration::from_secs(8);
const _: () = assert!(FRESH.as_secs() + SEND_LIMIT.as_secs() < LEASE.as_secs());
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

/// Sends until stopped: what is due, and in turn with it what steps have handed over.
pub(crate) async fn deliver(pool: PgPool, post: Post, mut arriving: Arriving, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let leased = store::lease(&pool, post.at_once() as i64, LEASE).await;
        let due = leased.unwrap_or_else(|error| {
            tracing::warn!(%error, "e-mails cannot be looked for");
            Vec::new()
        });
        let mut more = send_and_look(&pool, &post, &due).await;
        // Asked for behind the others, which may have taken long: what is too old by now is left out.
        let handed_over = arriving.take(post.at_once(), FRESH);
        more |= send_and_look(&pool, &post, &handed_over).await;
        if !more {
            tokio::select! { () = tokio::time::sleep(LOOK_EVERY) => {}, () = stop.cancelled() => {} }
        }
    }
}

/// Sends them, and tells whether it is worth looking for more at once.
async fn send_and_look(pool: &PgPool, post: &Post, mails: &[Mail]) -> bool {
    let sent = send_all(pool, post, mails).await;
    mails.len() == post.at_once() && sent > 0
}

/// Sends them at the same time, and notes what became of each as soon as it is known, and of others by then. Returns how many were sent.
async fn send_all(pool: &PgPool, post: &Post, mails: &[Mail]) -> usize {
    let mut sent = 0;
    let mut sending: FuturesUnordered<_> = mails.chunks(post.in_one_call()).map(|mails| send(post, mails)).collect();
    while let Some(mut ended) = sending.next().await {
        let time_is_up = tokio::time::sleep(TOGETHER);
        tokio::pin!(time_is_up);
        while let Some(more) = tokio::select! {
            biased;
            more = sending.next() => more,
            () = &mut time_is_up => None,
        } {
            ended.extend(more);
        }
        sent += ended.iter().filter(|(_, ended)| ended.is_ok()).count();
        note(pool, ended).await;
    }
    sent
}

/// An e-mail, and what became of it.
type Ended<'a> = (&'a Mail, Result<(), Unsent>);

async fn send<'a>(post: &Post, mails: &'a [Mail]) -> Vec<Ended<'a>> {
    let sent = tokio::time::timeout(SEND_LIMIT, post.send(mails)).await;
    let too_long = || Err(Unsent::NotNow(format!("it took longer than {} s", SEND_LIMIT.as_secs())));
    let sent = sent.unwrap_or_else(|_| mails.iter().map(|_| too_long()).collect());
    mails.iter().zip(sent).collect()
}

async fn note(pool: &PgPool, ended: Vec<Ended<'_>>) {
    let (mut sent, mut later) = (Vec::new(), Vec::new());
    for (mail, ended) in ended {
        match ended {
            Ok(()) => sent.push(mail.message_id),
            Err(Unsent::Refused(why)) => {
                tracing::warn!(message.id = %mail.message_id, why, "an e-mail is refused");
                noted("refused", &[mail.message_id], store::refused(pool, mail.message_id, &kept(&why)).await);
            }
            Err(Unsent::NotNow(why)) => {
                tracing::debug!(message.id = %mail.message_id, attempt = mail.attempt, why, "an e-mail waits");
                later.push(Postponed { mail, why: kept(&why), wait: wait(mail.attempt) });
            }
        }
    }
    if !sent.is_empty() {
        noted("sent", &sent, store::sent(pool, &sent).await);
    }
    if !later.is_empty() {
        let ids: Vec<_> = later.iter().map(|it| it.mail.message_id).collect();
        noted("failed", &ids, store::postpone(pool, &later).await);
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
