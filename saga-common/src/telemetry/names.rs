//! Every metric of the engine, by name. The list for people is `docs/metrics.md`.

use super::metric::Metric;

pub(super) const STEPS: &str = "saga_steps_total";
pub(super) const STEP_DURATION: &str = "saga_step_duration_seconds";
pub(super) const PUBLISH_TO_COMMIT: &str = "saga_publish_to_commit_seconds";
pub(super) const COMMIT_TO_PUBLISH: &str = "saga_commit_to_publish_seconds";
pub(super) const COMPENSATION_DURATION: &str = "saga_compensation_duration_seconds";
pub(super) const DUPLICATES: &str = "saga_duplicates_total";
pub(super) const FENCED: &str = "saga_fenced_total";
pub(super) const WAITED: &str = "saga_waited_total";
pub(super) const PARKED: &str = "saga_parked_total";
pub(super) const BATCHES_SPLIT: &str = "saga_batches_split_total";
pub(super) const PUBLISHED: &str = "saga_published_total";
pub(super) const SWEPT: &str = "saga_swept_total";
pub(super) const UNROUTABLE: &str = "saga_unroutable_total";
pub(super) const REPEATED: &str = "saga_announcements_repeated_total";
pub(super) const CALL_DURATION: &str = "saga_call_duration_seconds";
pub(super) const JOB_RETRIES: &str = "saga_job_retries_total";
pub(super) const JOB_HOLDS: &str = "saga_job_holds_total";
pub(super) const RESUBSCRIBES: &str = "saga_resubscribes_total";
pub(super) const SALVAGED: &str = "saga_salvaged_total";
pub(super) const OUTBOX: &str = "saga_outbox_messages";
pub(super) const OUTBOX_OLDEST: &str = "saga_outbox_oldest_seconds";
pub(super) const WAITING: &str = "saga_waiting_messages";
pub(super) const WAITING_OLDEST: &str = "saga_waiting_oldest_seconds";
pub(super) const PARKED_NOW: &str = "saga_parked_messages";
pub(super) const PARKED_OLDEST: &str = "saga_parked_oldest_seconds";
pub(super) const ANNOUNCEMENTS: &str = "saga_announcements_open";
pub(super) const ANNOUNCEMENTS_OLDEST: &str = "saga_announcements_oldest_seconds";
pub(super) const JOBS: &str = "saga_jobs_open";
pub(super) const JOBS_UNKNOWN: &str = "saga_jobs_unknown";
pub(super) const JOBS_OLDEST: &str = "saga_jobs_oldest_seconds";
pub(super) const DATABASE_UP: &str = "saga_database_up";
pub(super) const CONNECTIONS: &str = "saga_database_connections";
pub(super) const CONNECTIONS_MAX: &str = "saga_database_connections_max";
pub(super) const CONNECTIONS_WAITERS: &str = "saga_database_waiters";
pub(super) const BROKER_CONNECTED: &str = "saga_broker_connected";
pub(super) const BROKER_BLOCKED: &str = "saga_broker_blocked";
pub(super) const CONSUMERS: &str = "saga_consumers_subscribed";
pub(super) const CONSUMERS_WANTED: &str = "saga_consumers_wanted";
pub(super) const TOPOLOGY_HEALED: &str = "saga_topology_healed_total";
pub(super) const TOPOLOGY_DIFFERS: &str = "saga_topology_differs";
pub(super) const SPANS: &str = "saga_spans_total";
pub(super) const PARTITIONS: &str = "saga_partition_days_ahead";
#[cfg(feature = "http")]
pub(super) const SHED: &str = "http_requests_shed_total";

