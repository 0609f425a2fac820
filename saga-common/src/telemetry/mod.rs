//! Logs and metrics. The same field names everywhere: `saga.id`, `message.id`, `step`, `attempt`.
//!
//! Every metric of the engine is named and described in `names.rs`, and recorded through `Meters`; `docs/metrics.md` is the
//! list for people, held against what is served by a test.

mod gauges;
pub(crate) mod meters;
mod metric;
mod names;
mod tally;
pub(crate) mod trace;

pub(crate) use gauges::keep_up;
pub(crate) use meters::Meters;
pub use metric::{Metric, describe};
pub(crate) use names::ENGINE;
pub(crate) use tally::{AfterCommit, Tally};

use crate::config::{LogFormat, Settings};
use tracing_subscriber::EnvFilter;

/// PostgreSQL says at every start and every hour that what is made "if not exists" exists. The setting can ask for it.
const QUIET: &str = "sqlx::postgres::notice=warn";

/// Starts logging to standard error. Call it once, first.
pub fn init(settings: &Settings) {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", settings.log));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},info")));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first one's subscriber.
    let _ = match settings.log_format {
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
        LogFormat::Text => logs.with_ansi(false).try_init(),
    };
}
