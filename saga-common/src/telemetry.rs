//! Logs and metrics. The same field names everywhere: `saga.id`, `message.id`, `step`, `attempt`.

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