/// All of them, with what `/metrics` says of each.
pub(crate) const ENGINE: &[Metric] = &[
    Metric::counter(STEPS, "Steps that were committed, by verdict; `compensate` is the participant's answer to a failure.").labelled(),
    Metric::histogram(STEP_DURATION, "From taking up a batch to its commit, once for each step in it.").labelled(),
    Metric::histogram(
        PUBLISH_TO_COMMIT,
        "A hop: from the publication of a message to the commit of the step that reacted to it. 0 where the clocks of two machines disagree.",
    )
    .labelled(),
    Metric::histogram(COMMIT_TO_PUBLISH, "From the commit of what was said to the broker's confirm, once a unit of work."),
    Metric::histogram(
        COMPENSATION_DURATION,
        "From the moment the failure was said to the commit of this participant's answer.",
    )
    .labelled(),
    Metric::counter(DUPLICATES, "Messages that came again and changed nothing.").labelled(),
    Metric::counter(FENCED, "Actions that came after their undo, and did nothing.").labelled(),
    Metric::counter(WAITED, "Attempts that failed and left their message waiting.").labelled(),
    Metric::counter(PARKED, "Messages that were parked for a person.").labelled(),
    Metric::counter(BATCHES_SPLIT, "Batches that failed and were run one by one."),
    Metric::counter(PUBLISHED, "Messages that the broker has confirmed."),
    Metric::counter(SWEPT, "Messages that were taken up from the outbox again, after a crash or a failed publication."),
    Metric::counter(UNROUTABLE, "Messages that the broker had no queue for."),
    Metric::counter(REPEATED, "Repeats of announcements that somebody had yet to answer."),
    Metric::histogram(CALL_DURATION, "Calls outside, with or without an answer.").labelled(),
    Metric::counter(JOB_RETRIES, "Calls outside that failed and are made again.").labelled(),
    Metric::counter(JOB_HOLDS, "Calls outside that were put off, because nobody would have answered.").labelled(),
    Metric::counter(RESUBSCRIBES, "Subscriptions that ended and were made anew.").labelled(),
    Metric::counter(SALVAGED, "Messages that the AMQP client cannot read, taken out of their queue.").labelled(),
    Metric::gauge(OUTBOX, "Messages that are committed, but not yet known to be with the broker."),
    Metric::gauge(OUTBOX_OLDEST, "Age of the oldest row in the outbox."),
    Metric::gauge(WAITING, "Messages that wait for another attempt."),
    Metric::gauge(WAITING_OLDEST, "How long ago the one that has waited longest came."),
    Metric::gauge(PARKED_NOW, "Messages that are parked for a person."),
    Metric::gauge(PARKED_OLDEST, "How long ago the one that has been parked longest came."),
    Metric::gauge(ANNOUNCEMENTS, "Announcements that somebody has yet to answer."),
    Metric::gauge(ANNOUNCEMENTS_OLDEST, "Age of the oldest saga that is being announced."),
    Metric::gauge(JOBS, "Calls outside that are to be made or under way.").labelled(),
    Metric::gauge(JOBS_UNKNOWN, "Of these, those that were made without a clear answer: their outcome is unknown.").labelled(),
    Metric::gauge(JOBS_OLDEST, "Age of the oldest of them.").labelled(),
    Metric::gauge(DATABASE_UP, "1 if the database answered when it was last asked."),
    Metric::gauge(CONNECTIONS, "Connections to the database.").labelled(),
    Metric::gauge(CONNECTIONS_MAX, "Most connections there may be.").labelled(),
    Metric::gauge(CONNECTIONS_WAITERS, "Who waits for a connection for transactions."),
    Metric::gauge(BROKER_CONNECTED, "1 while there is a connection to the broker.").labelled(),
    Metric::gauge(BROKER_BLOCKED, "1 while the broker takes nothing (memory or disk alarm)."),
    Metric::gauge(CONSUMERS, "Queues that this process consumes."),
    Metric::gauge(CONSUMERS_WANTED, "Queues that it should consume."),
    Metric::counter(TOPOLOGY_HEALED, "Looks that found exchanges or queues gone from the broker, and declared them again."),
    Metric::gauge(TOPOLOGY_DIFFERS, "1 while the broker has something else than was declared, which makes the service unready."),
    Metric::counter(SPANS, "Spans of traces, by what became of them.").labelled(),
    Metric::gauge(PARTITIONS, "For how many days there are partitions of the guard rows."),
    #[cfg(feature = "http")]
    Metric::counter(SHED, "Requests that were turned away because too many were being carried out."),
];
